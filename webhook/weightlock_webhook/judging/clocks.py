"""A wall clock that never goes back: a key that has expired stays expired (A23)."""

from collections.abc import Callable
from datetime import datetime


class ForwardClock:
    """The highest that another clock has shown so far."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._highest = clock()

    def __call__(self) -> datetime:
        """Now, or the latest instant that was ever now."""
        self._highest = max(self._highest, self._clock())
        return self._highest
