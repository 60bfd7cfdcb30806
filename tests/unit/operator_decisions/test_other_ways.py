"""Pods that reach the bytes of a checkpoint by another way than the name of its source."""

from typing import Any

import pytest
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
from weightlock.verdict.places import DEEPEST, Place, exported, on_nodes
from weightlock.verdict.records import instant_text
from weightlock_operator.decision.places import (
    places_of_inline,
    places_of_source,
    places_of_volume,
    shown_to_pods,
)
from weightlock_operator.decision.usage import Storages, use_of

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
