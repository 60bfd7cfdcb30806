"""kopf ends, hangs or hears nothing: it is started anew, and nobody else is touched."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from weightlock_operator.watch_keeper import WatchKeeper

Part = Callable[[], Coroutine[Any, Any, None]]


class Runs:
    """Starts tasks as kopf does; each run is a table of its parts."""

    def __init__(self, *runs: tuple[Part, ...]) -> None:
        self.left = list(runs)
        self.tasks: list[asyncio.Task[None]] = []
        self.deaf = 0
        self.stopping = asyncio.Event()
        self.keeper = WatchKeeper(self.start, self.stopping)
        self.keeper.first_pause_seconds = self.keeper.longest_pause_seconds = 0
        self.keeper.cleanup_seconds = 0.01
        self.keeper.ended = self.ended

    def ended(self) -> None:
        self.deaf += 1

    async def start(self) -> list[asyncio.Task[None]]:
        if not self.left:
            self.stopping.set()
            return [asyncio.create_task(asyncio.sleep(0))]
        self.tasks = [asyncio.create_task(part(), name=part.__name__) for part in self.left.pop(0)]
        return self.tasks


async def lives() -> None:
    await asyncio.Event().wait()


async def fails() -> None:
    raise OSError("410")


async def returns() -> None:
    pass


async def clings() -> None:
    """Takes no notice of being cancelled, once."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await asyncio.Event().wait()


async def hangs() -> None:
    """Never ends, whatever is done to it."""
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if LET_GO.is_set():
                raise


LET_GO = asyncio.Event()
"""Ends what hangs, at the end of its test."""


def told(story: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(5):
            await story()

    asyncio.run(limited())


@pytest.mark.parametrize("end", [fails, returns])
def test_it_is_started_anew_when_any_part_of_it_ends(
    end: Part, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        runs = Runs((lives, end), (end, lives))
        await runs.keeper.keep()
        assert (runs.left, runs.deaf) == ([], 2)
        assert all(task.done() for task in runs.tasks)

    told(story)
    assert f"kopf ended: {end.__name__}" in caplog.text


def test_it_is_started_anew_though_it_does_not_end(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        LET_GO.clear()
        runs = Runs((fails, clings, hangs))
        await runs.keeper.keep()
        clung, hung = runs.tasks[1:]
        assert clung.done()
        assert not hung.done()
        LET_GO.set()
        hung.cancel()
        await asyncio.wait({hung})

    told(story)


def test_it_is_started_anew_when_it_hears_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        runs = Runs((lives,))
        keeping = asyncio.create_task(runs.keeper.keep())
        while not runs.tasks:
            await asyncio.sleep(0)
        runs.keeper.is_deaf()
        await keeping
        assert runs.deaf == 1

    told(story)
    assert "kopf misses changes" in caplog.text


def test_nobody_else_is_cancelled_with_it() -> None:
    """kopf's own way to end takes every task of the process along."""

    async def story() -> None:
        other: list[asyncio.Task[None]] = []

        async def spawns() -> None:
            other.append(asyncio.create_task(lives()))

        runs = Runs((spawns, lives))
        await runs.keeper.keep()
        assert not other[0].cancelling()
        other[0].cancel()

    told(story)


def test_it_ends_with_the_process(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        runs = Runs((lives, fails))
        runs.keeper.first_pause_seconds = runs.keeper.longest_pause_seconds = 60
        keeping = asyncio.create_task(runs.keeper.keep())
        while not runs.deaf:
            await asyncio.sleep(0)
        runs.stopping.set()
        await keeping

    told(story)
