"""When to try again after trouble: soon at first, hourly in the end, never all at once."""

import hashlib
from datetime import timedelta
from typing import Final

FIRST: Final = timedelta(seconds=30)
SLOWEST: Final = timedelta(hours=1)
SPREAD: Final = 0.25
LONGEST: Final = SLOWEST * (1 + SPREAD)


def delay_after(attempts: int, retries: int, uid: str) -> timedelta:
    """How long to wait after so many attempts in a row; the first `retries` of them are soon.

    Laws: never below FIRST, never above LONGEST.
    """
    if attempts > retries:
        return SLOWEST * spread(uid, SPREAD)
    doublings = min(max(attempts - 1, 0), 10)
    return min(FIRST * int(2**doublings), SLOWEST) * spread(uid, SPREAD)


def spread(uid: str, share: float) -> float:
    """A factor from 1 to 1 + share, the same each time for one checkpoint."""
    return 1 + share * int.from_bytes(hashlib.sha256(uid.encode()).digest()[:4], "big") / 2**32
