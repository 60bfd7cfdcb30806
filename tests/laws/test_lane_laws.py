"""Places are given by turns of namespaces, whatever anybody asks for."""

from __future__ import annotations

import asyncio
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from tests.support.loops import run

from weightlock_webhook.cache.errors import Unreachable
from weightlock_webhook.live.lanes import Lanes

CALLS = st.lists(
    st.tuples(
        st.integers(0, 5),  # tenths of a second after the one before
        st.sampled_from("abc"),
        st.integers(0, 9),  # tenths that it takes
        st.integers(1, 20),  # tenths that it may wait
        st.sampled_from(["ends", "fails", "is cancelled"]),
    ),
    max_size=30,
)


class Watched:
    """Calls, and what was ever true while they ran."""

    def __init__(self, places: int) -> None:
        self.lanes = Lanes(places)
        self.running: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.most_at_once = 0

    async def call(self, namespace: str, seconds: float, deadline: float, end: str = "") -> None:
        async def work() -> None:
            self.running[namespace] += 1
            self.most[namespace] = max(self.most[namespace], self.running[namespace])
            self.most_at_once = max(self.most_at_once, self.running.total())
            try:
                await asyncio.sleep(seconds)
            finally:
                self.running[namespace] -= 1
            if end == "fails":
                raise ValueError

        await self.lanes.within(namespace, deadline, work)


@given(CALLS, st.integers(1, 5))
def test_law_no_place_is_lost_and_none_is_given_twice(
    calls: list[tuple[int, str, int, int, str]], places: int
) -> None:
    async def story() -> None:
        watched = Watched(places)
        loop = asyncio.get_running_loop()
        tasks = []
        for after, namespace, tenths, patience, end in calls:
            await asyncio.sleep(after / 10)
            deadline = loop.time() + patience / 10
            task = asyncio.create_task(watched.call(namespace, tenths / 10, deadline, end))
            if end == "is cancelled":
                loop.call_later(patience / 20, task.cancel)
            tasks.append(task)
        found = await asyncio.gather(*tasks, return_exceptions=True)
        allowed = (Unreachable, ValueError, asyncio.CancelledError)
        assert all(each is None or isinstance(each, allowed) for each in found)
        assert watched.most_at_once <= places
        assert all(most <= max(1, places * 3 // 4) for most in watched.most.values())
        assert not any((watched.lanes._held, watched.lanes._lanes)), "nothing is kept"
        assert watched.lanes._free == places

    run(story())


@given(st.integers(1, 200), st.integers(1, 6), st.integers(1, 8))
def test_law_whoever_is_first_in_its_lane_waits_for_one_turn_of_each_other(
    burst: int, others: int, places: int
) -> None:
    async def story() -> None:
        lanes = Lanes(places)
        order: list[str] = []

        async def one(namespace: str) -> None:
            async def work() -> None:
                order.append(namespace)
                await asyncio.sleep(1)

            await lanes.within(namespace, float("inf"), work)

        crowds = [
            asyncio.create_task(one(f"crowd-{n}")) for n in range(others) for _ in range(burst)
        ]
        await asyncio.sleep(0.5)
        began = len(order)
        newcomer = asyncio.create_task(one("newcomer"))
        await asyncio.sleep(0)
        await newcomer
        before = order[began : order.index("newcomer")]
        assert all(count == 1 for count in Counter(before).values()), before
        await asyncio.gather(*crowds)
        assert Counter(order) == Counter(
            {"newcomer": 1, **{f"crowd-{number}": burst for number in range(others)}}
        )

    run(story())


@given(st.lists(st.sampled_from("ab"), min_size=1, max_size=40), st.integers(2, 6))
def test_law_no_place_is_free_while_somebody_waits_who_may_have_it(
    asked: list[str], places: int
) -> None:
    async def story() -> None:
        watched = Watched(places)
        tasks = [asyncio.create_task(watched.call(each, 1.0, float("inf"))) for each in asked]
        wanted = Counter(asked)
        most = max(1, places * 3 // 4)
        while any(not task.done() for task in tasks):
            await asyncio.sleep(0.5)
            may_run = min(places, sum(min(most, count) for count in wanted.values()))
            assert watched.running.total() == may_run
            wanted -= watched.running
            await asyncio.sleep(0.5)
            await asyncio.sleep(0)

    run(story())
