"""How late the event loop runs: what hangs it would hang every answer."""

import asyncio
from typing import Final

BEAT_SECONDS: Final = 1.0
DEAD_SECONDS: Final = 10.0


class Heartbeat:
    """Beats once a second; asked from a probe, so it can only say how late it was, not hang."""

    def __init__(self) -> None:
        self._latest = 0.0

    async def run(self) -> None:
        """Beat until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(BEAT_SECONDS)
            self._latest = loop.time() - before - BEAT_SECONDS

    def troubles(self) -> tuple[str, ...]:
        """Whether the loop was blocked for long."""
        if self._latest < DEAD_SECONDS:
            return ()
        return (f"the event loop was blocked for {self._latest:.1f} s",)
