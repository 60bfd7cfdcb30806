"""The judge and what it reads live: nothing that the watch has not brought yet gets a pod in."""

import asyncio
from typing import Any

import pytest
from tests.support.api_in_memory import ApiInMemory, Json
from tests.support.loops import run
from tests.unit.webhook.objects import claim_volume, container, mount, pod_spec
from tests.unit.webhook.world import (
    CHECKPOINTS,
    CLAIMS,
    NAMESPACE,
    VOLUMES,
    World,
    claim,
    new_api,
    volume,
    world,
)

from weightlock.reasons import Reason
from weightlock_webhook.cache.errors import Stale, Unreachable
from weightlock_webhook.decision.answers import Answer, Outcome
from weightlock_webhook.live import sharing
from weightlock_webhook.live.lanes import Lanes
from weightlock_webhook.reviews.collaborators import Reply


def test_yes_is_said_only_after_claim_volume_checkpoint_and_policies_were_read() -> None:
    async def story() -> None:
        async with world() as found:
            found.api.calls.clear()
            await found.answer()
            assert {path for method, path in found.api.calls if method == "GET"} == {
                f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims/llama",
                "/api/v1/persistentvolumes/pv-llama",
                "/apis/weightlock.dev/v1beta1/namespaces/team-a/modelcheckpoints/llama-step-1200",
                "/apis/weightlock.dev/v1beta1/clustermodelpolicies",
                "/apis/weightlock.dev/v1beta1/namespaces/team-a/modelpolicies",
            }

    run(story())


async def recreated_claim(api: ApiInMemory) -> None:
    api.delete(CLAIMS, "llama", NAMESPACE)
    api.put(CLAIMS, claim())


async def recreated_claim_over_other_bytes(api: ApiInMemory) -> None:
    api.delete(CLAIMS, "llama", NAMESPACE)
    made = api.put(CLAIMS, claim(volume="other"))
    api.put(VOLUMES, volume("other", made["metadata"]["uid"], "evil"))


async def deleted_claim(api: ApiInMemory) -> None:
    api.delete(CLAIMS, "llama", NAMESPACE)


async def going_claim(api: ApiInMemory) -> None:
    stored = api.stored(CLAIMS, NAMESPACE, "llama")
    going = {"deletionTimestamp": "2026-11-21T12:00:00Z"}
    api.put(CLAIMS, {**stored, "metadata": {**stored["metadata"], **going}})


async def going_volume(api: ApiInMemory) -> None:
    stored = api.stored(VOLUMES, "", "pv-llama")
    going = {"deletionTimestamp": "2026-11-21T12:00:00Z"}
    api.put(VOLUMES, {**stored, "metadata": {**stored["metadata"], **going}})


async def recreated_volume(api: ApiInMemory) -> None:
    uid = api.stored(CLAIMS, NAMESPACE, "llama")["metadata"]["uid"]
    api.delete(VOLUMES, "pv-llama")
    api.put(VOLUMES, volume("pv-llama", uid, "evil"))


async def recreated_volume_with_the_same_handle(api: ApiInMemory) -> None:
    uid = api.stored(CLAIMS, NAMESPACE, "llama")["metadata"]["uid"]
    api.delete(VOLUMES, "pv-llama")
    api.put(VOLUMES, volume("pv-llama", uid))


async def deleted_volume(api: ApiInMemory) -> None:
    api.delete(VOLUMES, "pv-llama")


async def changed_claim_reference(api: ApiInMemory) -> None:
    api.put(VOLUMES, volume("pv-llama", "somebody-else"))


async def deleted_checkpoint(api: ApiInMemory) -> None:
    api.delete(CHECKPOINTS, "llama-step-1200", NAMESPACE)


async def recreated_checkpoint(api: ApiInMemory) -> None:
    stored = api.stored(CHECKPOINTS, NAMESPACE, "llama-step-1200")
    api.delete(CHECKPOINTS, "llama-step-1200", NAMESPACE)
    api.put(CHECKPOINTS, {**stored, "metadata": {**stored["metadata"], "uid": "another"}})


async def changed_spec(api: ApiInMemory) -> None:
    stored = api.stored(CHECKPOINTS, NAMESPACE, "llama-step-1200")
    api.put(CHECKPOINTS, {**stored, "metadata": {**stored["metadata"], "generation": 2}})


async def failed_checkpoint(api: ApiInMemory) -> None:
    stored = api.stored(CHECKPOINTS, NAMESPACE, "llama-step-1200")
    failed = {"phase": "Failed", "reason": "ContentMismatch", "message": "no"}
    api.put(CHECKPOINTS, {**stored, "status": failed})


async def forged_checkpoint(api: ApiInMemory) -> None:
    stored = api.stored(CHECKPOINTS, NAMESPACE, "llama-step-1200")
    api.put(CHECKPOINTS, {**stored, "status": {**stored["status"], "modelVersion": 9}})


CHANGES = [
    pytest.param(change, reason, id=change.__name__)
    for change, reason in (
        (recreated_claim, Reason.CLAIM_UNBOUND),
        (recreated_claim_over_other_bytes, Reason.IDENTITY_CHANGED),
        (deleted_claim, Reason.CLAIM_UNBOUND),
        (going_claim, Reason.CLAIM_UNBOUND),
        (going_volume, Reason.CLAIM_UNBOUND),
        (recreated_volume, Reason.IDENTITY_CHANGED),
        (recreated_volume_with_the_same_handle, Reason.IDENTITY_CHANGED),
        (deleted_volume, Reason.CLAIM_UNBOUND),
        (changed_claim_reference, Reason.CLAIM_UNBOUND),
        (deleted_checkpoint, Reason.NO_CHECKPOINT),
        (recreated_checkpoint, Reason.SEAL_BROKEN),
        (changed_spec, Reason.SPEC_CHANGED),
        (failed_checkpoint, Reason.CONTENT_MISMATCH),
        (forged_checkpoint, Reason.SEAL_BROKEN),
    )
]


@pytest.mark.parametrize("lag", [pytest.param(False, id="seen"), pytest.param(True, id="unseen")])
@pytest.mark.parametrize(("change", "reason"), CHANGES)
def test_what_changed_is_noticed_whether_the_watch_has_seen_it_or_not(
    change: Any, reason: Reason, lag: bool
) -> None:
    async def story() -> None:
        async with world() as found:
            assert (await found.answer()).outcome is Outcome.ALLOW
            found.api.faults.is_lagging = lag
            await change(found.api)
            await found.settle()
            answer = await found.answer()
            assert (answer.outcome, answer.reason) == (Outcome.DENY, reason)

    run(story())


def test_storage_that_no_policy_governs_is_read_live_all_the_same() -> None:
    """A claim of a scratch class may be another one by now."""

    async def story() -> None:
        scratch = {"persistentVolumeClaim": {"storageClassNames": ["scratch"]}, "action": "Ignore"}
        api = new_api(volumes={"rules": [scratch]})
        async with world(api) as found:
            found.bind(storageClassName="scratch")
            await found.settle()
            assert (await found.answer()).reason is Reason.NOT_GOVERNED
            api.faults.is_lagging = True
            api.delete(CLAIMS, "llama", NAMESPACE)
            found.bind()
            assert (await found.answer()).reason is Reason.NO_CHECKPOINT

    run(story())


def test_a_verdict_that_the_watch_has_not_brought_yet_is_looked_up() -> None:
    async def story() -> None:
        async with world(new_api()) as found:
            found.bind()
            await found.settle()
            assert (await found.answer()).reason is Reason.NO_CHECKPOINT
            await asyncio.sleep(1)
            found.api.faults.is_lagging = True
            found.verify()
            assert (await found.answer()).reason is Reason.VERIFIED

    run(story())


def test_so_is_one_of_a_checkpoint_that_the_watch_knows_without_it() -> None:
    async def story() -> None:
        async with world(new_api()) as found:
            found.bind()
            verified = found.verify()
            pending = {**verified, "status": {"phase": "Pending"}}
            found.api.put(CHECKPOINTS, pending)
            await found.settle()
            assert (await found.answer()).reason is Reason.NOT_VERIFIED
            await asyncio.sleep(1)
            found.api.faults.is_lagging = True
            found.api.put(CHECKPOINTS, verified)
            assert (await found.answer()).reason is Reason.VERIFIED

    run(story())


@pytest.mark.parametrize(
    ("mode", "outcome"),
    [("Deny", Outcome.DENY), ("Hold", Outcome.HOLD), ("Inject", Outcome.INJECT)],
)
def test_whoever_takes_over_is_read_live_too_whatever_becomes_of_the_pod(
    mode: str, outcome: Outcome
) -> None:
    """Both that vouched are gone; beside them lies a volume that nobody ever verified."""

    async def story() -> None:
        async with world(new_api(onUnverified=mode)) as found:
            found.bind()
            found.bind("fresh", "vol-2")
            found.verify()
            found.verify("other")
            await found.settle()
            spec = pod_spec(
                claim_volume(),
                claim_volume("second", "fresh"),
                containers=[container(mount(), mount("second", "/second"))],
            )
            assert minded(await found.answer(spec)) == {"second"}
            found.api.faults.is_lagging = True
            for name in ("llama-step-1200", "other"):
                found.api.delete(CHECKPOINTS, name, NAMESPACE)
            # At once: looks for refused pods are spaced, and the last one found them.
            answer = await found.answer(spec)
            assert answer.outcome is outcome
            if mode == "Inject":
                assert minded(answer) == {"model", "second"}, "or its container runs unverified"

    run(story())


def minded(answer: Answer) -> set[str]:
    return {each.volume for each in answer.refusals}


def test_looks_for_refused_pods_are_few() -> None:
    async def story() -> None:
        async with world(new_api()) as found:
            found.bind()
            await found.settle()
            found.api.calls.clear()
            answers = await asyncio.gather(*(found.answer() for _ in range(100)))
            assert {answer.reason for answer in answers} == {Reason.NO_CHECKPOINT}
            assert sum(method == "GET" for method, _ in found.api.calls) == 3

    run(story())


def test_reads_of_pods_that_come_together_are_shared() -> None:
    async def story() -> None:
        async with world() as found:
            found.api.calls.clear()
            found.api.faults.delay_seconds = 0.01
            answers = await asyncio.gather(*(found.answer() for _ in range(100)))
            assert {answer.outcome for answer in answers} == {Outcome.ALLOW}
            # One that is under way when they ask, and one for all who asked meanwhile.
            assert sum(method == "GET" for method, _ in found.api.calls) <= 8

    run(story())


def test_a_read_that_began_before_the_pod_was_made_does_not_count() -> None:
    """Delete and recreate the claim, then create the pod at once (A28)."""

    async def story() -> None:
        async with world() as found:
            found.api.faults.is_lagging = True
            found.api.faults.reply_delay_seconds = 0.1
            first = asyncio.create_task(found.answer())
            await asyncio.sleep(0.05)
            await recreated_claim_over_other_bytes(found.api)
            second = await found.answer()
            assert second.reason is Reason.IDENTITY_CHANGED
            await first

    run(story())


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"is_down": True}, id="no answer"),
        pytest.param({"status": 500}, id="an error"),
        pytest.param({"status": 403}, id="forbidden"),
        pytest.param({"garbage": b"{}"}, id="no object"),
        pytest.param({"garbage": b"\xff"}, id="no JSON"),
        pytest.param({"delay_seconds": 10.0}, id="too late"),
    ],
)
def test_what_cannot_be_read_live_is_refused(fault: Json) -> None:
    async def story() -> None:
        async with world() as found:
            for name, value in fault.items():
                setattr(found.api.faults, name, value)
            with pytest.raises(Unreachable):
                await found.answer()

    run(story())


def test_a_pod_is_refused_within_its_deadline_however_slow_the_server() -> None:
    async def story() -> None:
        async with world() as found:
            found.api.faults.delay_seconds = 60.0
            began = asyncio.get_running_loop().time()
            with pytest.raises(Unreachable):
                await found.answer(seconds=0.5)
            assert asyncio.get_running_loop().time() - began <= 0.51

    run(story())


def test_what_changes_all_the_while_is_refused() -> None:
    """Each answer rests on another checkpoint than the one before."""

    class Restless:
        def __init__(self, found: World) -> None:
            self.found, self.count = found, 0

        async def call(self, method: str, path: str, body: object = None, **more: Any) -> Reply:
            if "modelcheckpoints/" in path:
                self.count += 1
                last = f"llama-{self.count}"
                api = self.found.api
                name = path.rpartition("/")[2]
                if api.has(CHECKPOINTS, NAMESPACE, name):
                    api.delete(CHECKPOINTS, name, NAMESPACE)
                self.found.verify(last)
                await asyncio.sleep(0.05)
            return await self.found.api.call(method, path, body, **more)

    async def story() -> None:
        async with world() as found:
            found.webhook.judge._confirmation._reads._cluster = Restless(found)  # type: ignore[attr-defined]
            with pytest.raises(Stale, match="changes while"):
                await found.answer()

    run(story())


def test_another_checkpoint_may_take_over_while_the_pod_waits() -> None:
    async def story() -> None:
        async with world() as found:
            found.verify("other")
            found.api.faults.is_lagging = True
            found.api.delete(CHECKPOINTS, "llama-step-1200", NAMESPACE)
            found.api.faults.is_lagging = False
            found.api.end_watches()
            answer = await found.answer()
            assert answer.checkpoints == {"other"}

    run(story())


def test_a_list_that_the_server_does_not_have_is_no_list() -> None:
    async def story() -> None:
        async with world() as found:
            found.api.missing.add("/apis/weightlock.dev/v1beta1/clustermodelpolicies")
            with pytest.raises(Unreachable, match="no such list"):
                await found.answer()

    run(story())


def test_whoever_asks_during_a_read_shares_the_next_one() -> None:
    async def story() -> None:
        reads: sharing.SharedReads[int] = sharing.SharedReads(Lanes(1))
        began: list[float] = []

        async def fetch(_: float) -> int:
            began.append(asyncio.get_running_loop().time())
            await asyncio.sleep(1)
            return len(began)

        first = reads.begin("team-a", "x", fetch)
        await asyncio.sleep(0.5)
        second, third = reads.begin("team-a", "x", fetch), reads.begin("team-a", "x", fetch)
        old = reads.begin("team-a", "x", fetch, 0.9)
        assert (old, third) == (first, second)
        await asyncio.sleep(1)
        fourth = reads.begin("team-a", "x", fetch)
        assert [await each for each in (first, second, fourth)] == [1, 2, 3]
        assert began == [0, 1, 2]

    run(story())


def test_whoever_asks_before_a_read_has_its_place_shares_it() -> None:
    async def story() -> None:
        reads: sharing.SharedReads[float] = sharing.SharedReads(Lanes(1))

        async def fetch(_: float) -> float:
            began = asyncio.get_running_loop().time()
            await asyncio.sleep(1)
            return began

        first = reads.begin("team-a", "x", fetch)
        waiting = reads.begin("team-a", "y", fetch)
        await asyncio.sleep(0.9)
        assert reads.begin("team-a", "y", fetch) is waiting
        await asyncio.sleep(0.2)
        assert reads.begin("team-a", "y", fetch) is not waiting, "it has begun"
        assert (await first, await waiting) == (0, 1)

    run(story())


def test_a_read_that_never_has_a_place_ends_all_the_same() -> None:
    async def story() -> None:
        lanes = Lanes(1)
        reads: sharing.SharedReads[int] = sharing.SharedReads(lanes)
        loop = asyncio.get_running_loop()

        async def fetch(deadline: float) -> int:
            assert deadline == loop.time() + sharing.READ_SECONDS
            return 1

        holding = asyncio.create_task(
            lanes.within("team-b", float("inf"), lambda: asyncio.sleep(10))
        )
        await asyncio.sleep(0)
        read = reads.begin("team-a", "x", fetch)
        await asyncio.wait([read])
        assert loop.time() == pytest.approx(sharing.READ_SECONDS)
        assert isinstance(read.exception(), Unreachable)
        await holding
        assert await reads.begin("team-a", "x", fetch) == 1

    run(story())


def test_a_burst_of_reads_is_not_gone_through_for_each_more() -> None:
    async def story() -> None:
        lanes = Lanes(1)
        reads: sharing.SharedReads[None] = sharing.SharedReads(lanes)
        passes = set()

        async def fetch(_: float) -> None:
            return None

        for number in range(5_000):
            reads.begin("team-a", f"{number}", fetch)
            passes.add(id(reads._reads))
        assert len(passes) <= 6
        await asyncio.sleep(10)
        for number in range(9_000):
            await asyncio.wait([reads.begin("team-a", f"again {number}", fetch)])
        assert len(reads._reads) <= 2 * sharing.MOST_REMEMBERED, "and is forgotten"

    run(story())


def test_a_failed_read_is_no_answer_for_anybody_later() -> None:
    async def story() -> None:
        reads: sharing.SharedReads[int] = sharing.SharedReads(Lanes(1))

        async def fails(_: float) -> int:
            raise Unreachable("no")

        async def works(_: float) -> int:
            return 1

        failed = reads.begin("team-a", "x", fails)
        await asyncio.wait([failed])
        assert await reads.begin("team-a", "x", works, 60) == 1

    run(story())
