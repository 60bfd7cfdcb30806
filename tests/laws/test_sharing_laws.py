"""A read that is shared began after everybody asked who must not have an older one."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st
from tests.support.loops import run

from weightlock_webhook.cache.errors import Unreachable
from weightlock_webhook.live.lanes import Lanes
from weightlock_webhook.live.sharing import SharedReads

ASKED = st.lists(
    st.tuples(
        st.integers(0, 8),  # tenths of a second after the one before
        st.sampled_from(["a", "b"]),
        st.sampled_from([0.0, 0.25, 0.5]),
    ),
    min_size=1,
    max_size=25,
)
READS = st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=1, max_size=8)


@given(ASKED, READS, st.integers(1, 3))
def test_law_no_answer_is_older_than_its_question_allows(
    asked: list[tuple[int, str, float]], reads: list[tuple[int, bool]], places: int
) -> None:
    async def story() -> None:
        shared: SharedReads[float] = SharedReads(Lanes(places))
        loop = asyncio.get_running_loop()
        under_way: dict[str, int] = {"a": 0, "b": 0}
        most_at_once = 0
        made = iter(reads * 30)

        def read_of(path: str, max_age: float) -> tuple[float, asyncio.Task[float]]:
            async def fetch(_: float) -> float:
                nonlocal most_at_once
                began = loop.time()
                tenths, fails = next(made)
                under_way[path] += 1
                most_at_once = max(most_at_once, under_way[path])
                await asyncio.sleep(tenths / 10)
                under_way[path] -= 1
                if fails:
                    raise Unreachable("no")
                return began

            return loop.time() - max_age, shared.begin("team-a", path, fetch, max_age)

        found = []
        for tenths, path, max_age in asked:
            await asyncio.sleep(tenths / 10)
            found.append(read_of(path, max_age))
        for oldest, read in found:
            await asyncio.wait([read])
            failure = read.exception()
            assert isinstance(failure, Unreachable) if failure else read.result() >= oldest
        assert most_at_once <= 1, "a read that never got a place did not run"

    run(story())
