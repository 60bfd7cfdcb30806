"""Who verifies next: fair between namespaces, and never more at once than policies allow (A25).

Within a namespace those come first for whom a pod is held, then whoever waits longest. Between
namespaces they take turns, and what runs already counts as a turn that was had. Laws: the order of
the tickets never matters; no limit is ever exceeded; whoever waits alone and may, starts.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Ticket:
    """A checkpoint that wants to be verified, and the limits of the policies that govern it."""

    checkpoint_uid: str
    namespace: str
    since: datetime
    is_awaited: bool
    """Whether a pod is held, or was refused, for want of it."""

    per_namespace: int
    total: int


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


def places(tickets: Iterable[Ticket], running: Iterable[Running]) -> Mapping[str, Place]:
    """The place of every ticket, by the uid of its checkpoint."""
    flying = {each.checkpoint_uid: each for each in running}
    busy = Counter(each.namespace for each in flying.values())
    waiting = {each.checkpoint_uid: each for each in tickets if each.checkpoint_uid not in flying}
    total = len(flying)
    found: dict[str, Place] = {}
    for position, ticket in enumerate(_ordered(waiting.values(), busy), start=1):
        may_start = busy[ticket.namespace] < ticket.per_namespace and total < ticket.total
        if may_start:
            busy[ticket.namespace] += 1
            total += 1
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
