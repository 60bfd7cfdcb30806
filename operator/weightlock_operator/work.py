"""What has to be looked at: checkpoints by uid, each at most once, never two at a time.

However many events name a checkpoint, it is queued once; an event that comes while it is looked at
queues it again afterwards (levels, not edges: E05). What happened just now overtakes the thousands
of a start. One that fails waits longer each time and delays no other (D07).

Namespaces take turns: a tenant with a thousand checkpoints who touches them all once a second, or
has pods held and taken away for them, waits behind its own, and nobody else behind more than one of
them at a time. For the same reason a better priority is a head start, and no right of way.
"""

import asyncio
import heapq
import random
from collections.abc import Callable
from enum import IntEnum
from itertools import count
from typing import Final

FIRST_DELAY_SECONDS: Final = 1.0
LONGEST_DELAY_SECONDS: Final = 300.0

Clock = Callable[[], float]


class Priority(IntEnum):
    """Who goes first."""

    AWAITED = 0
    """A pod waits for it."""

    LIVE = 1
    """Something happened."""

    ROUTINE = 2
    """A first listing, or a look because time has passed."""


_BEHIND: Final = {Priority.AWAITED: 0, Priority.LIVE: 64, Priority.ROUTINE: 4096}
"""How many turns each priority stands behind the best."""


class WorkQueue:
    """For one event loop.

    Each look has a turn: one after the last of its party and priority that waits, or the next. The
    earliest turn comes first, by as much later as its priority stands behind.
    """

    def __init__(self, clock: Clock, party: Callable[[str], str] = lambda _uid: "") -> None:
        """`party` says with whom something shares its turns: the namespace."""
        self._clock = clock
        self._party = party
        self._turn = 0
        self._last: dict[tuple[str, Priority], int] = {}
        self._heap: list[tuple[int, int, Priority, str]] = []
        self._queued: dict[str, Priority] = {}
        self._busy: set[str] = set()
        self._again: dict[str, Priority] = {}
        self._later: dict[str, float] = {}
        self._alarms: list[tuple[float, str]] = []
        self._failures: dict[str, int] = {}
        self._order = count()
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return len(self._queued)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is queued or being looked at; what is due later does not count."""
        return not self._queued and not self._busy

    def add(self, uid: str, priority: Priority = Priority.LIVE) -> None:
        """Have it looked at, soon."""
        if uid in self._busy:
            self._again[uid] = min(priority, self._again.get(uid, priority))
        elif uid not in self._queued or priority < self._queued[uid]:
            self._queued[uid] = priority
            place = self._next_turn(uid, priority) + _BEHIND[priority]
            heapq.heappush(self._heap, (place, next(self._order), priority, uid))
            self._news.set()

    def add_after(self, uid: str, seconds: float) -> None:
        """Have it looked at then, unless that happens sooner; the earliest of several counts."""
        at = self._clock() + seconds
        if at < self._later.get(uid, float("inf")):
            self._later[uid] = at
            heapq.heappush(self._alarms, (at, uid))
            self._news.set()

    def failed(self, uid: str) -> float:
        """Have it looked at again after a pause that grows with each failure in a row."""
        failures = self._failures.get(uid, 0) + 1
        self._failures[uid] = failures
        longest = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0 ** min(failures - 1, 16))
        delay = longest * (0.75 + random.random() / 4)  # noqa: S311 - spreads load, hides nothing
        self.add_after(uid, delay)
        return delay

    def forget_failures(self, uid: str) -> None:
        """It went well."""
        self._failures.pop(uid, None)

    def forget(self, uid: str) -> None:
        """It is gone; memory must not keep it."""
        self._failures.pop(uid, None)
        self._later.pop(uid, None)

    async def get(self) -> str:
        """The next one; `done` must follow."""
        while True:
            self._ring()
            found = self._pop()
            if found is not None:
                return found
            self._news.clear()
            # Waits for news, or until the next alarm.
            try:
                async with asyncio.timeout(self._until_alarm()):
                    await self._news.wait()
            except TimeoutError:
                pass

    def done(self, uid: str) -> None:
        """It has been looked at."""
        self._busy.discard(uid)
        priority = self._again.pop(uid, None)
        if priority is not None:
            self.add(uid, priority)

    def _pop(self) -> str | None:
        while self._heap:
            place, _, priority, uid = heapq.heappop(self._heap)
            # An entry that was overtaken by one with a better priority is left behind.
            if self._queued.get(uid) == priority:
                del self._queued[uid]
                self._busy.add(uid)
                self._later.pop(uid, None)
                self._turn = max(self._turn, place - _BEHIND[priority])
                return uid
        self._last.clear()  # nobody waits, so nobody has had more turns than others
        return None

    def _next_turn(self, uid: str, priority: Priority) -> int:
        party = (self._party(uid), priority)
        self._last[party] = max(self._turn, self._last.get(party, 0)) + 1
        return self._last[party]

    def _ring(self) -> None:
        now = self._clock()
        while self._alarms and self._alarms[0][0] <= now:
            at, uid = heapq.heappop(self._alarms)
            if self._later.get(uid) == at:
                del self._later[uid]
                self.add(uid, Priority.ROUTINE)

    def _until_alarm(self) -> float | None:
        if not self._alarms:
            return None
        return max(0.0, self._alarms[0][0] - self._clock())
