"""What one namespace asks of the API server delays no other one."""

import asyncio

import pytest
from tests.support.api_in_memory import CountingApi
from tests.support.loops import run
from tests.unit.webhook.objects import pod_spec
from tests.unit.webhook.test_looks import many_claims
from tests.unit.webhook.world import new_api, world

from weightlock_webhook.cache.client import Bounds
from weightlock_webhook.cache.errors import Crowded, Unreachable
from weightlock_webhook.decision.answers import Outcome
from weightlock_webhook.live.lanes import MOST_LOOKS, MOST_READS, MOST_WAITING, Lanes
from weightlock_webhook.live.reads import LiveReads
from weightlock_webhook.reviews.collaborators import Reply

FOREVER = float("inf")
SECOND = 1.0
"""What a call takes."""


def test_reviews_and_looks_leave_calls_to_the_process_itself() -> None:
    assert Bounds().calls > MOST_READS + MOST_LOOKS


@pytest.mark.parametrize(("namespaces", "expected"), [(1, 24), (2, 32)])
def test_one_namespace_never_has_all_places(namespaces: int, expected: int) -> None:
    async def story() -> None:
        api = CountingApi(SECOND)
        reads = LiveReads(api, Lanes(MOST_READS))
        found = [reads.claim((f"team-{n % namespaces}", f"c-{n}")) for n in range(100)]
        await asyncio.wait(found)
        assert api.most == expected

    run(story())


def test_ten_thousand_reads_of_one_namespace_delay_anothers_by_one_round() -> None:
    async def story() -> None:
        api = CountingApi(SECOND)
        lanes = Lanes(MOST_READS)
        reads = LiveReads(api, lanes)
        many = [reads.claim(("crowd", f"c-{number}")) for number in range(10_000)]
        others = [reads.claim((f"calm-{number}", "c")) for number in range(7)]
        _, late = await asyncio.wait(others, timeout=1.1)
        assert not late, "there are places that one namespace cannot have"
        crowds = [
            reads.claim((f"crowd-{number}", f"c-{n}")) for number in range(5) for n in range(99)
        ]
        await asyncio.sleep(0.5)
        began = asyncio.get_running_loop().time()
        single = reads.claim(("single", "c"))
        await asyncio.wait([single])
        assert single.exception() is None
        assert asyncio.get_running_loop().time() - began <= 2.0, "one round, and the read itself"
        await asyncio.wait([*many, *crowds])
        refused = [read for read in many if isinstance(read.exception(), Crowded)]
        assert len(refused) == 10_000 - MOST_WAITING - 24
        assert all(
            isinstance(read.exception(), Crowded | Unreachable | None) for read in [*many, *crowds]
        )
        assert lanes._free == MOST_READS

    run(story())


def test_waiting_for_a_place_ends_at_the_deadline_and_takes_none() -> None:
    async def story() -> None:
        api, lanes = CountingApi(2 * SECOND), Lanes(1)
        now = asyncio.get_running_loop().time()

        async def call(path: str, seconds: float) -> Reply:
            deadline = now + seconds
            return await lanes.within(
                "team-a", deadline, lambda: api.call("GET", path, deadline=deadline)
            )

        first = asyncio.create_task(call("/a", 10))
        await asyncio.sleep(0)
        with pytest.raises(Unreachable, match="too much is read"):
            await call("/b", 1)
        assert (await first).status == 200
        assert (await call("/c", 10)).status == 200

    run(story())


def test_whoever_gave_up_counts_no_more() -> None:
    async def story() -> None:
        lanes, end = Lanes(1), asyncio.Event()
        holding = asyncio.create_task(lanes.within("a", FOREVER, end.wait))
        await asyncio.sleep(0)
        impatient = [
            asyncio.create_task(lanes.within("a", 1.0, end.wait)) for _ in range(MOST_WAITING)
        ]
        await asyncio.sleep(0)
        with pytest.raises(Crowded):
            await lanes.within("a", FOREVER, end.wait)
        await asyncio.wait(impatient)
        assert all(isinstance(each.exception(), Unreachable) for each in impatient)
        patient = asyncio.create_task(lanes.within("a", FOREVER, end.wait))
        await asyncio.sleep(0)
        assert not patient.done()
        end.set()
        assert await holding
        assert await patient

    run(story())


@pytest.mark.parametrize("is_told_first", [True, False])
def test_a_turn_that_comes_just_as_its_asker_leaves_is_the_next_ones(is_told_first: bool) -> None:
    async def story() -> None:
        lanes = Lanes(1)
        end = asyncio.Event()
        first = asyncio.create_task(lanes.within("a", FOREVER, end.wait))
        await asyncio.sleep(0)
        second, third = (
            asyncio.create_task(lanes.within(each, FOREVER, end.wait)) for each in "bc"
        )
        await asyncio.sleep(0)
        if is_told_first:
            end.set()
            while not first.done():
                await asyncio.sleep(0)
            second.cancel()
        else:
            second.cancel()
            end.set()
        await asyncio.wait([first, second, third], timeout=10)
        assert third.done()
        assert second.cancelled()
        assert lanes._free == 1

    run(story())


def test_a_volume_that_another_namespace_names_is_not_read_in_its_lane() -> None:
    async def story() -> None:
        reads = LiveReads(CountingApi(SECOND), Lanes(MOST_READS))
        many = [reads.claim(("crowd", f"c-{number}")) for number in range(200)]
        named = reads.volume("pv-of-another", "crowd")
        own = reads.volume("pv-of-another", "calm")
        assert own is not named
        await asyncio.wait([own], timeout=1.1)
        assert own.done()
        assert not named.done()
        await asyncio.wait([named, *many])

    run(story())


def test_a_crowd_of_allowed_pods_of_one_namespace_delays_no_other() -> None:
    async def story() -> None:
        async with world(new_api(volumes={"default": "Ignore"})) as found:
            for number in range(100):
                found.bind(f"c-{number}", f"vol-{number}")
            await found.settle()
            found.api.faults.delay_seconds = 0.05
            spec = many_claims(100, "c")
            crowd = [
                asyncio.create_task(found.answer({**spec, "hostname": f"h-{number}"}))
                for number in range(50)
            ]
            await asyncio.sleep(0.01)
            began = asyncio.get_running_loop().time()
            other = pod_spec({"name": "model", "nfs": {"server": "s", "path": "/"}})
            answer = await found.answer(other, namespace="team-b")
            assert any("team-b" in path for _, path in found.api.calls), "it is read live too"
            assert answer.outcome is Outcome.ALLOW
            assert asyncio.get_running_loop().time() - began < 0.5
            answers = await asyncio.gather(*crowd)
            assert {each.outcome for each in answers} == {Outcome.ALLOW}

    run(story())
