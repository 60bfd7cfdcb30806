"""Answers by a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from weightlock_webhook.reviews.deadlines import by


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def soon(seconds: float = 5.0) -> float:
    return asyncio.get_running_loop().time() + seconds


async def waiting(*, times: int) -> int:
    for _ in range(times):
        await asyncio.sleep(0)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_result, None)
        await future
    return times


@pytest.mark.parametrize("times", [0, 1, 3])
def test_an_answer_is_what_the_coroutine_returns(times: int) -> None:
    async def test() -> None:
        assert await by(soon(), waiting(times=times)) == times

    run(test())


@pytest.mark.parametrize("times", [0, 2])
def test_its_errors_are_its_own(times: int) -> None:
    async def failing() -> int:
        await waiting(times=times)
        raise ValueError("mine")

    async def test() -> None:
        with pytest.raises(ValueError, match="mine"):
            await by(soon(), failing())

    run(test())


def test_whoever_still_waits_at_the_deadline_is_stopped_and_cleans_up() -> None:
    done: list[str] = []

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            done.append("cleaned")

    async def test() -> None:
        with pytest.raises(TimeoutError):
            await by(soon(0.01), endless())

    run(test())
    assert done == ["cleaned"]


def test_a_deadline_of_its_own_is_kept_too() -> None:
    async def inner() -> str:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        except TimeoutError:
            return "went on"
        return "never"

    async def test() -> None:
        assert await by(soon(), inner()) == "went on"

    run(test())


def test_cancelling_whoever_asks_cancels_the_answer() -> None:
    seen: list[str] = []

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def test() -> None:
        task = asyncio.create_task(by(soon(), endless()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(test())
    assert seen == ["cancelled"]


def test_an_answer_that_is_given_up_is_closed() -> None:
    seen: list[str] = []

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        except GeneratorExit:
            seen.append("closed")
            raise

    async def test() -> None:
        answer = by(soon(), endless())
        answer.send(None)
        answer.close()

    run(test())
    assert seen == ["closed"]
