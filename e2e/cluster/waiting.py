"""Waiting for a condition instead of for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from e2e.cluster.errors import TimedOut

T = TypeVar("T")

POLL_SECONDS = 0.05


def wait_until(
    what: str, ready: Callable[[], T | None], *, timeout_seconds: float, poll: float = POLL_SECONDS
) -> T:
    """Ask until the answer is truthy, and return it.

    Raises:
        TimedOut: it was not so in time; says what was awaited.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        answer = ready()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimedOut(f"waited {timeout_seconds:.0f} s in vain: {what}")
        time.sleep(poll)
