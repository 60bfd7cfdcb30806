"""Who is answered at all: whoever calls by a path that the live configurations name (A40).

A path ends with a token that changes every few minutes (`arming.tokens`), and only the API server
is told of it. So a request is known by its head:

1. its token is in the live configurations, or was a moment ago, or is the process's own, by which
   its canary comes
2. if not, the configurations may have changed since they were looked at: an upgrade by Helm takes
   the tokens away, the leader writes others. So one more look is taken, for all who wait together
   and once a second at most; what is not named then is refused

A path without a token counts only while the configurations name it so, as they do when they were
just installed; GRACE_SECONDS more pass before every API server has heard of another.
"""

import asyncio
import hmac
import logging
import math
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from weightlock.errors import WeightlockError

GRACE_SECONDS: Final = 30.0
"""How long what the configurations named before still counts: several API servers hear of a change
each for itself."""

PAUSE_SECONDS: Final = 1.0
"""Between two looks that strangers can cause."""

Look = Callable[[], Awaitable[object]]
"""Looks at the live configurations, and says what it saw to `Sightings`."""

log: Final = logging.getLogger(__name__)


class Sightings:
    """Which tokens the live configurations name, and which they named a moment ago."""

    def __init__(self, steady: Callable[[], float]) -> None:
        self._steady = steady
        self._until: dict[bytes, float] = {}

    def saw(self, tokens: Iterable[str]) -> None:
        """The configurations name these now; "" for a path without.

        They count until others are seen: while the API server cannot be asked, who may call is not
        what has changed.
        """
        now = self._steady()
        end = now + GRACE_SECONDS
        leaving = {each: min(until, end) for each, until in self._until.items() if until > now}
        self._until = {**leaving, **{token.encode(): math.inf for token in tokens}}

    @property
    def are_open(self) -> bool:
        """Whether a path without a token counts."""
        return self.know(b"")

    def know(self, token: bytes) -> bool:
        """Whether this is one of them, in a time that does not tell how nearly."""
        now, is_known = self._steady(), False
        for each, until in self._until.items():
            is_known |= hmac.compare_digest(each, token) and until > now
        return is_known


class Gate:
    """Asked about every request, by what ends its path."""

    def __init__(
        self, sightings: Sightings, look: Look, own_token: str, steady: Callable[[], float]
    ) -> None:
        self._sightings = sightings
        self._look = look
        self._own = own_token.encode()
        self._steady = steady
        self._lock = asyncio.Lock()
        self._looked_at = -PAUSE_SECONDS

    def admits(self, token: str) -> bool:
        """Step 1."""
        offered = token.encode(errors="replace")
        return self._sightings.know(offered) or hmac.compare_digest(self._own, offered)

    async def admits_after_a_look(self, token: str) -> bool:
        """Step 2. What counts is a look that begins after the request has come."""
        came_at = self._steady()
        async with self._lock:
            if self._looked_at < came_at:
                await asyncio.sleep(max(0.0, self._looked_at + PAUSE_SECONDS - self._steady()))
                self._looked_at = self._steady()
                try:
                    await self._look()
                except WeightlockError as error:
                    log.warning("the configurations were not looked at: %s", error.message)
        return self.admits(token)
