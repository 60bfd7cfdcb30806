"""The judge and the policies: which govern, which have just changed, which cannot be read."""

import asyncio

import pytest
from tests.support.api_in_memory import ApiInMemory
from tests.support.loops import run
from tests.unit.policy.builders import policy_object
from tests.unit.webhook.world import (
    CHECKPOINTS,
    CLUSTER_POLICIES,
    GROUP,
    NAMESPACE,
    NAMESPACES,
    POLICIES,
    new_api,
    put_policy,
    world,
)

from weightlock.reasons import Reason
from weightlock_webhook.cache.errors import Stale
from weightlock_webhook.decision.answers import Outcome


def test_a_key_that_left_the_policy_counts_no_more_at_once() -> None:
    async def story() -> None:
        async with world() as found:
            assert (await found.answer()).outcome is Outcome.ALLOW
            denied = {"keyids": [_keyid(found.api)]}
            put_policy(found.api, generation=2, denied=denied)
            await found.settle()
            assert (await found.answer()).reason is Reason.KEY_REVOKED

    run(story())


def test_a_policy_that_the_watch_has_not_brought_yet_keeps_the_pod_out() -> None:
    async def story() -> None:
        async with world() as found:
            found.api.faults.is_lagging = True
            put_policy(found.api, "second", volumes={"default": "Forbid"})
            with pytest.raises(Stale, match="policies"):
                await found.answer()

    run(story())


def test_policies_are_looked_up_by_need_once_for_many_pods_and_without_their_specs() -> None:
    async def story() -> None:
        async with world() as found:
            paths = (CLUSTER_POLICIES, f"{GROUP}/namespaces/{NAMESPACE}/modelpolicies")
            found.api.calls.clear()
            await asyncio.sleep(10)
            assert not [call for call in found.api.calls if call[1] in paths], "nobody asked"
            for _ in range(20):
                assert (await found.answer()).outcome is Outcome.ALLOW
            assert [found.api.calls.count(("GET", path)) for path in paths] == [1, 1]
            assert all("as=PartialObjectMetadataList" in found.api.accepted[path] for path in paths)

    run(story())


def test_a_policy_that_arrives_while_the_pod_waits_decides() -> None:
    async def story() -> None:
        async with world() as found:
            put_policy(found.api, "second", volumes={"default": "Forbid"})
            # The watch has not been heard yet: nothing has run since.
            assert (await found.answer()).outcome is Outcome.DENY

    run(story())


def test_the_status_of_a_policy_changes_nothing() -> None:
    async def story() -> None:
        async with world() as found:
            version = found.webhook.knowledge.policies.version
            stored = found.api.stored(CLUSTER_POLICIES, "", "post-quantum")
            found.api.put(CLUSTER_POLICIES, {**stored, "status": {"checkpoints": {"verified": 1}}})
            found.api.faults.is_lagging = True
            assert (await found.answer()).outcome is Outcome.ALLOW
            assert found.webhook.knowledge.policies.version == version

    run(story())


def test_a_policy_that_cannot_be_read_keeps_out_what_it_may_govern_and_says_so() -> None:
    async def story() -> None:
        async with world() as found:
            bad = policy_object("newer", enforcement="Obliterate")
            found.api.put(CLUSTER_POLICIES, bad)
            await found.settle()
            refused = await found.answer()
            assert (refused.outcome, refused.reason) == (Outcome.DENY, Reason.POLICY_INVALID)
            assert "ClusterModelPolicy newer cannot be decided upon" in refused.message
            assert found.webhook.judge.leaves_alone(NAMESPACE), "nothing in it is about tokens"
            found.api.delete(CLUSTER_POLICIES, "newer")
            await found.settle()
            assert (await found.answer()).outcome is Outcome.ALLOW

    run(story())


def test_a_namespaced_policy_that_cannot_be_read_concerns_its_namespace_only() -> None:
    async def story() -> None:
        async with world() as found:
            found.api.put(POLICIES, policy_object("bad", "team-b", enforcement="No"))
            await found.settle()
            assert (await found.answer()).outcome is Outcome.ALLOW
            refused = await found.answer(namespace="team-b")
            assert Reason.POLICY_INVALID in {each.reason for each in refused.refusals}

    run(story())


def test_a_cluster_policy_that_cannot_be_read_concerns_the_namespaces_that_it_selects() -> None:
    async def story() -> None:
        async with world() as found:
            bad = policy_object(
                "bad", enforcement="No", namespaceSelector={"matchLabels": {"team": "b"}}
            )
            found.api.put(CLUSTER_POLICIES, bad)
            await found.settle()
            assert (await found.answer()).outcome is Outcome.ALLOW
            labelled = {"name": NAMESPACE, "labels": {"team": "b"}}
            found.api.put(NAMESPACES, {"metadata": labelled})
            await found.settle()
            assert (await found.answer()).reason is Reason.POLICY_INVALID

    run(story())


def test_labels_of_the_namespace_choose_the_policies() -> None:
    async def story() -> None:
        selector = {"matchLabels": {"team": "research"}}
        async with world(new_api(namespaceSelector=selector)) as found:
            found.bind()
            await found.settle()
            assert (await found.answer()).reason is Reason.NOT_GOVERNED
            labels = {"name": NAMESPACE, "labels": {"team": "research"}}
            found.api.put(NAMESPACES, {"metadata": labels})
            await found.settle()
            assert (await found.answer()).reason is Reason.NO_CHECKPOINT

    run(story())


def _keyid(api: ApiInMemory) -> str:
    stored = api.stored(CHECKPOINTS, NAMESPACE, "llama-step-1200")
    keyid: str = stored["status"]["signatures"][0]["keyid"]
    return keyid


def test_plain_pods_are_left_alone_where_nobody_minds_them() -> None:
    async def story() -> None:
        rules = [{"emptyDir": {}, "action": "Forbid"}]
        async with world(new_api(volumes={"rules": rules})) as found:
            assert not found.webhook.judge.leaves_alone(NAMESPACE)
        async with world() as found:
            assert found.webhook.judge.leaves_alone(NAMESPACE)

    run(story())


def test_policies_that_come_while_the_pod_waits_are_part_of_its_answer() -> None:
    async def story() -> None:
        async with world() as found:
            found.api.faults.reply_delay_seconds = 0.1
            waiting = asyncio.create_task(found.answer())
            await asyncio.sleep(0.05)
            put_policy(found.api, "second", freshness={"maxAge": "100h"})
            answer = await waiting
            assert answer.outcome is Outcome.ALLOW
            assert len(answer.policies) == 2

    run(story())
