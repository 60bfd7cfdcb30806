"""The judge and storage: writers, twins, seals, versions, restores, ages."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.support.api_in_memory import Json
from tests.support.loops import run
from tests.unit.webhook.objects import claim_volume, container, mount, pod_spec
from tests.unit.webhook.objects import volume as pod_volume
from tests.unit.webhook.world import (
    CHECKPOINTS,
    CLAIMS,
    NAMESPACE,
    NAMESPACES,
    PODS,
    SECRETS,
    VOLUMES,
    World,
    claim,
    new_api,
    put_config_map,
    remember,
    volume,
    world,
)

from weightlock.cluster_names import NAMESPACE as SYSTEM
from weightlock.reasons import Reason
from weightlock_webhook.cache.errors import Unreachable
from weightlock_webhook.decision.answers import Outcome
from weightlock_webhook.gathering.gather import Gathering
from weightlock_webhook.gathering.lookups import Cached
from weightlock_webhook.gathering.subjects import Subject
from weightlock_webhook.mounts.pods import pod_of


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
            remember(found.api, ("ClusterModelPolicy post-quantum", 4))
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


@pytest.mark.parametrize(
    ("change", "again"),
    [
        pytest.param(lambda _: None, 0, id="nothing"),
        pytest.param(lambda found: found.verify("elsewhere", of="other"), 0, id="of another claim"),
        pytest.param(lambda found: found.verify(), 1, id="the checkpoint"),
        pytest.param(lambda found: found.api.put(PODS, writer()), 3, id="a writer, all the while"),
    ],
)
def test_a_ground_is_put_together_again_where_something_has_changed(
    change: Callable[[World], object], again: int
) -> None:
    async def story() -> None:
        async with world() as found:
            found.bind("other", "vol-2")
            deciding, lookup = found.webhook.judge._deciding, Cached(found.webhook.knowledge)
            counted = Counted(deciding._gathering)
            deciding._gathering = counted  # type: ignore[assignment]
            subject = Subject(pod_of({}, pod_spec()), NAMESPACE)
            await found.settle()
            deciding.answer(subject, lookup)
            change(found)
            await found.settle()
            counted.grounds = 0
            for _ in range(3):
                deciding.answer(subject, lookup)
            assert counted.grounds == again

    run(story())


class Counted:
    """A gathering, and how often it was asked for a ground."""

    def __init__(self, real: Gathering) -> None:
        self._real = real
        self.grounds = 0

    def __getattr__(self, name: str) -> Any:
        self.grounds += name == "ground"
        return getattr(self._real, name)
