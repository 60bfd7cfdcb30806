"""The judge as a whole, over an API server in memory."""

import asyncio
import json
from typing import Any

import pytest
from tests.support.api_in_memory import Json
from tests.support.loops import run
from tests.unit.webhook.objects import claim_volume, container, mount, pod_spec
from tests.unit.webhook.objects import volume as pod_volume
from tests.unit.webhook.world import (
    CHECKPOINTS,
    NAMESPACE,
    new_api,
    remember,
    world,
)

from weightlock.cluster_names import NAMESPACE as SYSTEM
from weightlock.errors import WeightlockError
from weightlock.policy.spec import Enforcement
from weightlock.reasons import Reason
from weightlock_webhook.cache import checkpoints, policies, volumes, writers
from weightlock_webhook.cache.errors import Stale, Unreachable
from weightlock_webhook.decision.answers import Outcome
from weightlock_webhook.documents import JsonObject
from weightlock_webhook.judging import deciding, pods, remembering
from weightlock_webhook.live import sharing


def test_a_pod_with_a_verified_checkpoint_is_let_in() -> None:
    async def story() -> None:
        async with world() as found:
            answer = await found.answer()
            assert (answer.outcome, answer.reason) == (Outcome.ALLOW, Reason.VERIFIED)

    run(story())


def test_what_is_remembered_of_a_new_pod_says_nothing_of_one_that_runs() -> None:
    async def story() -> None:
        content: Any = JsonObject(json.dumps(pod_spec(nodeName="node-1")).encode())
        async with world() as found:
            for is_running in (False, True, False):
                answer = await found.answer(spec=content, is_running=is_running)
                expected = Reason.VERIFIED if is_running else Reason.NODE_NAMED
                assert answer.reason is expected

    run(story())


def test_how_strictly_a_namespace_is_judged_is_told_while_that_is_known() -> None:
    async def story() -> None:
        async with world(new_api(enforcement="Warn")) as found:
            assert found.webhook.judge.enforcement(NAMESPACE) is Enforcement.WARN
            found.api.faults.watches_fail = True
            found.api.end_watches(Unreachable("reset"))
            await asyncio.sleep(100)
            with pytest.raises(Stale):
                found.webhook.judge.enforcement(NAMESPACE)

    run(story())


def test_a_pod_without_storage_costs_no_live_read() -> None:
    async def story() -> None:
        async with world() as found:
            found.api.calls.clear()
            spec = pod_spec(pod_volume("model", emptyDir={}))
            assert (await found.answer(spec)).reason is Reason.NOT_GOVERNED
            assert not found.api.calls

    run(story())


def test_nothing_is_let_in_by_watches_that_have_gone_silent() -> None:
    async def story() -> None:
        async with world() as found:
            assert (await found.answer()).outcome is Outcome.ALLOW
            found.api.faults.watches_fail = True
            found.api.end_watches(Unreachable("reset"))
            await asyncio.sleep(100)
            with pytest.raises(Stale, match="heard of"):
                await found.answer()
            spec = pod_spec(pod_volume("model", emptyDir={}))
            with pytest.raises(Stale):
                await found.answer(spec)
            found.api.faults.watches_fail = False
            await asyncio.sleep(30)
            assert (await found.answer()).outcome is Outcome.ALLOW

    run(story())


def test_nothing_is_let_in_before_everything_was_listed() -> None:
    async def story() -> None:
        api = new_api()
        api.faults.is_down = True
        async with world(api) as found:
            assert not found.webhook.knowledge.is_synced
            with pytest.raises(Stale, match="since this process started"):
                await found.answer()

    run(story())


def test_exempt_namespaces_work_when_nothing_else_does() -> None:
    async def story() -> None:
        api = new_api()
        api.faults.is_down = True
        async with world(api) as found:
            for namespace in ("kube-system", SYSTEM):
                answer = await found.answer(namespace=namespace)
                assert answer.outcome is Outcome.ALLOW

    run(story())


def test_a_pod_that_cannot_be_read_is_refused() -> None:
    async def story() -> None:
        async with world() as found:
            answer = await found.answer({"containers": "none"})
            assert (answer.outcome, answer.reason) == (Outcome.DENY, Reason.MALFORMED)

    run(story())


def test_a_refused_pod_asks_for_its_verdict_once() -> None:
    async def story() -> None:
        async with world(new_api()) as found:
            made = found.bind()
            await found.settle()
            spec = pod_spec(containers=[container(mount(subPath="step-1"))])
            for number in range(5):
                await found.answer(pod_spec(containers=[container(mount(subPath=f"s{number}"))]))
            await asyncio.sleep(1)
            (event,) = found.api.posted
            assert event["reason"] == "VerificationRequested"
            assert event["metadata"]["namespace"] == NAMESPACE
            assert event["involvedObject"]["kind"] == "PersistentVolumeClaim"
            assert event["involvedObject"]["uid"] == made["metadata"]["uid"]
            assert event["reportingComponent"] == "weightlock-webhook"
            assert event["message"] == "A pod was refused that mounts this claim"
            await asyncio.sleep(60)
            await found.answer(spec)
            await asyncio.sleep(1)
            assert len(found.api.posted) == 2

    run(story())


def test_a_dry_run_asks_for_nothing() -> None:
    async def story() -> None:
        async with world(new_api()) as found:
            found.bind()
            await found.settle()
            answer = await found.answer(dry_run=True)
            assert answer.reason is Reason.NO_CHECKPOINT
            await asyncio.sleep(1)
            assert not found.api.posted

    run(story())


@pytest.mark.parametrize("fault", [{"is_down": True}, {"status": 403}])
def test_an_event_that_cannot_be_posted_keeps_nothing_back(fault: Json) -> None:
    async def story() -> None:
        async with world(new_api()) as found:
            found.bind()
            found.bind("other", "vol-2")
            await found.settle()
            await found.answer()
            for name, value in fault.items():
                setattr(found.api.faults, name, value)
            await asyncio.sleep(2)
            for name in fault:
                setattr(found.api.faults, name, 0)
            await found.answer(pod_spec(claim_volume(claim="other")))
            await asyncio.sleep(10)
            assert found.api.posted[-1]["involvedObject"]["name"] == "other"

    run(story())


def test_every_failure_is_a_weightlock_error() -> None:
    assert issubclass(Stale, WeightlockError)
    assert issubclass(Unreachable, WeightlockError)


def test_a_pod_that_would_be_held_asks_at_binding_and_not_before() -> None:
    async def story() -> None:
        async with world(new_api(onUnverified="Hold")) as found:
            found.bind()
            await found.settle()
            found.api.calls.clear()
            assert (await found.answer()).outcome is Outcome.HOLD
            assert not [path for method, path in found.api.calls if method == "GET"]
            found.api.faults.is_lagging = True
            found.verify()
            assert (await found.answer(node="n1")).outcome is Outcome.ALLOW

    run(story())


def test_readiness_shows_ages_and_counts() -> None:
    async def story() -> None:
        async with world() as found:
            knowledge = found.webhook.knowledge
            ages, counts = knowledge.staleness_seconds(), knowledge.counts()
            assert ages.keys() == counts.keys()
            assert max(ages.values()) < 1
            assert counts["modelcheckpoints"] == 1

    run(story())


def test_what_a_checkpoint_expects_is_told_to_whoever_injects() -> None:
    async def story() -> None:
        async with world() as found:
            knowledge = found.webhook.knowledge
            document = found.verify("named")
            spec = {**document["spec"], "modelName": "llama"}
            found.api.put(CHECKPOINTS, {**document, "spec": spec})
            remember(found.api, ("ClusterModelPolicy post-quantum", 4), ("ModelPolicy a/b", 5))
            await found.settle()
            one = ["ClusterModelPolicy post-quantum"]
            assert knowledge.expected(NAMESPACE, "named", one) == ("llama", 4)
            assert knowledge.expected(NAMESPACE, "llama-step-1200", one) == (None, 0)
            assert knowledge.expected(NAMESPACE, "none", one) == (None, 0)
            both = [*one, "ModelPolicy a/b"]
            assert knowledge.expected(NAMESPACE, "named", both) == ("llama", 5)

    run(story())


SMALL = [
    (deciding, "MOST_ANSWERS"),
    (pods, "MOST_PODS"),
    (pods, "MOST_BYTES"),
    (writers, "MOST_NAMESPACES"),
    (remembering, "MOST_JUDGEMENTS"),
    (remembering, "MOST_RECORDS"),
    (checkpoints, "MOST_READ"),
    (volumes, "MOST_READ"),
    (policies, "MOST_NAMESPACES"),
    (sharing, "MOST_REMEMBERED"),
]


@pytest.mark.parametrize(("module", "name"), SMALL, ids=lambda found: str(found)[-40:])
def test_memory_is_bounded_and_forgetting_changes_no_answer(
    module: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, name, 1)

    async def story() -> None:
        async with world() as found:
            found.bind("other", "vol-2")
            found.verify("other", of="other")
            await found.settle()
            for _ in range(3):
                for claim_name in ("llama", "other"):
                    spec = pod_spec(claim_volume(claim=claim_name))
                    content = JsonObject(json.dumps(spec).encode())
                    answer = await found.answer(content)  # type: ignore[arg-type]
                    assert answer.outcome is Outcome.ALLOW
                for namespace in ("team-b", "team-c"):
                    await found.answer(namespace=namespace)
                    found.webhook.knowledge.policies.identities(namespace)

    run(story())
