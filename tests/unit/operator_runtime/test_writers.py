"""Who can write to the bytes of a checkpoint, by whatever volume, and who cannot (A02)."""

import json
from typing import Any

import pytest
from tests.unit.operator_runtime.stage import NAMESPACE, Stage

from weightlock_operator.api.cluster import (
    CHECKPOINTS,
    CLAIMS,
    NAMESPACES,
    PODS,
    VOLUMES,
)
from weightlock_operator.pod_records import record_of_pod

Json = dict[str, Any]
CREATES_JOB = ("create", "jobs")


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_pod_elsewhere_touches_no_checkpoint(stage: Stage) -> None:
    """Every node has pods with folders of it."""
    export = {"server": "files.example", "path": "/models"}
    for name, source in (
        ("export", {"nfs": export}),
        ("folder", {"hostPath": {"path": "/models", "nodeName": "node-a"}}),
    ):
        metadata = {"name": name, "namespace": NAMESPACE, "generation": 1}
        spec = {"source": {**source, "path": "/"}}
        stage.cluster.add(CHECKPOINTS, {"metadata": metadata, "spec": spec})
    stage.hear()
    touched = {}
    for name, node, volume in (
        ("same node", "node-a", {"hostPath": {"path": "/var/log"}}),
        ("same folder", "node-a", {"hostPath": {"path": "/models/llama"}}),
        ("other node", "node-b", {"hostPath": {"path": "/models"}}),
        ("same server", "node-b", {"nfs": export}),
        ("other server", "node-a", {"nfs": {**export, "server": "other"}}),
    ):
        metadata = {"name": name, "namespace": "any", "uid": name}
        pod = {
            "metadata": metadata,
            "spec": {"nodeName": node, "volumes": [{"name": "v", **volume}], "containers": []},
            "status": {"phase": "Running"},
        }
        found = stage.store.apply_pod(name, record_of_pod(pod))
        names = {stage.store.checkpoints[uid]["metadata"]["name"] for uid in found}
        touched[name] = sorted(names)
    assert touched == {
        "same node": [],
        "same folder": ["folder"],
        "other node": [],
        "same server": ["export"],
        "other server": [],
    }


LOCAL_TERM = {
    "nodeSelectorTerms": [
        {
            "matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-a"]}
            ]
        }
    ]
}
SAME_BYTES = [
    pytest.param(
        {"nfs": {"server": "files.example", "path": "/export/llama"}},
        {"nfs": {"server": "Files.example.", "path": "/export/"}},
        id="an export",
    ),
    pytest.param(
        {
            "csi": {
                "driver": "nfs.csi.k8s.io",
                "volumeHandle": "any",
                "volumeAttributes": {"server": "files.example", "share": "/export"},
            }
        },
        {
            "csi": {
                "driver": "nfs.csi.k8s.io",
                "volumeAttributes": {"Server": "files.example", "share": "/export"},
            }
        },
        id="an export by its driver",
    ),
    pytest.param(
        {"local": {"path": "/mnt/llama"}, "nodeAffinity": {"required": LOCAL_TERM}},
        {"hostPath": {"path": "/mnt"}},
        id="a folder of the node",
    ),
    pytest.param(
        {"csi": {"driver": "gcsfuse.csi.storage.gke.io", "volumeHandle": "models"}},
        {
            "csi": {
                "driver": "gcsfuse.csi.storage.gke.io",
                "volumeAttributes": {"bucketName": "models", "mountOptions": "implicit-dirs"},
            }
        },
        id="a bucket",
    ),
    pytest.param(
        {"csi": {"driver": "csi.example", "volumeHandle": "vol-1"}},
        {"csi": {"driver": "csi.example"}},
        id="a driver that nobody knows",
    ),
    pytest.param(
        {"cephfs": {"monitors": ["a"], "path": "/models/llama"}},
        {"cephfs": {"monitors": ["b"], "path": "/models"}},
        id="a folder of Ceph",
    ),
    pytest.param(
        {"csi": {"driver": "ebs.csi.aws.com", "volumeHandle": "vol-1"}},
        {"awsElasticBlockStore": {"volumeID": "vol-1"}},
        id="a disk that its driver took over",
    ),
]


def writer(namespace: str, volume: Json, **more: object) -> Json:
    mount = {"name": "v", "mountPath": "/m"}
    return {
        "metadata": {"name": "writer", "namespace": namespace},
        "spec": {
            "nodeName": "node-a",
            "volumes": [{"name": "v", **volume}],
            "containers": [{"name": "c", "volumeMounts": [{**mount, **more}]}],
        },
        "status": {"phase": "Running"},
    }


def verified_on(stage: Stage, source: Json) -> str:
    uid = stage.good()
    spec = stage.cluster.objects["persistentvolumes", "", "pv-llama"]["spec"]
    del spec["csi"]
    spec.update(source)
    stage.look(uid)
    stage.run_jobs()
    stage.look(uid)
    assert stage.word() == ("Verified", "Verified")
    stage.pass_time(3600)
    return uid


@pytest.mark.parametrize(("source", "inline"), SAME_BYTES)
def test_who_writes_to_the_same_bytes_without_a_claim_is_seen(
    stage: Stage, source: Json, inline: Json
) -> None:
    """In a namespace that no policy governs, so that nobody looks at the pod when it comes."""
    uid = verified_on(stage, source)
    pod = stage.cluster.add(PODS, writer("elsewhere", inline))
    record = record_of_pod(pod)
    assert record is not None
    assert stage.store.apply_pod(record.uid, record) == {uid}, "it is looked at at once"
    stage.look(uid)
    assert stage.word() == ("Stale", "WriterSeen")
    assert "elsewhere" not in json.dumps(stage.status())
    assert "writer" not in stage.status()["queue"]["waitingFor"].partition("can")[0]
    stage.cluster.objects.pop(("pods", "elsewhere", "writer"))
    stage.look(uid)
    assert stage.word()[0] == "Stale", "it may have written until now"


@pytest.mark.parametrize(("source", "inline"), SAME_BYTES)
def test_who_reads_the_same_bytes_makes_nothing_stale(
    stage: Stage, source: Json, inline: Json
) -> None:
    uid = verified_on(stage, source)
    stage.cluster.add(PODS, writer("elsewhere", inline, readOnly=True))
    stage.look(uid)
    assert stage.word()[0] == "Verified"


@pytest.mark.parametrize(("source", "inline"), SAME_BYTES)
def test_who_belongs_to_the_cluster_is_no_writer(stage: Stage, source: Json, inline: Json) -> None:
    """The driver itself, with all storage of the node mounted."""
    uid = verified_on(stage, source)
    stage.cluster.add(PODS, writer("kube-system", inline))
    stage.look(uid)
    assert stage.word()[0] == "Verified"


@pytest.mark.parametrize("order", [("claim", "volume", "pod"), ("pod", "claim", "volume")])
def test_who_writes_through_another_claim_of_the_same_bytes_is_seen(
    stage: Stage, order: tuple[str, ...]
) -> None:
    """A28: a twin of the volume, bound in another namespace; whatever is heard first."""
    uid = verified_on(stage, {"csi": {"driver": "csi.example", "volumeHandle": "vol-1"}})
    claim = {
        "metadata": {"name": "mine", "namespace": "elsewhere", "uid": "twin-claim"},
        "spec": {"volumeName": "twin", "accessModes": ["ReadWriteMany"]},
        "status": {"phase": "Bound"},
    }
    volume = {
        "metadata": {"name": "twin", "uid": "twin"},
        "spec": {
            "claimRef": {"namespace": "elsewhere", "name": "mine", "uid": "twin-claim"},
            "csi": {"driver": "csi.example", "volumeHandle": "vol-1", "fsType": "xfs"},
        },
    }
    pod = writer("elsewhere", {"persistentVolumeClaim": {"claimName": "mine"}})
    pod["metadata"]["uid"] = "writer"
    touched = frozenset[str]()
    for kind in order:
        if kind == "pod":
            touched = stage.store.apply_pod("writer", record_of_pod(pod))
        else:
            resource, body = (CLAIMS, claim) if kind == "claim" else (VOLUMES, volume)
            touched = stage.store.apply(resource, stage.cluster.add(resource, body))
    assert touched == {uid}
    stage.cluster.add(PODS, pod)
    stage.look(uid)
    assert stage.word() == ("Stale", "WriterSeen")


def test_a_checkpoint_on_an_export_sees_who_writes_through_a_claim(stage: Stage) -> None:
    stage.good()
    spec = stage.cluster.objects["persistentvolumes", "", "pv-llama"]["spec"]
    del spec["csi"]
    spec["nfs"] = {"server": "files.example", "path": "/export"}
    metadata = {"name": "direct", "namespace": "elsewhere", "generation": 1}
    source = {"nfs": {"server": "files.example", "path": "/export/llama"}, "path": "/"}
    body = {"metadata": metadata, "spec": {"source": source}}
    uid = stage.cluster.add(CHECKPOINTS, body)["metadata"]["uid"]
    stage.cluster.add(NAMESPACES, {"metadata": {"name": "elsewhere", "labels": {}}})
    pod = writer(NAMESPACE, {"persistentVolumeClaim": {"claimName": "llama"}})
    stage.cluster.add(PODS, pod)
    stage.hear()
    stage.look(uid)
    status = stage.cluster.objects["modelcheckpoints", "elsewhere", "direct"]["status"]
    assert status["reason"] == "WriterActive"
