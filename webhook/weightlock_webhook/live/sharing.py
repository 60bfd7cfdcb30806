"""Reads that many pods share, none of them older than the pod that asks.

A thousand pods of one job ask for the same claim. Whoever asks while such a read is under way joins
the next one, since the one under way may have seen what was true before the pod was made. So each
object is read at most once at a time, and an answer never predates the question.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from weightlock_webhook.cache.errors import Unreachable

Found = TypeVar("Found")

MOST_REMEMBERED: Final = 1024
"""Paths whose last answer is kept for those who accept an older one."""


@dataclass(slots=True)
class _Reads(Generic[Found]):
    """The reads of one path: one under way, and one that begins when it ends."""

    running: asyncio.Task[Found] | None = None
    following: asyncio.Task[Found] | None = None
    found: Found | None = None
    found_at: float = float("-inf")
    """When the read began that found it."""
    began_at: float = float("-inf")
    """When the last read began; in the future if it has not yet."""


class SharedReads(Generic[Found]):
    """Reads by path."""

    def __init__(self, fetch: Callable[[str], Awaitable[Found]]) -> None:
        """`fetch` ends by itself, however long its askers would wait."""
        self._fetch = fetch
        self._reads: dict[str, _Reads[Found]] = {}

    async def read(self, path: str, *, deadline: float, max_age_seconds: float = 0.0) -> Found:
        """What a read finds that began no longer than that before this call.

        Raises:
            Unreachable: if there was no answer by the deadline.
        """
        reads = self._reads.setdefault(path, _Reads())
        oldest = asyncio.get_running_loop().time() - max_age_seconds
        if max_age_seconds and reads.found is not None and reads.found_at >= oldest:
            return reads.found
        task = self._joined(path, reads, oldest)
        try:
            async with asyncio.timeout_at(deadline):
                # Whoever gives up first must not take the answer from the others.
                return await asyncio.shield(task)
        except TimeoutError as error:
            raise Unreachable("the API server did not answer in time") from error

    def _joined(self, path: str, reads: _Reads[Found], oldest: float) -> asyncio.Task[Found]:
        if reads.running is not None and reads.began_at > oldest:
            return reads.running
        if reads.running is None:
            reads.began_at = float("inf")
            reads.running = _watched(asyncio.create_task(self._run(path, reads)))
            return reads.running
        if reads.following is None:
            after = self._after(reads.running, path, reads)
            reads.following = _watched(asyncio.create_task(after))
        return reads.following

    async def _after(self, running: asyncio.Task[Found], path: str, reads: _Reads[Found]) -> Found:
        await asyncio.wait([running])
        reads.running, reads.following, reads.began_at = reads.following, None, float("inf")
        return await self._run(path, reads)

    async def _run(self, path: str, reads: _Reads[Found]) -> Found:
        reads.began_at = asyncio.get_running_loop().time()
        try:
            reads.found = await self._fetch(path)
            reads.found_at = reads.began_at
            return reads.found
        finally:
            if reads.following is None:
                reads.running = None
                self._forget()

    def _forget(self) -> None:
        if len(self._reads) > MOST_REMEMBERED:
            self._reads = {path: each for path, each in self._reads.items() if each.running}


def _watched(task: asyncio.Task[Found]) -> asyncio.Task[Found]:
    """The task; that nobody waited for its failure is not worth a word."""
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task
