"""Pod creations at a rate, by several senders that keep their connections."""

from __future__ import annotations

import contextlib
import copy
import http.client
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from e2e.cluster.api import Api, Json

SENDERS = 4
LOST_PAUSE_SECONDS = 0.2
ANSWER_SECONDS = 20.0
CREATED, FORBIDDEN = 201, 403

STARTING_SERVER = re.compile(
    r'403 pods(?: "[\w-]+")? is forbidden: User "[^"]+" cannot create resource "pods"'
    r' in API group "" in the namespace '
    r'|403 forbidden: User "[^"]+" cannot get path "/api/v1"$'
    r'|503 admission webhook "[\w.-]+" denied the request: ClusterUnreachable: '
)
"""What only an API server says that has just begun to serve: it does not know its own roles yet, so
that RBAC refuses whom it let in before, or it cannot be asked by the webhook, which then admits
nothing. With one API server nobody else could have answered. That no webhook could be called is
never among this."""


@dataclass(slots=True)
class Tally:
    """What became of the pods of one kind."""

    created: int = 0
    denied: Counter[str] = field(default_factory=Counter)
    """By a webhook that looked at them; by its words."""
    failed: Counter[str] = field(default_factory=Counter)
    """By anything else that answered."""
    lost: int = 0
    """No answer, since the API server was away."""
    last_refused: float = 0.0
    """When one was refused last, by the steady clock."""

    def __str__(self) -> str:
        told = f"{self.created} created, {self.denied.total()} denied, {self.lost} lost"
        return f"{told}, {self.failed.total()} failed {dict(self.failed) or ''}".strip()

    @property
    def sent(self) -> int:
        return self.created + self.denied.total() + self.failed.total() + self.lost


@dataclass(slots=True)
class Load:
    """Sends copies of pods in turn, at so many a second."""

    api: Api
    pods: Sequence[Json]
    per_second: float
    tallies: list[Tally] = field(default_factory=list)
    slowest_seconds: float = 0.0
    took_seconds: float = 0.0
    _ending: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _turn: int = 0

    @property
    def rate(self) -> float:
        """Pods that were answered, for each second."""
        return sum(tally.sent - tally.lost for tally in self.tallies) / self.took_seconds

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send for the length of a `with` block."""
        self.tallies = [Tally() for _ in self.pods]
        started = time.monotonic()
        threads = [
            threading.Thread(target=self._send_many, args=(started,)) for _ in range(SENDERS)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._ending.set()
            for thread in threads:
                thread.join()
            self.took_seconds = time.monotonic() - started

    def wait(self, seconds: float) -> None:
        """Let it go on for so long."""
        self._ending.wait(seconds)

    def __str__(self) -> str:
        rate = f"{self.rate:.0f} pods/s for {self.took_seconds:.0f} s"
        return f"{rate}, slowest {self.slowest_seconds:.2f} s; {'; '.join(map(str, self.tallies))}"

    def _send_many(self, started: float) -> None:
        with contextlib.closing(self._connection()) as connection:
            self._send_over(connection, started)

    def _send_over(self, connection: http.client.HTTPSConnection, started: float) -> None:
        path = f"/api/v1/namespaces/{self.pods[0]['metadata']['namespace']}/pods"
        while not self._ending.is_set():
            with self._lock:
                turn, self._turn = self._turn, self._turn + 1
            wait = started + turn / self.per_second - time.monotonic()
            if wait > 0 and self._ending.wait(wait):
                break
            kind = turn % len(self.pods)
            body = copy.deepcopy(self.pods[kind])
            body["metadata"]["name"] = f"load-{kind}-{turn}"
            begun = time.monotonic()
            try:
                connection.request("POST", path, json.dumps(body), dict(self._headers))
                answer = connection.getresponse()
                code, text = answer.status, answer.read()
            except (OSError, http.client.HTTPException):
                connection.close()  # it connects anew by itself
                with self._lock:
                    self.tallies[kind].lost += 1
                self._ending.wait(LOST_PAUSE_SECONDS)
                continue
            with self._lock:
                self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - begun)
                _count(self.tallies[kind], code, text)

    @property
    def _headers(self) -> dict[str, str]:
        return {"Content-Type": "application/json", **self.api.headers}

    def _connection(self) -> http.client.HTTPSConnection:
        host = self.api.url.removeprefix("https://")
        return http.client.HTTPSConnection(host, context=self.api.tls, timeout=ANSWER_SECONDS)


def _count(tally: Tally, code: int, text: bytes) -> None:
    if code == CREATED:
        tally.created += 1
        return
    message = json.loads(text).get("message", "")
    tally.last_refused = time.monotonic()
    where = tally.denied if code == FORBIDDEN and "denied the request" in message else tally.failed
    where[f"{code} {message[:300]}"] += 1
