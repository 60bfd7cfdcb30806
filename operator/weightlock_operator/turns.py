"""Whose turn it is: keeps the tickets and what runs, and asks weightlock_operator.decision.queue.

The order is computed a few times a second at most, however many checkpoints wait; the limits are
counted at every start, so a stale order may delay one, and never let one too many start (A25).
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

from weightlock_operator.decision.landing import COOLDOWN
from weightlock_operator.decision.queue import Load, Place, Running, Ticket, most_in_all, places

ORDER_SECONDS: Final = 0.25
NO_PLACE: Final = Place()


class Turns:
    """For one event loop."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._tickets: dict[str, Ticket] = {}
        self._running: dict[str, Running] = {}
        self._load = Load()
        self._most = most_in_all(())
        self._order: Mapping[str, Place] = {}
        self._ordered_at = float("-inf")
        self._changed = False
        self._started_at: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._tickets)

    @property
    def running(self) -> int:
        """How many verifications are in flight."""
        return len(self._running)

    def place(self, uid: str) -> Place:
        """Where a checkpoint stands; without a ticket nowhere."""
        if uid in self._running:
            return Place(may_start=True)  # it has its turn already
        ticket = self._tickets.get(uid)
        if ticket is None:
            return NO_PLACE
        found = self._order.get(uid)
        if found is None:  # it came after the order was made; alone it need not wait for the next
            found = Place(len(self._tickets), may_start=len(self._tickets) == 1)
        most = max(self._most, most_in_all([ticket.totals]))
        fits = self._load.has_room_for(ticket, most)
        return Place(found.position, found.may_start and fits)

    def wants(self, ticket: Ticket) -> None:
        """A checkpoint waits for its turn."""
        if self._tickets.get(ticket.checkpoint_uid) != ticket:
            self._tickets[ticket.checkpoint_uid] = ticket
            self._changed = True

    def wants_nothing(self, uid: str) -> None:
        """It does not, or no more."""
        if self._tickets.pop(uid, None) is not None:
            self._changed = True

    def runs(self, running: Running) -> None:
        """A verification is in flight, or about to start."""
        uid = running.checkpoint_uid
        if self._running.get(uid) != running:
            self.runs_no_more(uid)
            self._running[uid] = running
            self._load.add(running)
            self._changed = True
        self.wants_nothing(uid)

    def runs_no_more(self, uid: str) -> None:
        """It is not."""
        running = self._running.pop(uid, None)
        if running is not None:
            self._load.add(running, -1)
            self._changed = True

    def starts(self, uid: str) -> None:
        """A Job is about to be made, and no status knows of it yet."""
        self._started_at[uid] = self._clock()

    def recorded(self, uid: str) -> None:
        """The status knows what came of it, and when the next may start."""
        self._started_at.pop(uid, None)

    def pause(self, uid: str) -> timedelta:
        """How long another Job has to wait for the last one, of which no status knows."""
        started_at = self._started_at.get(uid)
        if started_at is None:
            return timedelta()
        return max(timedelta(), COOLDOWN - timedelta(seconds=self._clock() - started_at))

    def forget(self, uid: str) -> None:
        """The checkpoint is gone."""
        self.recorded(uid)
        self.wants_nothing(uid)
        self.runs_no_more(uid)

    def call(self) -> tuple[str, ...]:
        """Put the waiting in order anew, if anything changed; returns whose turn it is."""
        if not self._changed or self._clock() - self._ordered_at < ORDER_SECONDS:
            return ()
        self._changed = False
        self._ordered_at = self._clock()
        wanted = [ticket.totals for ticket in self._tickets.values()]
        self._most = most_in_all([*wanted, *(each.totals for each in self._running.values())])
        self._order = places(self._tickets.values(), self._running.values())
        return tuple(uid for uid, place in self._order.items() if place.may_start)
