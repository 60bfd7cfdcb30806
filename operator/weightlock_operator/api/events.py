"""Kubernetes Events: few, and never twice.

kopf would post one per log line; here an Event is what a person should read with
`kubectl describe`. The same (object, reason, message) is one Event whose count grows; repeats
within a minute are swallowed, and each object has an allowance (D01).

Recording never waits and never fails: what the queue cannot hold is dropped and counted.
"""

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, TypeVar

from weightlock.policy.scalars import printable
from weightlock_operator.api.cluster import EVENTS, Cluster, Json
from weightlock_operator.api.cluster_errors import (
    AlreadyExists,
    ClusterTrouble,
    NotFound,
    NotLeader,
)

COMPONENT: Final = "weightlock-operator"
QUEUE_EVENTS: Final = 1000
REMEMBERED: Final = 4096
REPEAT_SECONDS: Final = 60.0
OBJECT_BURST: Final = 10
OBJECT_REFILL_SECONDS: Final = 60.0
MESSAGE_CHARACTERS: Final = 1000
"""The API refuses messages over 1024."""

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class EventType(StrEnum):
    """As core/v1 has it."""

    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True)
class Involved:
    """The object that an Event is about."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that a person should be told."""

    about: Involved
    type: EventType
    reason: str
    message: str

    @property
    def key(self) -> str:
        """What makes two notices the same one."""
        parts = (self.about.uid, self.about.name, self.type, self.reason, self.message)
        return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(slots=True)
class _Told:
    """A notice that was given before."""

    count: int
    at: float


@dataclass(slots=True)
class _Allowance:
    """A token bucket."""

    tokens: float
    at: float

    def take(self, now: float) -> bool:
        """Whether one more fits."""
        refilled = self.tokens + (now - self.at) / OBJECT_REFILL_SECONDS
        self.tokens, self.at = min(OBJECT_BURST, refilled), now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class Recorder:
    """Takes notices and writes Events in the background."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        instance: str,
        clock: Callable[[], float],
        wall: Callable[[], datetime],
    ) -> None:
        self._cluster = cluster
        self._instance = instance
        self._clock = clock
        self._wall = wall
        self._queue: asyncio.Queue[tuple[Notice, int]] = asyncio.Queue(QUEUE_EVENTS)
        self._told: OrderedDict[str, _Told] = OrderedDict()
        self._allowances: OrderedDict[str, _Allowance] = OrderedDict()
        self.dropped = 0

    def record(self, notice: Notice) -> None:
        """Tell it, unless it was told a moment ago or the object has been too talkative."""
        now = self._clock()
        told = self._told.get(notice.key)
        if told is not None and now - told.at < REPEAT_SECONDS:
            return
        if not self._allowance(notice.about).take(now):
            self.dropped += 1
            return
        count = told.count + 1 if told is not None else 1
        _put(self._told, notice.key, _Told(count, now))
        try:
            self._queue.put_nowait((notice, count))
        except asyncio.QueueFull:
            self.dropped += 1

    async def run(self) -> None:
        """Write until cancelled; trouble costs an Event, never more."""
        while True:
            notice, count = await self._queue.get()
            try:
                await self._write(notice, count)
            except NotLeader:
                pass  # whoever leads now tells it
            except ClusterTrouble as trouble:
                self.dropped += 1
                _log.debug("an Event was lost: %s", trouble.message)
            finally:
                self._queue.task_done()

    async def flush(self) -> None:
        """Wait until everything recorded so far is written or given up."""
        await self._queue.join()

    async def _write(self, notice: Notice, count: int) -> None:
        namespace = notice.about.namespace or "default"
        # A name that is cut must not end in a dash: no object may have a part of its name so.
        name = f"{notice.about.name[:200].rstrip('-.')}.{notice.key}"
        again: Json = {"count": count, "lastTimestamp": _time(self._wall())}
        if count > 1:
            try:
                await self._cluster.patch(EVENTS, namespace, name, again)
            except NotFound:
                pass  # it has expired
            else:
                return
        try:
            await self._cluster.create(EVENTS, namespace, self._event(notice, name, namespace))
        except AlreadyExists:
            # By this process' predecessor, whose count is unknown here.
            await self._cluster.patch(
                EVENTS, namespace, name, {"lastTimestamp": again["lastTimestamp"]}
            )

    def _event(self, notice: Notice, name: str, namespace: str) -> Json:
        now = _time(self._wall())
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": {
                "apiVersion": notice.about.api_version,
                "kind": notice.about.kind,
                "namespace": notice.about.namespace,
                "name": notice.about.name,
                "uid": notice.about.uid,
            },
            "type": notice.type.value,
            "reason": notice.reason,
            "message": printable(notice.message)[:MESSAGE_CHARACTERS],
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "reportingInstance": self._instance[:128],
        }

    def _allowance(self, about: Involved) -> _Allowance:
        found = self._allowances.get(about.uid)
        if found is None:
            found = _Allowance(OBJECT_BURST, self._clock())
        _put(self._allowances, about.uid, found)
        return found


def _put(memory: OrderedDict[str, _T], key: str, value: _T) -> None:
    """Remember, and forget the oldest: memory must not grow with the number of objects."""
    memory[key] = value
    memory.move_to_end(key)
    while len(memory) > REMEMBERED:
        memory.popitem(last=False)


def _time(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
