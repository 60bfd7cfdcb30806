"""Answers by a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from weightlock_webhook.cache.errors import Crowded
from weightlock_webhook.reviews import deadlines
from weightlock_webhook.reviews.waiting import MOST_WAITING, WaitingRoom, most_waiting
from weightlock_webhook.server.limits import Limits


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def soon(seconds: float = 5.0) -> float:
    return asyncio.get_running_loop().time() + seconds


async def by(deadline: float, answer: Coroutine[Any, Any, Any]) -> Any:
    """With a room in which there is place enough, and which is empty again in the end."""
    room = WaitingRoom()
    try:
        return await deadlines.by(deadline, answer, room, "team-a")
    finally:
        assert len(room) == 0


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


class Crowd:
    """Answers that wait until they are told to come, by namespace."""

    def __init__(self, most: int) -> None:
        self.room = WaitingRoom(most)
        self.end = asyncio.Event()
        self.tasks: list[tuple[str, asyncio.Task[str]]] = []

    async def ask(self, *namespaces: str) -> None:
        for namespace in namespaces:
            asked = deadlines.by(soon(), self._answer(namespace), self.room, namespace)
            self.tasks.append((namespace, asyncio.create_task(asked)))
            await asyncio.sleep(0)

    async def answered(self) -> list[str | None]:
        """Of each who asked, in order: the answer; None for whoever was sent away."""
        self.end.set()
        found = await asyncio.gather(*(task for _, task in self.tasks), return_exceptions=True)
        assert len(self.room) == 0
        assert all(isinstance(each, str | Crowded) for each in found)
        return [each if isinstance(each, str) else None for each in found]

    async def _answer(self, namespace: str) -> str:
        await self.end.wait()
        return namespace


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param("aaa", ["a", "a", "a"], id="enough place"),
        pytest.param("aaaaa", ["a", "a", "a", None, None], id="its own youngest"),
        pytest.param("aaab", ["a", "a", None, "b"], id="the youngest of who has most"),
        pytest.param("aaabbb", ["a", "a", None, "b", None, None], id="until both have the same"),
        pytest.param("abcd", ["a", "b", "c", None], id="whoever came last where all have one"),
        pytest.param("baaab", ["b", "a", None, None, "b"], id="however old"),
    ],
)
def test_of_too_many_that_wait_the_youngest_of_the_biggest_crowd_leaves(
    asked: str, expected: list[str | None]
) -> None:
    async def test() -> None:
        crowd = Crowd(3)
        await crowd.ask(*asked)
        assert await crowd.answered() == expected

    run(test())


def test_a_crowd_of_one_namespace_never_sends_another_away() -> None:
    async def test() -> None:
        crowd = Crowd(10)
        for number in range(50):
            await crowd.ask("calm" if number == 20 else "crowd")
        found = await crowd.answered()
        assert found[20] == "calm"
        assert found.count("crowd") == 9

    run(test())


def test_whoever_was_sent_away_says_so_and_cleans_up() -> None:
    seen: list[str] = []

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            seen.append("cleaned")

    async def test() -> None:
        room = WaitingRoom(1)
        first = asyncio.create_task(deadlines.by(soon(), endless(), room, "a"))
        await asyncio.sleep(0)
        with pytest.raises(Crowded, match="too many requests"):
            await deadlines.by(soon(), endless(), room, "a")
        assert seen == ["cleaned"]
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert len(room) == 0

    run(test())


def test_whoever_is_late_and_not_gone_yet_is_sent_away_without_harm() -> None:
    async def slow_to_leave() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)

    async def test() -> None:
        room, end = WaitingRoom(2), asyncio.Event()
        staying = asyncio.create_task(deadlines.by(soon(), end.wait(), room, "a"))
        late = asyncio.create_task(deadlines.by(soon(0.01), slow_to_leave(), room, "a"))
        await asyncio.sleep(0.03)
        assert await deadlines.by(soon(), waiting(times=1), room, "b") == 1
        with pytest.raises(Crowded):
            await late
        end.set()
        assert await staying
        assert len(room) == 0

    run(test())


def test_fewer_wait_than_the_door_has_places() -> None:
    assert most_waiting(Limits().most_in_flight) == MOST_WAITING < Limits().most_in_flight
    assert most_waiting(1) == 1
