"""Who verifies next: fair between namespaces, and never more at once than policies allow (A25).

Within a namespace those come first for whom a pod is held, then whoever waits longest. Between
namespaces they take turns, and what runs already counts as a turn that was had. Laws: the order of
the tickets never matters; no limit is ever exceeded; whoever waits alone and may, starts.

A policy's `total` counts what flies under that policy: held against all that flies, a careful
policy would wait for ever behind lax ones. All together fly at most as many as the laxest grants. A
Job that is suspended takes a turn of its namespace and none of the others': it uses nothing, and
whoever manages its queue may let it wait for days.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from weightlock.policy.verification import Limits

USUAL_TOTAL: Final = Limits().total

Totals = tuple[tuple[str, int], ...]
"""Each policy that governs, and how many verifications may run under it."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A checkpoint that wants to be verified, and the limits of the policies that govern it."""

    checkpoint_uid: str
    namespace: str
    since: datetime
    is_awaited: bool
    """Whether a pod is held, or was refused, for want of it."""

    per_namespace: int
    totals: Totals


@dataclass(frozen=True, slots=True)
class Place:
    """Where a checkpoint stands in the queue; `position` counts from 1."""

    position: int = 1
    may_start: bool = False


@dataclass(frozen=True, slots=True)
class Running:
    """A verification that is in flight."""

    checkpoint_uid: str
    namespace: str
    totals: Totals = ()
    is_suspended: bool = False


@dataclass(slots=True)
class Load:
    """How much is in flight, counted as limits count it."""

    namespaces: Counter[str] = field(default_factory=Counter)
    policies: Counter[str] = field(default_factory=Counter)
    total: int = 0

    def add(self, running: Running, times: int = 1) -> None:
        """One more; `times` is -1 for one less."""
        self.namespaces[running.namespace] += times
        if not self.namespaces[running.namespace]:
            del self.namespaces[running.namespace]
        if not running.is_suspended:
            self.total += times
            self.policies.update({policy: times for policy, _ in running.totals})

    def has_room_for(self, ticket: Ticket, most: int) -> bool:
        """Whether one more may start, where `most` may fly in all."""
        return (
            self.namespaces[ticket.namespace] < ticket.per_namespace
            and self.total < most
            and all(self.policies[policy] < total for policy, total in ticket.totals)
        )


def most_in_all(totals: Iterable[Totals]) -> int:
    """How many may fly in all: as the laxest of those that want to says, or the usual number."""
    granted = (min(total for _, total in each) for each in totals if each)
    return max((USUAL_TOTAL, *granted))


def places(tickets: Iterable[Ticket], running: Iterable[Running]) -> Mapping[str, Place]:
    """The place of every ticket, by the uid of its checkpoint."""
    flying = {each.checkpoint_uid: each for each in running}
    load = Load()
    for each in flying.values():
        load.add(each)
    waiting = {each.checkpoint_uid: each for each in tickets if each.checkpoint_uid not in flying}
    wanted = [ticket.totals for ticket in waiting.values()]
    most = most_in_all([*wanted, *(each.totals for each in flying.values())])
    found: dict[str, Place] = {}
    ordered = _ordered(waiting.values(), load.namespaces)
    for position, ticket in enumerate(ordered, start=1):
        may_start = load.has_room_for(ticket, most)
        if may_start:
            load.add(Running(ticket.checkpoint_uid, ticket.namespace, ticket.totals))
        found[ticket.checkpoint_uid] = Place(position, may_start)
    return found


def _ordered(tickets: Iterable[Ticket], busy: Mapping[str, int]) -> list[Ticket]:
    turns: list[tuple[int, Ticket]] = []
    taken: Counter[str] = Counter(busy)
    for ticket in sorted(tickets, key=_urgency):
        turns.append((taken[ticket.namespace], ticket))
        taken[ticket.namespace] += 1
    return [ticket for _, ticket in sorted(turns, key=_turn_then_urgency)]


def _turn_then_urgency(pair: tuple[int, Ticket]) -> tuple[int, bool, datetime, str, str]:
    turn, ticket = pair
    return (turn, *_urgency(ticket))


def _urgency(ticket: Ticket) -> tuple[bool, datetime, str, str]:
    return not ticket.is_awaited, ticket.since, ticket.namespace, ticket.checkpoint_uid
