"""Reads that many pods share, none of them older than the pod that asks.

A thousand pods of one job ask for the same claim. Whoever asks while such a read is under way joins
the next one, since the one under way may have seen what was true before the pod was made. So each
object is read at most once at a time, and an answer never predates the question.

A read begins when it has its place; whoever asks before that shares it. Each namespace reads for
itself, even what belongs to none: who shares a read waits in the lane that it waits in.

Law: the read that begin(namespace, path, fetch, age) gives began no earlier than `age` before that
call.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from weightlock_webhook.live.lanes import Lanes

Found = TypeVar("Found")
Fetch = Callable[[float], Coroutine[Any, Any, Found]]
"""Reads until a deadline."""

READ_SECONDS: Final = 3.0
"""After which a read is given up, below the webhook's own deadline."""

MOST_REMEMBERED: Final = 1024
"""Paths whose last read is kept for those who accept an older one."""

NEVER: Final = float("-inf")
NOT_YET: Final = float("inf")


@dataclass(slots=True)
class _Reads(Generic[Found]):
    """The reads of one path: the last one, done or not, and one that begins when it ends."""

    namespace: str
    last: asyncio.Task[Found] | None = None
    began_at: float = NEVER
    """When the last one began; in the future if it has not yet."""
    following: asyncio.Task[Found] | None = None


class SharedReads(Generic[Found]):
    """Reads by namespace and path."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._reads: dict[tuple[str, str], _Reads[Found]] = {}
        self._most = MOST_REMEMBERED

    def begin(
        self, namespace: str, path: str, fetch: Fetch[Found], max_age_seconds: float = 0.0
    ) -> asyncio.Task[Found]:
        """A read for a namespace that began no longer than that before this call.

        `fetch` ends by itself, however long its askers would wait. Wait with `asyncio.wait`, which
        unlike `await` does not take the read from others.
        """
        reads = self._reads.get((namespace, path))
        if reads is None:
            self._forget()
            reads = self._reads[namespace, path] = _Reads(namespace)
        oldest = asyncio.get_running_loop().time() - max_age_seconds
        last = reads.last
        if last is not None and reads.began_at > oldest and not _has_failed(last):
            return last
        if last is None or (last.done() and reads.following is None):
            reads.began_at = NOT_YET
            reads.last = _watched(asyncio.create_task(self._run(reads, fetch)))
            return reads.last
        if reads.following is None:
            reads.following = _watched(asyncio.create_task(self._after(last, reads, fetch)))
        return reads.following

    async def _after(
        self, last: asyncio.Task[Found], reads: _Reads[Found], fetch: Fetch[Found]
    ) -> Found:
        await asyncio.wait([last])
        reads.last, reads.following, reads.began_at = reads.following, None, NOT_YET
        return await self._run(reads, fetch)

    async def _run(self, reads: _Reads[Found], fetch: Fetch[Found]) -> Found:
        deadline = asyncio.get_running_loop().time() + READ_SECONDS

        def begun() -> Coroutine[Any, Any, Found]:
            reads.began_at = asyncio.get_running_loop().time()
            return fetch(deadline)

        return await self._lanes.within(reads.namespace, deadline, begun)

    def _forget(self) -> None:
        if len(self._reads) > self._most:
            self._reads = {
                key: each
                for key, each in self._reads.items()
                if each.last is not None and not each.last.done()
            }
            # Of a burst none is done for a while: to go through all of it for each more of it would
            # stop every answer for seconds.
            self._most = max(MOST_REMEMBERED, 2 * len(self._reads))


def _has_failed(task: asyncio.Task[Found]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


def _watched(task: asyncio.Task[Found]) -> asyncio.Task[Found]:
    """The task; that nobody waited for its failure is not worth a word."""
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task
