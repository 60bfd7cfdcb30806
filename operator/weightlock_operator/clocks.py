"""The two clocks, read nowhere else; whoever needs one is given it."""

import time
from datetime import UTC, datetime


def steady_clock() -> float:
    """Seconds that also pass while the process is stopped and the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def wall_clock() -> datetime:
    """Now."""
    return datetime.now(UTC)  # noqa: TID251 - the edge where the clock is read
