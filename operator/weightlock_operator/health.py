"""What /healthz and /readyz are made of: named checks that say what is wrong.

Healthy means that a restart would not help: the event loop turns and the watches are alive. Ready
means that this replica does its part: its rights are complete and, while it leads, that it has seen
every object once. The API server being away makes neither of them false by itself, or every
replica would be restarted for somebody else's trouble; a watch that stays dead does.
"""

import asyncio
from collections.abc import Callable
from typing import Final

LAG_INTERVAL_SECONDS: Final = 1.0
LAG_LIMIT_SECONDS: Final = 10.0
WATCH_LIMIT_SECONDS: Final = 600.0
"""Well above a round of lists, which is all that is heard of a kind that never changes, even where
the machine is slow; by then kopf has given up silently (E03, E04)."""

Clock = Callable[[], float]
Check = Callable[[], str]
"""Returns what is wrong, or nothing."""


class Health:
    """The checks of one process."""

    def __init__(self) -> None:
        self._alive: dict[str, Check] = {}
        self._ready: dict[str, Check] = {}

    def must_live(self, name: str, check: Check) -> None:
        """A check whose failure a restart may cure."""
        self._alive[name] = check

    def must_hold(self, name: str, check: Check) -> None:
        """A check whose failure means: not ready."""
        self._ready[name] = check

    def sick(self) -> dict[str, str]:
        """Why the process should be restarted."""
        return _wrong(self._alive)

    def unready(self) -> dict[str, str]:
        """Why the process is not ready."""
        return _wrong(self._alive) | _wrong(self._ready)


class LoopWatch:
    """Measures by how much the event loop is late."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.lag_seconds = 0.0

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            began = self._clock()
            await asyncio.sleep(LAG_INTERVAL_SECONDS)
            self.measure(began)

    def measure(self, began: float) -> None:
        """An interval that began then is over."""
        self.lag_seconds = max(0.0, self._clock() - began - LAG_INTERVAL_SECONDS)

    def wrong(self) -> str:
        """A check for Health."""
        late = self.lag_seconds
        return f"the event loop was {late:.0f} s late" if late > LAG_LIMIT_SECONDS else ""


class WatchAges:
    """When something was last heard of each watched resource, by the steady clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heard: dict[str, float] = {}

    def expect(self, resource: str) -> None:
        """Watching begins."""
        self._heard[resource] = self._clock()

    def heard(self, resource: str) -> None:
        """An event, a bookmark or a whole list arrived."""
        self._heard[resource] = self._clock()

    def ages(self) -> dict[str, float]:
        """Seconds of silence, resource by resource."""
        now = self._clock()
        return {resource: now - at for resource, at in self._heard.items()}

    def wrong(self) -> str:
        """A check for Health."""
        silent = [name for name, age in self.ages().items() if age > WATCH_LIMIT_SECONDS]
        return f"nothing heard of {', '.join(sorted(silent))}" if silent else ""


def _wrong(checks: dict[str, Check]) -> dict[str, str]:
    return {name: text for name, check in checks.items() if (text := check())}
