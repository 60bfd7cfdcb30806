import asyncio
import math

import aiohttp
import pytest
from tests.support.memory_cluster import Hands

from weightlock_operator.health import WATCH_LIMIT_SECONDS, Health, LoopWatch, WatchAges
from weightlock_operator.http import application, serve
from weightlock_operator.watching import GRACE_SECONDS, RESYNC_SECONDS, WATCHED


async def exposition() -> bytes:
    return b"weightlock_up 1\n"


async def ask(health: Health, *paths: str) -> list[tuple[int, str]]:
    runner, port = await serve(application(health, exposition), "127.0.0.1", 0)
    try:
        async with aiohttp.ClientSession() as session:
            found = []
            for path in paths:
                async with session.get(f"http://127.0.0.1:{port}{path}") as answer:
                    found.append((answer.status, await answer.text()))
            return found
    finally:
        await runner.cleanup()


def test_all_is_well() -> None:
    answers = asyncio.run(ask(Health(), "/healthz", "/readyz", "/metrics", "/", "/debug"))
    assert answers[:3] == [(200, "ok\n"), (200, "ok\n"), (200, "weightlock_up 1\n")]
    assert [status for status, _ in answers[3:]] == [404, 404]


def test_what_is_not_ready_says_so_and_is_alive() -> None:
    health = Health()
    health.must_hold("rights", lambda: "missing: create jobs.batch")
    alive, ready = asyncio.run(ask(health, "/healthz", "/readyz"))
    assert alive[0] == 200
    assert ready == (503, "rights: missing: create jobs.batch\n")


def test_what_is_sick_is_not_ready_either() -> None:
    health = Health()
    health.must_live("watches", lambda: "nothing heard of jobs")
    alive, ready = asyncio.run(ask(health, "/healthz", "/readyz"))
    assert alive == ready == (503, "watches: nothing heard of jobs\n")


def test_a_silent_watch_is_found() -> None:
    hands = Hands()
    ages = WatchAges(hands)
    ages.expect("jobs")
    ages.expect("pods")
    hands.seconds += WATCH_LIMIT_SECONDS
    ages.heard("pods")
    assert ages.wrong() == ""
    hands.seconds += 1
    assert ages.wrong() == "nothing heard of jobs"
    assert ages.ages() == {"jobs": WATCH_LIMIT_SECONDS + 1, "pods": 1.0}


def test_a_kind_that_never_changes_is_listed_long_before_it_counts_as_silent() -> None:
    """A quiet cluster sends nothing of its namespaces for hours; lists are all that is heard."""
    seconds_for_each = math.ceil(RESYNC_SECONDS / len(WATCHED) - GRACE_SECONDS) + GRACE_SECONDS
    assert 1.5 * seconds_for_each * len(WATCHED) < WATCH_LIMIT_SECONDS


@pytest.mark.parametrize(("late", "wrong"), [(0.0, False), (9.0, False), (60.0, True)])
def test_a_loop_that_stood_still_is_found(late: float, *, wrong: bool) -> None:
    hands = Hands()
    watch = LoopWatch(hands)

    async def story() -> None:
        running = asyncio.create_task(watch.run())
        await asyncio.sleep(0)
        hands.seconds += 1 + late
        watch.measure(1000.0)
        running.cancel()

    asyncio.run(story())
    assert bool(watch.wrong()) is wrong
