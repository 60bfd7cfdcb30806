"""Keeps kopf running until the process is told to stop.

kopf ends on answers that are no reason to end (a 410 to a list or a watch), may hang while it does,
and may run and hear nothing. In each case what is left of it is cancelled, and it is started anew.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from weightlock.policy.scalars import printable

FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 10.0
CLEANUP_SECONDS: Final = 5.0

_log = logging.getLogger(__name__)


class WatchKeeper:
    """Starts kopf, and again whenever it ends or is deaf."""

    def __init__(
        self,
        start: Callable[[], Awaitable[Collection[asyncio.Task[None]]]],
        stopping: asyncio.Event,
    ) -> None:
        """`start` starts the tasks of which none ends while kopf is well."""
        self._start = start
        self._stopping = stopping
        self.first_pause_seconds = FIRST_PAUSE_SECONDS
        self.longest_pause_seconds = LONGEST_PAUSE_SECONDS
        self.cleanup_seconds = CLEANUP_SECONDS
        self._deaf = asyncio.Event()
        self.ended: Callable[[], None] = lambda: None
        """Told that nothing is heard for a while, so that it is asked for instead."""

    def is_deaf(self) -> None:
        """Something was missed: kopf runs and hears nothing, and is started anew."""
        self._deaf.set()

    async def keep(self) -> None:
        """Run kopf, and again whenever it ends, until the process stops."""
        pause = self.first_pause_seconds
        while not self._stopping.is_set():
            began = time.monotonic()
            await self._once()
            if time.monotonic() - began > self.longest_pause_seconds:
                pause = self.first_pause_seconds
            await self._paused(pause)
            pause = min(2 * pause, self.longest_pause_seconds)

    async def _once(self) -> None:
        """Run it until any of it ends, or it hears nothing."""
        self._deaf.clear()
        tasks = await self._start()
        deaf = asyncio.create_task(self._deaf.wait())
        try:
            await asyncio.wait({*tasks, deaf}, return_when=asyncio.FIRST_COMPLETED)
            if not self._stopping.is_set():
                _log.error("%s; it is started anew", _why(tasks))
        finally:
            deaf.cancel()
            if not self._stopping.is_set():
                self.ended()
            await self._cancel(tasks)

    async def _cancel(self, tasks: Collection[asyncio.Task[None]]) -> None:
        """Twice: the first time kopf waits for some tasks before others, and some never end."""
        left = {task for task in tasks if not task.done()}
        for _ in range(2):
            for task in left:
                task.cancel()
            if left:
                _, left = await asyncio.wait(left, timeout=self.cleanup_seconds)

    async def _paused(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass


def _why(tasks: Collection[asyncio.Task[None]]) -> str:
    for task in tasks:
        if task.done() and not task.cancelled():
            error = task.exception()
            said = printable(repr(error)) if error else "without saying why"
            return f"kopf ended: {task.get_name()}: {said}"
    return "kopf misses changes"
