"""How a tenant with edit rights gets round admission by paths and volumes: not at all.

The numbers are those of the threat model. Each refusal has its compliant twin: the same pod with
what is wrong put right is stored.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.cluster.admission import Case, new_case
from tests.cluster.admission_cases.shared import MERGE_PATCH, WRITABLE, of_shared
from tests.support.admitting import why_refused
from tests.support.protected import (
    bind,
    verify,
)
from tests.unit.webhook.objects import Object, claim_volume, container, mount, pod_spec, volume
from tests.webhook_server.real import Webhook

from e2e.cluster.api import ApiError
from e2e.cluster.apiserver import ApiServer


@pytest.mark.parametrize("sub_path", ["", ".", "./"])
def test_a01_more_than_what_was_verified_is_refused(verified: Case, sub_path: str) -> None:
    verified.refused(verified.pod(of_shared(subPath=sub_path)), "PathNotCovered")


@pytest.mark.parametrize("sub_path", ["evil", "good-evil", "goo", "Good"])
def test_a01_what_lies_beside_what_was_verified_is_refused(verified: Case, sub_path: str) -> None:
    verified.refused(verified.pod(of_shared(subPath=sub_path)), "NoCheckpoint")


@pytest.mark.parametrize("sub_path", ["good", "good/", "good//x", "./good", "good/./deep/er"])
def test_a01_what_was_verified_and_anything_below_is_stored(verified: Case, sub_path: str) -> None:
    found = verified.stored(verified.pod(of_shared(subPath=sub_path)))
    assert found["spec"]["containers"][0]["volumeMounts"][0]["subPath"] == sub_path


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(pod_spec(claim_volume(read_only=False)), id="volume"),
        pytest.param(pod_spec(containers=[container(WRITABLE)]), id="mount"),
        pytest.param(
            pod_spec(initContainers=[container(WRITABLE, name="first")]), id="init container"
        ),
        pytest.param(
            pod_spec(containers=[container(mount()), container(WRITABLE, name="other")]),
            id="one of two",
        ),
    ],
)
def test_a02_who_could_write_is_refused(verified: Case, spec: Object) -> None:
    verified.refused(verified.pod(spec), "WritableMount")


def test_a02_who_only_reads_is_stored(verified: Case) -> None:
    spec = pod_spec(
        containers=[container(mount()), container(mount(), name="other")],
        initContainers=[container(mount(), name="first")],
    )
    verified.stored(verified.pod(spec))


def test_a02_nobody_reads_while_somebody_writes_or_after(
    server: ApiServer, webhook: Webhook
) -> None:
    case = new_case(server, webhook, mounts={"readOnly": "Optional"})
    bind(case.tenant)
    verify(case.tenant)
    writing = case.pod(pod_spec(claim_volume(read_only=False), containers=[container(WRITABLE)]))
    case.becomes_stored(writing)
    case.becomes_refused(case.pod(pod_spec()), "WriterSeen")
    case.tenant.api.delete(writing)
    case.refused(case.pod(pod_spec()), "WriterSeen")


def padded(spec: Object, kibibytes: int) -> Object:
    """As large as the API server takes them, or as asked."""
    first, *rest = spec["containers"]
    environment = [{"name": f"PAD_{n}", "value": "A" * 1024} for n in range(kibibytes)]
    return {**spec, "containers": [{**first, "env": environment}, *rest]}


@pytest.mark.parametrize("kibibytes", [64, 1100])
def test_a06_a_large_pod_is_judged_like_any_other(verified: Case, kibibytes: int) -> None:
    bad = padded(pod_spec(claim_volume(claim="fresh")), kibibytes)
    verified.refused(verified.pod(bad), "NoCheckpoint")
    found = verified.stored(verified.pod(padded(pod_spec(), kibibytes)))
    assert len(found["spec"]["containers"][0]["env"]) == kibibytes


def test_a06_an_update_that_carries_a_large_pod_twice_is_judged_too(verified: Case) -> None:
    manifest = verified.pod(padded(pod_spec(), 1100))
    verified.stored(manifest)
    verified.tenant.api.patch(manifest, {"metadata": {"labels": {"a": "b"}}})
    assert verified.admin.read(manifest)["metadata"]["labels"]["a"] == "b"
    ours = {"metadata": {"labels": {"weightlock.dev/verification": "n"}}}
    verified.refused_patch(manifest, ours, MERGE_PATCH)


def test_a06_so_is_one_with_many_volumes_and_there_is_an_end(verified: Case) -> None:
    def many(count: int, *more: Object) -> Object:
        empty = [volume(f"v{number}", emptyDir={}) for number in range(count)]
        return pod_spec(claim_volume(), *empty, *more)

    verified.stored(verified.pod(many(120)))
    verified.refused(verified.pod(many(120, claim_volume("other", "fresh"))), "NoCheckpoint")
    verified.refused(verified.pod(many(130)), "LimitExceeded")


TEMPLATE = {
    "accessModes": ["ReadOnlyMany"],
    "resources": {"requests": {"storage": "1Gi"}},
    "storageClassName": "scratch",
}
SNAPSHOT = {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "s"}


def ephemeral(**spec: Any) -> Object:
    return volume("scratch", ephemeral={"volumeClaimTemplate": {"spec": {**TEMPLATE, **spec}}})


def test_a12_a_claim_made_for_the_pod_is_scratch_only_if_it_starts_empty(
    server: ApiServer, webhook: Webhook
) -> None:
    rules = [{"ephemeral": {"storageClassNames": ["scratch"]}, "action": "Ignore"}]
    case = new_case(server, webhook, volumes={"rules": rules})
    bind(case.tenant)
    verify(case.tenant)
    if "must specify a volume type" in why_refused(
        case.admin, case.pod(pod_spec(claim_volume(), ephemeral()))
    ):
        pytest.skip("this API server knows no generic ephemeral volumes")
    case.becomes_stored(case.pod(pod_spec(claim_volume(), ephemeral())))
    case.refused(case.pod(pod_spec(claim_volume(), ephemeral(dataSource=SNAPSHOT))))
    case.refused(case.pod(pod_spec(claim_volume(), ephemeral(storageClassName="models"))))


@pytest.mark.parametrize(
    "user",
    [
        "system:serviceaccount:kube-system:replicaset-controller",
        "system:serviceaccount:kube-system:job-controller",
        "system:serviceaccount:kube-system:daemon-set-controller",
        "system:kube-scheduler",
    ],
)
def test_a15_b04_whoever_makes_a_pod_it_is_judged_by_what_it_mounts(
    verified: Case, user: str
) -> None:
    controller = verified.admin.acting_as(user, "system:masters")
    fresh = verified.pod(pod_spec(claim_volume(claim="fresh")))
    verified.refused(fresh, "NoCheckpoint", by=controller)
    verified.stored(verified.pod(pod_spec()), by=controller)


INLINE: dict[str, Object] = {
    "nfs": {"server": "s", "path": "/e", "readOnly": True},
    "csi": {"driver": "d.example", "readOnly": True},
    "iscsi": {"targetPortal": "1.2.3.4:3260", "iqn": "iqn.2001-04.com.e:s", "lun": 0},
    "rbd": {"monitors": ["m"], "image": "i"},
    "cephfs": {"monitors": ["m"]},
    "glusterfs": {"endpoints": "e", "path": "p"},
    "fc": {"targetWWNs": ["50060e801049cfd1"], "lun": 0},
    "azureFile": {"secretName": "s", "shareName": "n"},
    "flexVolume": {"driver": "d/e"},
    "gitRepo": {"repository": "https://git.example/x"},
    "hostPath": {"path": "/mnt/models"},
}


@pytest.mark.parametrize("kind", INLINE)
def test_a12_storage_that_the_pod_describes_itself_is_refused(verified: Case, kind: str) -> None:
    verified.refused(verified.pod(pod_spec(volume("model", **{kind: INLINE[kind]}))))


def test_a12_claims_that_nobody_registered_or_bound_are_refused(verified: Case) -> None:
    verified.refused(verified.pod(pod_spec(claim_volume(claim="fresh"))), "NoCheckpoint")
    verified.refused(verified.pod(pod_spec(claim_volume(claim="none"))), "ClaimUnbound")


def test_a12_raw_devices_are_refused(verified: Case) -> None:
    device = {"name": "c", "image": "i", "volumeDevices": [{"name": "model", "devicePath": "/d"}]}
    verified.refused(verified.pod(pod_spec(containers=[device])), "RawBlockDevice")


@pytest.mark.parametrize("kind", ["emptyDir", "configMap", "secret", "downwardAPI", "projected"])
def test_a12_what_can_bring_no_checkpoint_is_stored(verified: Case, kind: str) -> None:
    sources: dict[str, Object] = {
        "emptyDir": {},
        "configMap": {"name": "c"},
        "secret": {"secretName": "s"},
        "downwardAPI": {},
        "projected": {"sources": [{"configMap": {"name": "c"}}]},
    }
    found = verified.stored(verified.pod(pod_spec(volume("model", **{kind: sources[kind]}))))
    assert kind in found["spec"]["volumes"][0]


@pytest.mark.parametrize(
    "path", ["/", "/mnt", "/mnt/models", "/mnt//models", "/mnt/./models", "/var/lib/kubelet/pods"]
)
def test_a13_paths_of_the_node_are_refused_in_every_spelling(verified: Case, path: str) -> None:
    spec = pod_spec(volume("model", hostPath={"path": path}))
    verified.refused(verified.pod(spec), "HostPathAlias")


def test_a13_a_claim_over_a_path_of_the_node_is_that_path(
    server: ApiServer, webhook: Webhook
) -> None:
    rules = [{"persistentVolumeClaim": {"storageClassNames": ["scratch"]}, "action": "Ignore"}]
    case = new_case(server, webhook, volumes={"rules": rules})
    bind(case.tenant, "scratch", storageClassName="scratch")
    case.becomes_stored(case.pod(pod_spec(claim_volume(claim="scratch", read_only=False))))
    host = {"hostPath": {"path": "/mnt/models"}}
    bind(case.tenant, "hidden", host, storageClassName="scratch")
    case.becomes_refused(case.pod(pod_spec(claim_volume(claim="hidden"))), "HostPathAlias")


def test_a18_a_volume_that_nobody_mounts_counts_as_a_whole(verified: Case) -> None:
    unmounted = pod_spec(claim_volume(), claim_volume("later", "fresh"))
    verified.refused(verified.pod(unmounted), "NoCheckpoint")
    part = pod_spec(claim_volume(), claim_volume("later", "shared"))
    verified.refused(verified.pod(part), "PathNotCovered")
    verified.stored(verified.pod(pod_spec(claim_volume(), claim_volume("later", "llama"))))


def test_a19_a_path_that_is_known_only_at_the_start_is_refused(verified: Case) -> None:
    source = {"fieldRef": {"fieldPath": "metadata.annotations['p']"}}
    environment = [{"name": "P", "valueFrom": source}]
    expression = mount(subPathExpr="$(P)")
    spec = pod_spec(
        claim_volume(claim="shared"), containers=[container(expression, env=environment)]
    )
    verified.refused(verified.pod(spec, annotations={"p": "good"}), "SubPathExpr")
    verified.stored(verified.pod(of_shared(subPath="good"), annotations={"p": "good"}))


NESTED = volume("other", emptyDir={})


@pytest.mark.parametrize("at", ["/models/config.json", "/models/", "/models", "/models//x/y", "/"])
def test_a29_nothing_lies_over_what_was_verified(verified: Case, at: str) -> None:
    mounts = container(mount(), mount("other", at, readOnly=False))
    spec = pod_spec(claim_volume(), NESTED, containers=[mounts])
    message = _create_message(verified, spec)
    assert "NestedMount" in message or "must be unique" in message


def _create_message(case: Case, spec: Object) -> str:
    with pytest.raises(ApiError) as refusal:
        case.tenant.api.create(case.pod(spec))
    return refusal.value.message


@pytest.mark.parametrize("at", ["/models-2", "/scratch", "/model"])
def test_a29_what_lies_beside_it_is_stored(verified: Case, at: str) -> None:
    mounts = container(mount(), mount("other", at, readOnly=False))
    verified.stored(verified.pod(pod_spec(claim_volume(), NESTED, containers=[mounts])))


def test_a29_the_message_file_lies_nowhere_in_it(verified: Case) -> None:
    spec = pod_spec(containers=[container(mount(), terminationMessagePath="/models/config.json")])
    verified.refused(verified.pod(spec), "NestedMount")


def test_b14_a_claim_that_starts_with_somebodys_data_is_no_scratch_by_its_name(
    server: ApiServer, webhook: Webhook
) -> None:
    """A rule for scratch claims is about claims that start empty."""
    scratch: Object = {
        "persistentVolumeClaim": {"claimNames": ["scratch-*"]},
        "action": "Ignore",
    }
    case = new_case(server, webhook, volumes={"rules": [scratch]})
    bind(case.tenant, "scratch-a")
    evil = {"kind": "PersistentVolumeClaim", "name": "evil"}
    bind(case.tenant, "scratch-b", dataSource=evil)
    case.becomes_stored(case.pod(pod_spec(claim_volume(claim="scratch-a"))))
    case.refused(case.pod(pod_spec(claim_volume(claim="scratch-b"))), "NoCheckpoint")
    # What bears the name when it is mounted may be another claim.
    placed = pod_spec(claim_volume(claim="scratch-a"), nodeName="n1")
    case.refused(case.pod(placed), "NodeNamed")
