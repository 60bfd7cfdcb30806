"""Reviews that wait for the API server: so many at once, and no namespace at the cost of others.

Whoever waits holds one of the places of the door (`most_in_flight`), and the door cannot tell whose
review comes next. So fewer wait than there are places, and when they are too many, of the namespace
that has the most the youngest leaves, which has cost the least: who waits for long gets its answer.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

MOST_WAITING: Final = 192


def most_waiting(places: int) -> int:
    """How many may wait, of so many that are answered at once."""
    return max(1, places * 3 // 4)


@dataclass(slots=True, eq=False)
class Seat:
    """One that waits, until `timeout`."""

    namespace: str
    timeout: asyncio.Timeout
    was_sent_away: bool = False


class WaitingRoom:
    """Who waits, by namespace, oldest first."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        self._most = most
        self._seats: dict[str, dict[Seat, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def enter(self, namespace: str, timeout: asyncio.Timeout) -> Seat:
        """One more waits; if that is one too many, one ends at once, perhaps itself."""
        seat = Seat(namespace, timeout)
        self._seats.setdefault(namespace, {})[seat] = None
        self._count += 1
        if self._count > self._most:
            self._send_away()
        return seat

    def leave(self, seat: Seat) -> None:
        """One less, unless it was sent away."""
        seats = self._seats.get(seat.namespace, {})
        if seat not in seats:
            return
        del seats[seat]
        self._count -= 1
        if not seats:
            del self._seats[seat.namespace]

    def _send_away(self) -> None:
        # Where all have the same, the namespace that came last.
        fullest = max(reversed(self._seats.values()), key=len)
        leaving = next(reversed(fullest))
        self.leave(leaving)
        leaving.was_sent_away = True
        if not leaving.timeout.expired():
            leaving.timeout.reschedule(asyncio.get_running_loop().time())
