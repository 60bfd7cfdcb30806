"""What identifies a checkpoint's storage, and who uses it."""

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.operator_decisions.simulated import (
    Cluster,
    Content,
    checkpoint_object,
    claim_object,
    pod_object,
    volume_object,
)
from tests.unit.policy.builders import NOW, policy_object

from weightlock.policy.checkpoints import CheckpointSpec
from weightlock.policy.paths import VolumePath
from weightlock.policy.sources import (
    ClaimSource,
    CsiSource,
    HostPathSource,
    ImageSource,
    NfsSource,
    Source,
)
from weightlock.reasons import Reason
from weightlock.verdict.records import instant_text
from weightlock.verdict.storage import persistent_volume_hash
from weightlock_operator.decision.readings import read, reading_of
from weightlock_operator.decision.storage import StorageState, claimed_storage
from weightlock_operator.decision.usage import PodUse, use_of, uses_of

SPEC = CheckpointSpec(ClaimSource("llama"), VolumePath.parse("/step-1200"))
LATE: dict[str, object] = {"volumeBindingMode": "WaitForFirstConsumer"}


def test_a_bound_claim_is_identified_by_both_uids_and_the_source() -> None:
    volume: Any = volume_object()
    found = claimed_storage(SPEC, claim_object(), volume)
    assert found.state is StorageState.READY
    assert found.volume is not None
    assert found.volume.pvc_uid == "claim-1"
    assert (found.volume.pv_name, found.volume.pv_uid) == ("pv-1", "uid-of-pv-1")
    assert found.volume.source_hash == persistent_volume_hash(volume["spec"])
    assert str(found.volume.path) == "/step-1200"
    assert found.capacity_bytes == 100 * 1024**3


@pytest.mark.parametrize(
    ("claim", "volume", "storage_class", "state"),
    [
        pytest.param(None, None, None, StorageState.MISSING, id="no claim"),
        pytest.param(claim_object(volume=""), None, None, StorageState.UNBOUND, id="unbound"),
        pytest.param(
            claim_object(volume=""), None, LATE, StorageState.WAITS_FOR_CONSUMER, id="bound late"
        ),
        pytest.param(claim_object(volume=""), None, {}, StorageState.UNBOUND, id="bound at once"),
        pytest.param(claim_object(), None, LATE, StorageState.UNBOUND, id="volume not there"),
        pytest.param(
            claim_object(), volume_object(claim_uid="x"), None, StorageState.UNBOUND, id="not ours"
        ),
        pytest.param(
            claim_object(), volume_object("pv-2"), None, StorageState.UNBOUND, id="another volume"
        ),
        pytest.param(
            claim_object(volumeMode="Block"),
            volume_object(),
            None,
            StorageState.UNUSABLE,
            id="raw block",
        ),
        pytest.param(
            {**claim_object(), "status": {"phase": "Lost"}},
            None,
            None,
            StorageState.UNUSABLE,
            id="lost",
        ),
        pytest.param({"metadata": "x"}, None, None, StorageState.UNUSABLE, id="malformed claim"),
        pytest.param(
            claim_object(),
            {**volume_object(), "spec": {"claimRef": {"uid": "claim-1"}}},
            None,
            StorageState.UNUSABLE,
            id="no source",
        ),
    ],
)
def test_whatever_is_not_bound_and_readable(
    claim: object, volume: object, storage_class: object, state: StorageState
) -> None:
    found = claimed_storage(SPEC, claim, volume, storage_class)
    assert (found.state, found.volume) == (state, None)
    assert found.message


def test_a_volume_whose_spec_is_no_object() -> None:
    volume: Any = {**volume_object(), "spec": ["x"]}
    assert claimed_storage(SPEC, claim_object(), volume).state is StorageState.UNUSABLE


@pytest.mark.parametrize("state", ["lost", "block"])
def test_unusable_storage_is_an_error_that_says_why(state: str) -> None:
    cluster = Cluster(claim=claim_object(volumeMode="Block"))
    cluster.look()
    assert (cluster.phase, cluster.reason) == ("Error", "StorageUnavailable")
    assert "block device" in str(cluster.status["message"])


def mounted_by(namespace: str) -> Any:
    volume: Any = volume_object()
    volume["spec"]["csi"]["nodePublishSecretRef"] = {"name": "metaurl", "namespace": namespace}
    return volume


def test_storage_that_a_secret_of_the_tenant_decides_is_never_verified() -> None:
    cluster = Cluster(volume=mounted_by("team-a"))
    cluster.settle()
    assert (cluster.phase, cluster.reason, cluster.jobs) == ("Error", "SecretOfTenant", {})
    assert "csi.nodePublishSecretRef metaurl" in str(cluster.status["message"])
    assert "administrator" in str(cluster.status["message"])
    cluster = Cluster(volume=mounted_by("storage-admins"))
    cluster.settle()
    assert (cluster.phase, cluster.jobs_made) == ("Verified", 1)


def test_nor_is_an_inline_volume_whose_attributes_name_one() -> None:
    rules = [{"csi": {"drivers": ["csi.example"]}, "action": "Verify"}]
    for attributes, phase in ({"secretName": "s"}, "Error"), ({"bucket": "models"}, "Verified"):
        source = {"csi": {"driver": "csi.example", "volumeAttributes": attributes}}
        cluster = Cluster(
            checkpoint=checkpoint_object(source=source),
            policies=[policy_object(volumes={"rules": rules})],
        )
        cluster.settle()
        assert cluster.phase == phase
        assert (cluster.reason == "SecretOfTenant") is (phase == "Error")


def test_a_verdict_ends_where_a_secret_of_the_tenant_decides() -> None:
    cluster = Cluster()
    cluster.settle()
    assert cluster.phase == "Verified"
    cluster.volume = mounted_by("team-a")
    cluster.settle()
    assert (cluster.phase, cluster.reason) == ("Error", "SecretOfTenant")


# Who uses it.

CLAIM = ClaimSource("llama")
HOST = HostPathSource(VolumePath.parse("/mnt/models"), "node-a")
NFS = NfsSource("files.example", VolumePath.parse("/export"))
PATH = VolumePath.parse("/llama")


def pod(volume: dict[str, object], *mounts: dict[str, object], node: str = "node-a") -> Any:
    found: Any = pod_object(nodeName=node)
    found["spec"]["volumes"] = [{"name": "other", "emptyDir": {}}, {"name": "models", **volume}]
    found["spec"]["containers"] = [
        {"name": "main", "volumeMounts": [{"name": "models", **mount} for mount in mounts]}
    ]
    return found


def claim(*, read_only: bool = False) -> dict[str, object]:
    return {"persistentVolumeClaim": {"claimName": "llama", "readOnly": read_only}}


def host(path: str) -> dict[str, object]:
    return {"hostPath": {"path": path}}


def nfs(path: str, server: str = "files.example") -> dict[str, object]:
    return {"nfs": {"server": server, "path": path}}


def moment(minutes: int) -> str:
    return instant_text(NOW + timedelta(minutes=minutes))


def terminated(minutes: int | None) -> dict[str, object]:
    ended = {"exitCode": 137, "finishedAt": None if minutes is None else moment(minutes)}
    return {"name": "main", "state": {"terminated": ended}}


WRITES, READS, NOTHING = True, False, None


@pytest.mark.parametrize(
    ("source", "used", "expected"),
    [
        pytest.param(CLAIM, pod(claim(), {}), WRITES, id="whole claim"),
        pytest.param(CLAIM, pod(claim(read_only=True), {}), READS, id="read-only volume"),
        pytest.param(CLAIM, pod(claim(), {"readOnly": True}), READS, id="read-only mount"),
        pytest.param(CLAIM, pod(claim(), {"readOnly": True}, {}), WRITES, id="one of two mounts"),
        pytest.param(CLAIM, pod(claim()), WRITES, id="mounted by nobody yet"),
        pytest.param(CLAIM, pod(claim(read_only=True)), READS, id="nobody, read-only"),
        pytest.param(CLAIM, pod(claim(), {"subPath": "llama"}), WRITES, id="the path"),
        pytest.param(CLAIM, pod(claim(), {"subPath": "llama/x"}), WRITES, id="below it"),
        pytest.param(CLAIM, pod(claim(), {"subPath": "llama-2"}), NOTHING, id="beside it"),
        pytest.param(CLAIM, pod(claim(), {"subPath": "a//b"}), WRITES, id="no normal form"),
        pytest.param(CLAIM, pod(claim(), {"subPathExpr": "$(X)"}), WRITES, id="expression"),
        pytest.param(
            CLAIM,
            pod({"persistentVolumeClaim": {"claimName": "gpt"}}, {}),
            NOTHING,
            id="another claim",
        ),
        pytest.param(CLAIM, pod(claim(), {}, node=""), NOTHING, id="no node yet"),
        pytest.param(
            ClaimSource("trainer-models"), pod({"ephemeral": {}}, {}), WRITES, id="its own claim"
        ),
        pytest.param(
            ClaimSource("other-models"), pod({"ephemeral": {}}, {}), NOTHING, id="another's own"
        ),
        pytest.param(CLAIM, pod(claim(), {"name": "other"}), WRITES, id="mount of another volume"),
        pytest.param(HOST, pod(host("/mnt/models/llama"), {}), WRITES, id="host path"),
        pytest.param(HOST, pod(host("/mnt"), {"readOnly": True}), READS, id="folder above"),
        pytest.param(HOST, pod(host("/"), {"subPath": "mnt/models"}), WRITES, id="through /"),
        pytest.param(HOST, pod(host("/"), {"subPath": "home"}), NOTHING, id="elsewhere below /"),
        pytest.param(HOST, pod(host("/mnt//models"), {}), WRITES, id="odd host path"),
        pytest.param(HOST, pod(host("/mnt/models/gpt")), NOTHING, id="beside, unmounted"),
        pytest.param(HOST, pod(host("/mnt/models"), {}, node="node-b"), NOTHING, id="other node"),
        pytest.param(HOST, pod({"emptyDir": {}}, {}), NOTHING, id="no host path"),
        pytest.param(NFS, pod(nfs("/export/llama"), {}), WRITES, id="nfs"),
        pytest.param(NFS, pod(nfs("/export", "x"), {}), NOTHING, id="other server"),
        pytest.param(NFS, pod(nfs("/home"), {}), NOTHING, id="other export"),
        pytest.param(CsiSource("x"), pod(claim(), {}), NOTHING, id="csi"),
        pytest.param(ImageSource("x"), pod(claim(), {}), NOTHING, id="image"),
    ],
)
def test_how_a_pod_uses_a_checkpoint(source: Source, used: Any, expected: bool | None) -> None:
    found = use_of(reading_of(used), source, PATH)
    assert (found.may_write if found else None) is expected


def ended(at: str | None) -> Any:
    found = pod(claim(), {})
    terminated = {"terminated": {"exitCode": 0, "finishedAt": at}}
    statuses = [{"name": "main", "state": terminated}] if at else []
    found["status"] = {"phase": "Succeeded", "containerStatuses": statuses}
    return found


def test_a_pod_that_ended_wrote_until_its_end() -> None:
    at = NOW + timedelta(hours=1)
    found = use_of(reading_of(ended(instant_text(at))), CLAIM, PATH)
    assert found == PodUse("trainer", "uid-of-trainer", "node-a", False, True, at, "team-a")
    found = use_of(reading_of(ended(None)), CLAIM, PATH)
    assert found is not None
    assert found.until == NOW


def test_a_pod_that_cannot_be_read_may_write_and_hides_no_other() -> None:
    crowd = pod(claim(), {})
    crowd["spec"]["volumes"] += [{"name": f"v{number}", "emptyDir": {}} for number in range(1024)]
    found = uses_of(map(read, [crowd, pod(claim(), {})]), CLAIM, PATH)
    assert [(use.name, use.may_write, use.until) for use in found] == [
        ("a pod that cannot be read", True, None),
        ("trainer", True, None),
    ]


@pytest.mark.parametrize(
    ("status", "minutes"),
    [
        pytest.param({"containerStatuses": [terminated(None)]}, 0, id="the kubelet does not know"),
        pytest.param(
            {"containerStatuses": [terminated(None), terminated(20)]}, 20, id="knows of one"
        ),
        pytest.param(
            {"containerStatuses": [terminated(20), {"name": "main", "state": {"waiting": {}}}]},
            20,
            id="one never ran",
        ),
        pytest.param(
            {
                "conditions": [
                    {"type": "Ready"},
                    {"type": "Ready", "lastTransitionTime": moment(30)},
                ]
            },
            30,
            id="a condition changed",
        ),
    ],
)
def test_a_pod_of_which_nobody_knows_when_it_ended(status: Any, minutes: int) -> None:
    found = pod(claim(), {})
    found["status"] = {"phase": "Failed", "reason": "Evicted", **status}
    use = use_of(reading_of(found), CLAIM, PATH)
    assert use is not None
    assert use.until == NOW + timedelta(minutes=minutes)
    found["metadata"]["managedFields"] = [
        {"manager": "kubelet", "time": moment(40)},
        {"time": None},
    ]
    use = use_of(reading_of(found), CLAIM, PATH)
    assert use is not None
    assert use.until == NOW + timedelta(minutes=40)


def test_a_writer_that_ended_is_waited_for_as_long_as_clocks_may_differ() -> None:
    cluster = Cluster(others=[ended(instant_text(NOW))])
    cluster.checkpoint = checkpoint_object(
        source={"persistentVolumeClaim": {"claimName": "llama"}, "path": "/llama"}
    )
    decision = cluster.look()
    assert (cluster.phase, cluster.reason) == ("Pending", "WriterActive")
    assert decision.requeue_after == timedelta(minutes=5, seconds=1)
    cluster.pass_time(minutes=5, seconds=1)
    cluster.settle()
    assert (cluster.phase, cluster.jobs_made) == ("Verified", 1)


@pytest.mark.parametrize("mode", ["ReadOnlyMany", "ReadWriteOnce", "ReadWriteMany"])
def test_an_access_mode_keeps_nobody_from_writing(mode: str) -> None:
    volume: Any = volume_object()
    volume["spec"]["accessModes"] = [mode]
    cluster = Cluster(volume=volume, others=[pod_object(read_only=False)])
    cluster.look()
    assert (cluster.phase, cluster.reason, cluster.jobs_made) == ("Pending", "WriterActive", 0)
    cluster.others = [pod_object(read_only=True)]
    cluster.settle()
    assert cluster.phase == "Verified"


def test_a_failure_says_nothing_once_its_claim_is_gone() -> None:
    cluster = Cluster(content=Content(reason=Reason.EXTRA_FILE))
    cluster.settle()
    cluster.claim = None
    cluster.look()
    assert (cluster.phase, cluster.reason) == ("Pending", "StoragePending")


def test_trouble_with_a_claim_that_is_not_bound_yet_slows_down_too() -> None:
    cluster = Cluster(claim=claim_object(volume=""), volume=None, storage_class=LATE)
    cluster.is_requested, cluster.refuse_jobs = True, "exceeded quota"
    for _ in range(4):
        cluster.look()
        cluster.pass_time(hours=2)
    assert cluster.status["attempts"] == 4
    assert "volume" not in cluster.status
