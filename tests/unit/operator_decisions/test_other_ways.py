"""Pods that reach the bytes of a checkpoint by another way than the name of its source."""

from typing import Any

import pytest
from tests.support.published_schemas import RELEASES, fields_of, sample_of_source
from tests.unit.policy.builders import NOW

from weightlock.policy.paths import VolumePath
from weightlock.policy.sources import (
    ClaimSource,
    CsiSource,
    HostPathSource,
    ImageSource,
    NfsSource,
    Source,
)
from weightlock.policy.volume_kinds import CLAIMED, INLINE_WITH_READ_ONLY, OWN
from weightlock.verdict.places import DEEPEST, Place, exported, on_nodes, places_of
from weightlock.verdict.records import instant_text
from weightlock_operator.decision.places import (
    places_of_inline,
    places_of_source,
    places_of_volume,
    shown_to_pods,
)
from weightlock_operator.decision.readings import reading_of
from weightlock_operator.decision.usage import PodUse, Storages
from weightlock_operator.decision.usage import use_of as use_of_reading
from weightlock_operator.pod_records import record_of_pod

Json = dict[str, Any]
CLAIM = ClaimSource("llama")
STEP = VolumePath.parse("/step-1200")
EXPORT = (exported("files.example", "/export/models"),)
GCS, SMB = "gcsfuse.csi.storage.gke.io", "smb.csi.k8s.io"


def pod(volume: Json, namespace: str = "elsewhere", node: str = "node-a", **mount: Any) -> Json:
    return {
        "metadata": {
            "name": "p",
            "uid": "u",
            "namespace": namespace,
            "creationTimestamp": instant_text(NOW),
        },
        "spec": {
            "nodeName": node,
            "volumes": [{"name": "v", **volume}],
            "containers": [{"volumeMounts": [{"name": "v", "mountPath": "/m", **mount}]}],
        },
        "status": {"phase": "Running"},
    }


def use_of(body: Json, source: Source, path: VolumePath, storages: Storages) -> PodUse | None:
    return use_of_reading(reading_of(body), source, path, storages)


def nfs(path: str, server: str = "files.example", **more: Any) -> Json:
    return {"nfs": {"server": server, "path": path, **more}}


@pytest.mark.parametrize(
    ("volume", "mount", "writes"),
    [
        pytest.param(nfs("/export/models"), {}, True, id="the same folder"),
        pytest.param(nfs("/export"), {}, True, id="one above it"),
        pytest.param(nfs("/export/models/step-1200/x"), {}, True, id="one below it"),
        pytest.param(nfs("/export", "FILES.example."), {}, True, id="another spelling"),
        pytest.param(nfs("/export/../export"), {}, True, id="a path that cannot be told"),
        pytest.param(nfs("/export/models", readOnly=True), {}, False, id="only read"),
        pytest.param(nfs("/export/models"), {"readOnly": True}, False, id="mounted to be read"),
        pytest.param(nfs("/export/models"), {"subPath": "step-1200"}, True, id="the very step"),
        pytest.param(nfs("/export/models"), {"subPath": "step-1"}, None, id="another step"),
        pytest.param(nfs("/export"), {"subPath": "logs"}, None, id="another folder above"),
        pytest.param(nfs("/other"), {}, None, id="another export"),
        pytest.param(nfs("/export", "other.example"), {}, None, id="another server"),
        pytest.param({"emptyDir": {}}, {}, None, id="scratch"),
    ],
)
def test_who_has_the_export_of_a_claims_volume(
    volume: Json, mount: Json, writes: bool | None
) -> None:
    found = use_of(pod(volume, **mount), CLAIM, STEP, Storages(EXPORT))
    assert (found.may_write if found else None) is writes


def test_a_path_too_deep_to_compare_is_taken_whole() -> None:
    deep = "/a" * (DEEPEST + 1)
    storages = Storages((exported("files.example", deep),))
    found = use_of(pod(nfs(deep), subPath="x"), CLAIM, STEP, storages)
    assert found is not None


def test_pods_of_whoever_runs_the_cluster_do_not_count() -> None:
    storages = Storages(EXPORT, exempt=frozenset({"kube-system"}))
    assert use_of(pod(nfs("/export"), "kube-system"), CLAIM, STEP, storages) is None
    assert use_of(pod(nfs("/export"), "elsewhere"), CLAIM, STEP, storages) is not None
    own = pod({"persistentVolumeClaim": {"claimName": "llama"}}, "kube-system")
    assert use_of(own, CLAIM, STEP, storages) is not None, "by the claim itself they do"


@pytest.mark.parametrize(
    ("node", "is_seen"), [("node-a", True), ("node-b", False)], ids=["there", "on another node"]
)
def test_a_folder_of_a_node_is_that_nodes(node: str, is_seen: bool) -> None:
    storages = Storages((on_nodes("/mnt/disks/llama", frozenset({"node-a"})),))
    found = use_of(pod({"hostPath": {"path": "/mnt"}}, node=node), CLAIM, STEP, storages)
    assert (found is not None) is is_seen


@pytest.mark.parametrize(
    ("claim", "namespace", "is_seen"),
    [("mine", "elsewhere", True), ("mine", "team-a", False), ("other", "elsewhere", False)],
)
def test_another_claim_of_the_same_bytes(claim: str, namespace: str, is_seen: bool) -> None:
    storages = Storages(EXPORT, {("elsewhere", "mine"): EXPORT})
    volume = {"persistentVolumeClaim": {"claimName": claim}}
    assert (use_of(pod(volume, namespace), CLAIM, STEP, storages) is not None) is is_seen


def csi(driver: str, **attributes: str) -> Json:
    return {"csi": {"driver": driver, "volumeAttributes": attributes}}


def volume(driver: str, handle: str, **attributes: str) -> Json:
    return {
        "csi": {"driver": driver, "volumeHandle": handle, "volumeAttributes": attributes},
        "accessModes": ["ReadWriteMany"],
    }


@pytest.mark.parametrize(
    ("spec", "inline", "is_same"),
    [
        pytest.param(volume(GCS, "models"), csi(GCS, bucketName="models"), True, id="a bucket"),
        pytest.param(volume(GCS, "models"), csi(GCS, bucketName="logs"), False, id="another one"),
        pytest.param(volume(GCS, "models"), csi(GCS, bucketName="_"), True, id="all buckets"),
        pytest.param(volume(GCS, "_"), csi(GCS, bucketName="logs"), True, id="of all buckets"),
        pytest.param(volume(GCS, "models"), csi(GCS), True, id="nobody knows which"),
        pytest.param(
            volume(SMB, "any", source="//files.example/models"),
            csi(SMB, Source="//FILES.example/models/llama"),
            True,
            id="a share and a folder of it",
        ),
        pytest.param(
            volume(SMB, "any", source="//files.example/models"),
            csi(SMB, source="//files.example/logs"),
            False,
            id="another share",
        ),
        pytest.param(
            volume(SMB, "any", source="//files.example/models"),
            csi(SMB, source="//files.example/logs/../models"),
            True,
            id="a share that cannot be told",
        ),
        pytest.param(volume("csi.example", "v"), csi("csi.example"), True, id="unknown driver"),
        pytest.param(volume("csi.example", "v"), csi("other.example"), False, id="other driver"),
        pytest.param(
            volume("nfs.csi.k8s.io", "v", server="s", share="/m"), nfs("/m", "s"), True, id="nfs"
        ),
        pytest.param({"nfs": {"server": "s", "path": "/m"}}, nfs("/m", "s"), True, id="plain nfs"),
        pytest.param({}, nfs("/m", "s"), False, id="what is no volume"),
    ],
)
def test_inline_volumes_and_a_persistent_one(spec: Json, inline: Json, is_same: bool) -> None:
    storages = Storages((*places_of_volume(spec), *shown_to_pods(spec)))
    assert (use_of(pod(inline), CLAIM, STEP, storages) is not None) is is_same


def test_two_volumes_of_a_driver_that_nobody_knows_are_two() -> None:
    one, other = places_of_volume(volume("d", "1")), places_of_volume(volume("d", "2"))
    assert not any(a.overlaps(b) for a in one for b in other)


@pytest.mark.parametrize(
    ("source", "inline"),
    [
        (NfsSource("s", VolumePath.parse("/m")), nfs("/m", "s")),
        (HostPathSource(VolumePath.parse("/m"), "node-a"), {"hostPath": {"path": "/m"}}),
        (CsiSource(GCS, (("bucketName", "models"),)), csi(GCS, bucketName="models")),
    ],
)
def test_a_source_lies_where_its_pods_find_it(source: Source, inline: Json) -> None:
    [ours], [theirs] = places_of_source(source), places_of_inline(inline, "node-a")
    assert ours.overlaps(theirs)


@pytest.mark.parametrize("source", [CLAIM, ImageSource("i@sha256:0"), HostPathSource(STEP)])
def test_others_lie_nowhere_by_themselves(source: Source) -> None:
    assert places_of_source(source) == ()


@pytest.mark.parametrize(
    "odd",
    [
        {"nfs": {"server": 1}},
        {"hostPath": None},
        {"csi": {"driver": None}},
        {"csi": {"driver": "d", "volumeAttributes": "odd"}},
    ],
)
def test_what_is_odd_is_nowhere_or_anywhere(odd: Json) -> None:
    assert places_of_inline(odd, "node-a") in ((), (Place("csi d"),))
    assert places_of_inline({"hostPath": {"path": "/m"}}, "") == ()


EVERY_SOURCE = sorted(
    frozenset().union(*(fields_of(minor, "Volume") for minor in RELEASES)) - {"name"}
)


def persistent(kind: str) -> Storages:
    """A volume that says what a pod's own says, in the words of persistent volumes."""
    spec: Json = {kind: sample_of_source("PersistentVolumeSpec", kind)}
    return Storages((*places_of_volume(spec), *shown_to_pods(spec)))


@pytest.mark.parametrize("kind", EVERY_SOURCE)
def test_every_source_of_a_pod_is_seen_or_harmless_for_a_reason(kind: str) -> None:
    body = pod({kind: sample_of_source("Volume", kind)})
    body["metadata"]["resourceVersion"] = "1"
    if kind in OWN:
        assert OWN[kind]
        assert record_of_pod(body) is None
        return
    kept = record_of_pod(body)
    assert kept is not None, "a pod that may write is remembered"
    assert bool(kept.claims) is (kind in CLAIMED)
    if kind not in CLAIMED:
        assert kept.places
        found = use_of(body, CLAIM, STEP, persistent(kind))
        assert found is not None
        assert found.may_write


@pytest.mark.parametrize("kind", sorted(INLINE_WITH_READ_ONLY))
def test_who_says_that_it_reads_is_no_writer_whatever_the_source(kind: str) -> None:
    body = pod({kind: {**sample_of_source("Volume", kind), "readOnly": True}})
    found = use_of(body, CLAIM, STEP, persistent(kind))
    assert found is not None
    assert not found.may_write


@pytest.mark.parametrize("kind", sorted(set(EVERY_SOURCE) - set(OWN) - CLAIMED - {"csi"}))
def test_other_storage_of_the_same_kind_is_other_storage(kind: str) -> None:
    source = sample_of_source("Volume", kind)
    texts = {field: "b" for field, value in source.items() if isinstance(value, str)}
    changed = texts | {"wwids": ["b"], "targetWWNs": ["b"]} if kind == "fc" else texts
    body = pod({kind: {**source, **changed, "readOnly": False}})
    assert use_of(body, CLAIM, STEP, persistent(kind)) is None


def test_a_source_of_the_future_is_seen_and_nothing_it_says_makes_it_harmless() -> None:
    storages = Storages(places_of_volume({"tape": {"reel": 7}}))
    for more in ({}, {"readOnly": True}, {"fsType": "xfs"}):
        found = use_of(pod({"tape": {"reel": 7, **more}}), CLAIM, STEP, storages)
        assert found is not None
        assert found.may_write
    assert use_of(pod({"tape": {"reel": 8}}), CLAIM, STEP, storages) is None


def disk(driver: str, handle: str, **attributes: str) -> Json:
    return {"csi": {"driver": driver, "volumeHandle": handle, "volumeAttributes": attributes}}


MIGRATED = [
    pytest.param(
        disk("ebs.csi.aws.com", "vol-1"),
        {"awsElasticBlockStore": {"volumeID": "aws://eu-west-1a/vol-1"}},
        {"awsElasticBlockStore": {"volumeID": "vol-2"}},
        id="EBS",
    ),
    pytest.param(
        disk("pd.csi.storage.gke.io", "projects/p/zones/z/disks/models"),
        {"gcePersistentDisk": {"pdName": "models", "fsType": "ext4"}},
        {"gcePersistentDisk": {"pdName": "model"}},
        id="GCE",
    ),
    pytest.param(
        disk("disk.csi.azure.com", "/subscriptions/S/disks/Models"),
        {"azureDisk": {"diskName": "any", "diskURI": "/subscriptions/s/disks/models"}},
        {"azureDisk": {"diskName": "Models", "diskURI": "/subscriptions/s/disks/logs"}},
        id="Azure disk",
    ),
    pytest.param(
        disk("file.csi.azure.com", "group#account#Models#"),
        {"azureFile": {"secretName": "s", "shareName": "models"}},
        {"azureFile": {"secretName": "s", "shareName": "logs"}},
        id="Azure share by its handle",
    ),
    pytest.param(
        disk("file.csi.azure.com", "made-up", shareName="models", folderName="llama"),
        {"azureFile": {"secretName": "s", "shareName": "models"}},
        {"azureFile": {"secretName": "s", "shareName": "logs"}},
        id="Azure share by its name",
    ),
    pytest.param(
        disk("cinder.csi.openstack.org", "c-1"),
        {"cinder": {"volumeID": "c-1"}},
        {"cinder": {"volumeID": "c-2"}},
        id="Cinder",
    ),
    pytest.param(
        disk("csi.vsphere.vmware.com", "uuid", initialvolumefilepath="[ds] kube/models.vmdk"),
        {"vsphereVolume": {"volumePath": "[ds]  kube/models"}},
        {"vsphereVolume": {"volumePath": "uuid"}},
        id="vSphere",
    ),
    pytest.param(
        disk("csi.vsphere.vmware.com", "[ds] kube/models"),
        {"vsphereVolume": {"volumePath": "[ds] kube/models"}},
        {"vsphereVolume": {"volumePath": "[ds] kube/logs"}},
        id="vSphere by its path",
    ),
    pytest.param(
        disk("pxd.portworx.com", "77"),
        {"portworxVolume": {"volumeID": "77"}},
        {"portworxVolume": {"volumeID": "78"}},
        id="Portworx",
    ),
    pytest.param(
        disk("rbd.csi.ceph.com", "mig_mons-0_image-0_0", imageName="i", pool="p"),
        {"rbd": {"monitors": ["m"], "pool": "p", "image": "i"}},
        {"rbd": {"monitors": ["m"], "pool": "q", "image": "i"}},
        id="RBD",
    ),
    pytest.param(
        disk("rook-ceph.rbd.csi.ceph.com", "i", staticVolume="True", pool="p"),
        {"rbd": {"monitors": ["m"], "pool": "p", "image": "i"}},
        {"rbd": {"monitors": ["m"], "pool": "p", "image": "j"}},
        id="RBD of an image that was there",
    ),
    pytest.param(
        disk("rbd.csi.ceph.com", "0001-0009-rook-ceph-0000000000000002-" + "u" * 36),
        {"rbd": {"monitors": ["m"], "pool": "rbd", "image": "csi-vol-" + "u" * 36}},
        {"rbd": {"monitors": ["m"], "pool": "rbd", "image": "u" * 36}},
        id="RBD of an image with no name",
    ),
    pytest.param(
        disk("cephfs.csi.ceph.com", "h", subvolumePath="/volumes/csi/v/u"),
        {"cephfs": {"monitors": ["m"], "path": "/volumes"}},
        {"cephfs": {"monitors": ["m"], "path": "/other"}},
        id="CephFS",
    ),
]


@pytest.mark.parametrize(("spec", "same", "other"), MIGRATED)
def test_a_driver_and_the_source_that_it_took_over_lead_to_the_same_bytes(
    spec: Json, same: Json, other: Json
) -> None:
    """CSI migration: either may be the persistent volume, and either is another's twin."""
    ours = places_of_volume(spec)
    assert use_of(pod(same), CLAIM, STEP, Storages(ours)) is not None
    assert use_of(pod(other), CLAIM, STEP, Storages(ours)) is None
    for volume, is_twin in ((same, True), (other, False)):
        theirs = places_of_volume(volume)
        assert any(one.overlaps(two) for one in ours for two in theirs) is is_twin


@pytest.mark.parametrize(("spec", "same", "_"), MIGRATED)
def test_two_handles_stay_two_volumes_whatever_an_older_name_says(
    spec: Json, same: Json, _: Json
) -> None:
    """Two zones may have a disk of one name, and two accounts a share."""
    another = {"csi": {**spec["csi"], "volumeHandle": spec["csi"]["volumeHandle"] + "#x/y"}}
    assert not any(one.overlaps(two) for one in places_of(spec) for two in places_of(another))


@pytest.mark.parametrize(
    "spec", [disk("file.csi.azure.com", "made-up"), disk("csi.example", "vol-1")]
)
def test_a_handle_that_says_nothing_is_only_a_handle(spec: Json) -> None:
    assert len(places_of_volume(spec)) == 1


def test_an_azure_share_of_a_pod_is_one_by_its_driver_too() -> None:
    storages = persistent("azureFile")
    inline = csi("file.csi.azure.com", shareName="a")
    assert use_of(pod(inline), CLAIM, STEP, storages) is not None
    inline = csi("file.csi.azure.com", shareName="b")
    assert use_of(pod(inline), CLAIM, STEP, storages) is None
