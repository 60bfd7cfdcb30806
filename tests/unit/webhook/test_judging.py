"""Answers about pods, from the watches and the live reads together."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from tests.support.api_in_memory import ApiInMemory, Json
from tests.support.loops import run
from tests.unit.policy.builders import policy_object
from tests.unit.webhook.objects import claim_volume, container, mount, pod_spec
from tests.unit.webhook.objects import volume as pod_volume
from tests.unit.webhook.world import (
    CHECKPOINTS,
    CLAIMS,
    CLUSTER_POLICIES,
    CONFIG_MAPS,
    NAMESPACE,
    NAMESPACES,
    PODS,
    POLICIES,
    SECRETS,
    VOLUMES,
    World,
    claim,
    new_api,
    put_policy,
    volume,
    world,
)

from weightlock.cluster_names import NAMESPACE as SYSTEM
from weightlock.errors import WeightlockError
from weightlock.policy.spec import Enforcement
from weightlock.reasons import Reason
from weightlock_webhook.cache import checkpoints, policies, volumes
from weightlock_webhook.cache.errors import Stale, Unreachable
from weightlock_webhook.decision.answers import Outcome
from weightlock_webhook.documents import JsonObject
from weightlock_webhook.gathering.gather import Subject
from weightlock_webhook.gathering.lookups import Cached
from weightlock_webhook.judging import deciding, pods, remembering
from weightlock_webhook.live import sharing
from weightlock_webhook.mounts.pods import pod_of
from weightlock_webhook.reviews.collaborators import Reply


def test_a_pod_with_a_verified_checkpoint_is_let_in() -> None:
    async def story() -> None:
        async with world() as found:
            answer = await found.answer()
            assert (answer.outcome, answer.reason) == (Outcome.ALLOW, Reason.VERIFIED)

    run(story())


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


def test_what_is_remembered_of_a_new_pod_says_nothing_of_one_that_runs() -> None:
    async def story() -> None:
        content = JsonObject(json.dumps(pod_spec(nodeName="node-1")).encode())
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


def writer(name: str = "writer", **spec: Any) -> Json:
    made = pod_spec(
        claim_volume(read_only=False), containers=[container(mount(readOnly=False))], **spec
    )
    return {
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": made,
        "status": {"phase": "Running"},
    }


def test_a_writer_makes_the_verdict_stale_now_and_after_it_has_ended() -> None:
    async def story() -> None:
        async with world() as found:
            found.api.put(PODS, writer())
            await found.settle()
            assert (await found.answer()).reason is Reason.WRITER_SEEN
            stored = found.api.stored(PODS, NAMESPACE, "writer")
            found.api.put(PODS, {**stored, "status": {"phase": "Succeeded"}})
            await asyncio.sleep(60)
            assert (await found.answer()).reason is Reason.WRITER_SEEN

    run(story())


def test_a_writer_of_a_claim_that_was_made_anew_wrote_to_other_storage() -> None:
    async def story() -> None:
        async with world() as found:
            found.api.put(PODS, writer())
            await found.settle()
            found.api.delete(PODS, "writer", NAMESPACE)
            found.api.delete(CLAIMS, "llama", NAMESPACE)
            await found.settle()
            found.bind()
            found.verify()
            await found.settle()
            assert (await found.answer()).reason is Reason.VERIFIED

    run(story())


def test_reading_pods_are_not_kept() -> None:
    async def story() -> None:
        async with world() as found:
            reader = {"metadata": {"name": "reader", "namespace": NAMESPACE}, "spec": pod_spec()}
            found.api.put(PODS, {**reader, "status": {"phase": "Running"}})
            await found.settle()
            assert found.webhook.knowledge.counts()["pods"] == 0
            assert (await found.answer()).outcome is Outcome.ALLOW

    run(story())


def test_another_volume_over_the_same_bytes_that_can_be_written_keeps_the_pod_out() -> None:
    async def story() -> None:
        async with world() as found:
            found.api.put(VOLUMES, volume("twin", "x", accessModes=["ReadWriteMany"]))
            await found.settle()
            assert (await found.answer()).reason is Reason.BACKING_SHARED
            found.api.delete(VOLUMES, "twin")
            await found.settle()
            assert (await found.answer()).outcome is Outcome.ALLOW

    run(story())


def test_seal_keys_rotate_by_being_listed_together_and_count_no_more_when_gone() -> None:
    async def story() -> None:
        async with world() as found:
            secret = found.api.stored(SECRETS, SYSTEM, "weightlock-seal")
            old = secret["data"]["current"]
            other = "eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg="
            found.api.put(SECRETS, {**secret, "data": {"current": other, "previous": old}})
            await found.settle()
            assert (await found.answer()).outcome is Outcome.ALLOW
            found.api.put(SECRETS, {**secret, "data": {"current": other, "else": old}})
            await found.settle()
            assert (await found.answer()).reason is Reason.SEAL_BROKEN
            found.api.delete(SECRETS, "weightlock-seal", SYSTEM)
            await found.settle()
            assert (await found.answer()).reason is Reason.SEAL_BROKEN

    run(story())


def test_a_remembered_version_is_a_floor_that_does_not_sink() -> None:
    async def story() -> None:
        async with world() as found:
            put_config_map(found.api, "weightlock-versions", k='{"model": "llama", "version": 4}')
            await found.settle()
            assert (await found.answer()).reason is Reason.ROLLBACK
            put_config_map(found.api, "weightlock-versions", k="not JSON")
            await found.settle()
            assert (await found.answer()).reason is Reason.ROLLBACK

    run(story())


@pytest.mark.parametrize("text", ["2026-11-21T12:30:00Z", "yesterday"])
def test_a_restore_from_a_backup_makes_older_verdicts_stale(text: str) -> None:
    async def story() -> None:
        async with world() as found:
            put_config_map(found.api, "weightlock-state", restoredAt=text)
            await found.settle()
            assert (await found.answer()).reason is Reason.RESTORED_FROM_BACKUP

    run(story())


def test_a_restore_is_noticed_without_anybody_saying_so() -> None:
    async def story() -> None:
        async with world() as found:
            backup = found.api.snapshot()
            put_config_map(found.api, "anything", x="y")
            found.api.put(NAMESPACES, {"metadata": {"name": "new"}})
            await found.settle()
            found.api.restore(*backup)
            found.api.end_watches(Unreachable("restarted"))
            await asyncio.sleep(5)
            assert (await found.answer()).reason is Reason.RESTORED_FROM_BACKUP

    run(story())


def test_a_verdict_ends_with_its_age_also_for_pods_that_came_before() -> None:
    async def story() -> None:
        async with world(new_api(freshness={"maxAge": "2h"})) as found:
            found.bind()
            found.verify()
            await found.settle()
            assert (await found.answer()).outcome is Outcome.ALLOW
            await asyncio.sleep(3600)
            assert (await found.answer()).reason is Reason.VERDICT_EXPIRED

    run(story())


def test_a_clock_that_goes_back_revives_nothing() -> None:
    async def story() -> None:
        async with world(new_api(freshness={"maxAge": "2h"})) as found:
            found.bind()
            found.verify()
            await found.settle()
            found.wall[0] = timedelta(hours=2)
            assert (await found.answer()).reason is Reason.VERDICT_EXPIRED
            found.wall[0] = timedelta(hours=-1)
            assert (await found.answer()).reason is Reason.VERDICT_EXPIRED

    run(story())


def test_a_pod_that_cannot_be_read_is_refused() -> None:
    async def story() -> None:
        async with world() as found:
            answer = await found.answer({"containers": "none"})
            assert (answer.outcome, answer.reason) == (Outcome.DENY, Reason.MALFORMED)

    run(story())


def test_claims_of_ephemeral_volumes_count_once_the_pod_has_a_uid() -> None:
    async def story() -> None:
        rule = {"ephemeral": {"storageClassNames": ["scratch"]}, "action": "Ignore"}
        forbid = {"nfs": {"servers": ["evil"]}, "action": "Forbid"}
        async with world(new_api(volumes={"rules": [rule, forbid]})) as found:
            template = {"spec": {"storageClassName": "scratch"}}
            scratch = pod_volume("scratch", emptyDir={})
            model = pod_volume("model", ephemeral={"volumeClaimTemplate": template})
            spec = pod_spec(model, scratch)
            assert (await found.answer(spec)).outcome is Outcome.ALLOW
            owned = claim("trainer-model", "nfs")
            owned["metadata"]["ownerReferences"] = [{"uid": "pod-uid"}]
            made = found.api.put(CLAIMS, owned)
            nfs: Json = {"csi": None, "nfs": {"server": "evil", "path": "/"}}
            found.api.put(VOLUMES, volume("nfs", made["metadata"]["uid"], **nfs))
            await found.settle()
            asked: Json = {"name": "trainer", "metadata": {"uid": "pod-uid"}, "node": "n1"}
            assert (await found.answer(spec, **asked)).reason is Reason.VOLUME_FORBIDDEN
            other = {**asked, "metadata": {"uid": "other"}}
            assert (await found.answer(spec, **other)).outcome is Outcome.ALLOW

    run(story())


def test_a_refused_pod_asks_for_its_verdict_once() -> None:
    async def story() -> None:
        async with world(new_api()) as found:
            made = found.bind()
            await found.settle()
            spec = pod_spec(containers=[container(mount(subPath="step-1"))])
            for _ in range(5):
                await found.answer(spec)
            await asyncio.sleep(1)
            (event,) = found.api.posted
            assert event["reason"] == "VerificationRequested"
            assert event["metadata"]["namespace"] == NAMESPACE
            assert event["involvedObject"]["kind"] == "PersistentVolumeClaim"
            assert event["involvedObject"]["uid"] == made["metadata"]["uid"]
            assert event["reportingComponent"] == "weightlock-webhook"
            assert '"/step-1"' in event["message"]
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


def put_config_map(api: ApiInMemory, name: str, **data: str) -> None:
    api.put(CONFIG_MAPS, {"metadata": {"name": name, "namespace": SYSTEM}, "data": data})


def _keyid(api: ApiInMemory) -> str:
    stored = api.stored(CHECKPOINTS, NAMESPACE, "llama-step-1200")
    keyid: str = stored["status"]["signatures"][0]["keyid"]
    return keyid


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


def test_a_list_that_the_server_does_not_have_is_no_list() -> None:
    async def story() -> None:
        async with world() as found:
            found.api.missing.add("/apis/weightlock.dev/v1beta1/clustermodelpolicies")
            with pytest.raises(Unreachable, match="no such list"):
                await found.answer()

    run(story())


def test_plain_pods_are_left_alone_where_nobody_minds_them() -> None:
    async def story() -> None:
        rules = [{"emptyDir": {}, "action": "Forbid"}]
        async with world(new_api(volumes={"rules": rules})) as found:
            assert not found.webhook.judge.leaves_alone(NAMESPACE)
        async with world() as found:
            assert found.webhook.judge.leaves_alone(NAMESPACE)

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
            put_config_map(found.api, "weightlock-versions", k='{"model": "llama", "version": 4}')
            await found.settle()
            assert knowledge.expected(NAMESPACE, "named") == ("llama", 4)
            assert knowledge.expected(NAMESPACE, "llama-step-1200") == (None, 0)
            assert knowledge.expected(NAMESPACE, "none") == (None, 0)
            own = json.dumps({"model": f"{NAMESPACE}:llama", "version": 5})
            put_config_map(found.api, "weightlock-versions", k=own)
            await found.settle()
            assert knowledge.expected(NAMESPACE, "named") == ("llama", 5)

    run(story())


def test_a_checkpoint_goes_and_others_of_its_claim_stay() -> None:
    async def story() -> None:
        async with world() as found:
            found.verify("other")
            found.api.delete(CHECKPOINTS, "llama-step-1200", NAMESPACE)
            await found.settle()
            assert (await found.answer()).checkpoints == {"other"}

    run(story())


def test_an_inline_volume_that_somebody_writes_is_stale() -> None:
    async def story() -> None:
        rules = [{"hostPath": {"paths": ["/mnt"]}, "action": "Verify"}]
        async with world(new_api(volumes={"rules": rules})) as found:
            host = pod_volume("model", hostPath={"path": "/mnt/models"})
            writing = pod_spec(host, containers=[container(mount(readOnly=False))])
            metadata = {"name": "w", "namespace": NAMESPACE}
            found.api.put(PODS, {"metadata": metadata, "spec": writing})
            await found.settle()
            subject = Subject(pod_of({}, pod_spec(host)), NAMESPACE)
            gathering = found.webhook.judge._deciding._gathering
            ground = gathering.ground(subject, Cached(found.webhook.knowledge))
            assert dict(ground.written).keys() == {"model"}

    run(story())


SMALL = [
    (deciding, "MOST_ANSWERS"),
    (pods, "MOST_PODS"),
    (pods, "MOST_BYTES"),
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


def test_whoever_asks_during_a_read_shares_the_next_one() -> None:
    async def story() -> None:
        reads: sharing.SharedReads[int] = sharing.SharedReads()
        began: list[float] = []

        async def fetch() -> int:
            began.append(asyncio.get_running_loop().time())
            await asyncio.sleep(1)
            return len(began)

        first = reads.begin("x", fetch)
        await asyncio.sleep(0.5)
        second, third = reads.begin("x", fetch), reads.begin("x", fetch)
        old = reads.begin("x", fetch, 0.9)
        assert (old, third) == (first, second)
        await asyncio.sleep(1)
        fourth = reads.begin("x", fetch)
        assert [await each for each in (first, second, fourth)] == [1, 2, 3]
        assert began == [0, 1, 2]

    run(story())


def test_a_failed_read_is_no_answer_for_anybody_later() -> None:
    async def story() -> None:
        reads: sharing.SharedReads[int] = sharing.SharedReads()

        async def fails() -> int:
            raise Unreachable("no")

        async def works() -> int:
            return 1

        failed = reads.begin("x", fails)
        await asyncio.wait([failed])
        assert await reads.begin("x", works, 60) == 1

    run(story())
