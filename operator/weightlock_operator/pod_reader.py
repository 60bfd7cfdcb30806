"""Watches all pods of the cluster and hands over what is kept of those that matter.

Not with kopf: it would keep an object of its own for each pod of the cluster, copy each change of
each one twice, and selects by one label where we need "ours, or held, or with a volume". Here a
thread lists page by page, watches with bookmarks, and parses one pod at a time; only records leave
it. After a 410 it lists again, and who is not in the list is gone (which kopf never notices).
"""

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

import urllib3.exceptions

from weightlock.policy.scalars import printable
from weightlock_operator.api.cluster import Json
from weightlock_operator.api.parsing import parsed
from weightlock_operator.pod_records import PodRecord, record_of_pod

PAGE_ITEMS: Final = 250
WATCH_SECONDS: Final = 300
SILENCE_SECONDS: Final = 90.0
"""The server sends a bookmark about every minute; more silence means nobody is there (E04)."""

FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 30.0
LINE_BYTES: Final = 16 << 20
"""A pod of a watch. etcd takes 1.5 MiB, and Go writes `<` with six bytes; no pod is longer."""

PAGE_BYTES: Final = 32 << 20
"""A page that is longer is asked for again with fewer pods, down to one."""

_FEWER: Final = 4
_GONE: Final = 410

_log = logging.getLogger(__name__)


class Answer(Protocol):
    """A response whose body has not been read."""

    status: int

    def stream(self, amt: int) -> Iterator[bytes]:
        """Its body in pieces."""
        ...

    def release_conn(self) -> None:
        """Give the connection back, or close it."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


Open = Callable[[str, float], Answer]
"""GET a path; the number of seconds is how long nothing may come."""


@dataclass(frozen=True, slots=True)
class PodChange:
    """One pod: what is kept of it now, or nothing."""

    uid: str
    record: PodRecord | None


@dataclass(frozen=True, slots=True)
class PodList:
    """All pods that matter; every other one is gone."""

    records: tuple[PodRecord, ...]


class _Relist(Exception):
    """The version is too old to go on from."""


class _TooLong(OSError):
    """A page of more bytes than are taken at once."""


class PodReader:
    """Runs in a thread of its own until it is told to stop."""

    def __init__(
        self,
        open_path: Open,
        deliver: Callable[[PodChange | PodList | None], None],
        *,
        page_bytes: int = PAGE_BYTES,
    ) -> None:
        """`deliver` is called in the thread; None only says that the server was heard of."""
        self._open = open_path
        self._deliver = deliver
        self._stopping = threading.Event()
        self._known: set[str] = set()
        self._pause = FIRST_PAUSE_SECONDS
        self._page_bytes = page_bytes
        self._items = PAGE_ITEMS

    def start(self) -> threading.Thread:
        """Begin."""
        thread = threading.Thread(target=self._run, name="pods", daemon=True)
        thread.start()
        return thread

    def stop(self) -> None:
        """End soon."""
        self._stopping.set()

    def _run(self) -> None:
        version = ""
        while not self._stopping.is_set():
            try:
                if not version:
                    version = self._list()
                version = self._watch(version)
            except _Relist:
                version = ""
                self._rest()
            except urllib3.exceptions.ReadTimeoutError:
                version = ""  # servers before 1.21 prove a quiet watch by nothing but a list
            except (urllib3.exceptions.HTTPError, OSError, ValueError, KeyError) as error:
                _log.warning("watching pods: %s", printable(str(error)))
                self._rest()
            except Exception:
                # Without this thread every verdict would be blind to writers.
                _log.exception("watching pods")
                version = ""
                self._rest()

    def _rest(self) -> None:
        self._stopping.wait(self._pause)
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)

    def _list(self) -> str:
        records: list[PodRecord] = []
        token, version = "", ""
        while not self._stopping.is_set():
            page = self._page(token)
            for pod in page.get("items") or []:
                record = record_of_pod(pod)
                if record is not None:
                    records.append(record)
            metadata = page.get("metadata") or {}
            token, version = metadata.get("continue") or "", str(metadata["resourceVersion"])
            if not token:
                break
        self._known = {record.uid for record in records}
        self._deliver(PodList(tuple(records)))
        return version

    def _page(self, token: str) -> Json:
        """A tenant's pods may be long; a page of one always fits."""
        while True:
            try:
                found = self._document(f"/api/v1/pods?limit={self._items}&continue={token}")
            except _TooLong:
                if self._items == 1:
                    raise
                self._items = max(1, self._items // _FEWER)
                continue
            self._items = min(PAGE_ITEMS, 2 * self._items)
            return found

    def _document(self, path: str) -> Json:
        answer = self._open(path, SILENCE_SECONDS)
        try:
            content = bytearray()
            for piece in answer.stream(65536):
                content += piece
                if len(content) > self._page_bytes:
                    answer.close()
                    raise _TooLong("a page of pods is too long")
            if answer.status == _GONE:
                raise _Relist
            if answer.status != 200:  # noqa: PLR2004 - HTTP's own number
                raise OSError(f"{answer.status}: {content[:200].decode(errors='replace')}")
            return parsed(bytes(content))
        finally:
            answer.release_conn()

    def _watch(self, version: str) -> str:
        path = (
            f"/api/v1/pods?watch=true&allowWatchBookmarks=true&resourceVersion={version}"
            f"&timeoutSeconds={WATCH_SECONDS}"
        )
        answer = self._open(path, SILENCE_SECONDS)
        try:
            if answer.status == _GONE:
                raise _Relist
            if answer.status != 200:  # noqa: PLR2004
                raise OSError(f"watch: {answer.status}")
            for line in _lines(answer):
                if self._stopping.is_set():
                    break
                version = self._event(parsed(line)) or version
        finally:
            answer.close()
        return version

    def _event(self, event: dict[str, Any]) -> str:
        kind, pod = event["type"], event["object"]
        if kind == "ERROR":
            if pod.get("code") == _GONE:
                raise _Relist
            raise OSError(f"watch: {pod.get('code')}: {pod.get('message')}")
        # A watch that brought something was well until it was cut; pauses are for one that is not.
        self._pause = FIRST_PAUSE_SECONDS
        metadata = pod["metadata"]
        if kind == "BOOKMARK":
            self._deliver(None)
        else:
            self._changed(metadata["uid"], None if kind == "DELETED" else record_of_pod(pod))
        return str(metadata["resourceVersion"])

    def _changed(self, uid: str, record: PodRecord | None) -> None:
        if record is not None:
            self._known.add(uid)
        elif uid in self._known:
            self._known.discard(uid)
        else:
            self._deliver(None)  # one that never mattered
            return
        self._deliver(PodChange(uid, record))


def _lines(answer: Answer) -> Iterator[bytes]:
    rest = bytearray()
    for piece in answer.stream(65536):
        rest += piece
        if b"\n" in piece:
            *lines, last = bytes(rest).split(b"\n")
            rest = bytearray(last)
            yield from (line for line in lines if line.strip())
        if len(rest) > LINE_BYTES:
            raise OSError("a line of a watch without an end")
