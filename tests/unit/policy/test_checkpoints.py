"""ModelCheckpoints: sources, paths, and the status that a seal is checked against."""

import pytest
from tests.unit.policy.builders import API_VERSION, Json, replaced

from weightlock.algorithms import ML_DSA_65
from weightlock.errors import Malformed
from weightlock.policy.checkpoints import Checkpoint, CheckpointSpec, CheckpointStatus
from weightlock.policy.paths import VolumePath
from weightlock.policy.sources import (
    ClaimSource,
    CsiSource,
    HostPathSource,
    ImageSource,
    NfsSource,
    Source,
)
from weightlock.reasons import Verdict

PINNED = "registry.example/models/llama@sha256:" + "ab" * 32
CHECKPOINT: Json = {
    "apiVersion": API_VERSION,
    "kind": "ModelCheckpoint",
    "metadata": {"name": "llama-step-1200", "namespace": "team-a", "uid": "u-1", "generation": 3},
    "spec": {
        "source": {"persistentVolumeClaim": {"claimName": "llama"}, "path": "/step-1200"},
        "modelName": "llama-70b",
        "workloadSelector": {"matchLabels": {"app": "trainer"}},
    },
}
STATUS: Json = {
    "observedGeneration": 3,
    "phase": "Verified",
    "reason": "Verified",
    "message": "all well",
    "conditions": [{"type": "Ready"}],
    "digest": {"tree": "rfc6962-v1", "hash": "sha256", "root": "ab" * 32},
    "signatures": [{"algorithm": "ML-DSA-65", "family": "ML-DSA", "keyid": "cd" * 32}],
    "volume": {
        "pvcUID": "c-1",
        "pvName": "pv-1",
        "pvUID": "v-1",
        "sourceHash": "ef" * 32,
        "path": "/step-1200",
    },
    "modelName": "llama-70b",
    "modelVersion": 7,
    "policyHash": "01" * 32,
    "lastVerified": "2026-11-21T12:00:00Z",
    "expires": "2026-11-28T12:00:00Z",
    "verifier": {"image": "registry.example/weightlock@sha256:" + "00" * 32, "node": "gpu-1"},
    "seal": "v1:00:00",
    "fieldOfALaterVersion": {},
}


def test_a_whole_checkpoint_is_read() -> None:
    found = Checkpoint.from_object({**CHECKPOINT, "status": STATUS})
    assert (found.metadata.namespace, found.metadata.uid) == ("team-a", "u-1")
    assert found.spec.source == ClaimSource("llama")
    assert found.spec.path == VolumePath(("step-1200",))
    assert found.spec.model_name == "llama-70b"
    assert found.spec.workload_selector is not None
    assert found.spec.workload_selector.matches({"app": "trainer"})
    status = found.status
    assert status is not None
    assert (status.phase, status.observed_generation) == (Verdict.VERIFIED, 3)
    assert str(status.digest) == "sha256:" + "ab" * 32
    assert [each.algorithm for each in status.signatures] == [ML_DSA_65]
    assert (status.volume.pvc_uid, status.volume.pv_uid) == ("c-1", "v-1")
    assert (status.model_name, status.model_version) == ("llama-70b", 7)
    assert status.verifier_image.startswith("registry.example/weightlock@")


@pytest.mark.parametrize("status", [{}, {"conditions": []}])
def test_a_checkpoint_that_nobody_looked_at_has_no_status(status: Json) -> None:
    assert Checkpoint.from_object(CHECKPOINT).status is None
    assert Checkpoint.from_object({**CHECKPOINT, "status": status}).status is None


def test_the_smallest_status_vouches_for_nothing() -> None:
    found = CheckpointStatus.from_status({"phase": "Pending"})
    assert (found.digest, found.signatures, found.last_verified) == (None, (), None)
    assert (found.model_version, found.seal) == (None, "")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"persistentVolumeClaim": {"claimName": "llama"}}, ClaimSource("llama")),
        (
            {"hostPath": {"path": "/mnt/models", "nodeName": "gpu-1"}},
            HostPathSource(VolumePath(("mnt", "models")), "gpu-1"),
        ),
        ({"hostPath": {"path": "/"}}, HostPathSource(VolumePath())),
        (
            {"nfs": {"server": "files.example", "path": "/export"}},
            NfsSource("files.example", VolumePath(("export",))),
        ),
        (
            {"csi": {"driver": "csi.example", "volumeAttributes": {"b": "2", "a": "1"}}},
            CsiSource("csi.example", (("a", "1"), ("b", "2"))),
        ),
        ({"image": {"reference": PINNED}}, ImageSource(PINNED)),
    ],
)
def test_sources(source: Json, expected: Source) -> None:
    found = CheckpointSpec.from_spec({"source": source})
    assert found == CheckpointSpec(expected)
    assert str(found.path) == "/"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("kind", "ModelPolicy", "ModelPolicy.kind: expected ModelCheckpoint"),
        ("metadata.namespace", "", "ModelCheckpoint.metadata.namespace: missing"),
        ("metadata.name", "", "ModelCheckpoint.metadata.name: found ''"),
        ("spec", {}, "spec.source: missing"),
        ("spec.source", {}, "spec.source: found none, expected one of: persistentVolumeClaim,"),
        ("spec.source.nfs", {}, "spec.source: found persistentVolumeClaim and nfs, expected one"),
        ("spec.source.gitRepo", {}, "spec.source: unknown field 'gitRepo'"),
        ("spec.source.path", "step-1200", "spec.source.path: found 'step-1200', expected a norm"),
        ("spec.source.path", "/a/../b", "spec.source.path: found '/a/../b', expected a normalised"),
        ("spec.source.persistentVolumeClaim.claimName", "A", "claimName: found 'A'"),
        ("spec.source.persistentVolumeClaim.readOnly", True, "unknown field 'readOnly'"),
        ("spec.source", {"nfs": {"server": "a b", "path": "/"}}, "expected a host name"),
        ("spec.source", {"nfs": {"server": "a/b", "path": "/"}}, "expected a host name"),
        ("spec.source", {"image": {"reference": "a:latest"}}, "expected an image reference with"),
        ("spec.source", {"image": {"reference": "@sha256:" + "ab" * 32}}, "expected an image"),
        ("spec.source", {"image": {"reference": "a b@sha256:" + "ab" * 32}}, "expected an image"),
        ("spec.source", {"image": {"reference": "a@sha256:AB"}}, "expected 64 lower-case"),
        ("spec.modelName", "llama-*", "spec.modelName: found 'llama-*', expected a name without"),
        ("spec.modelName", "llama-?", "expected a name without wildcards"),
        ("spec.modelName", "", "spec.modelName: found ''"),
        ("spec.signatures", [], "spec: unknown field 'signatures'"),
        ("status.phase", "verified", "status.phase: found 'verified', expected one of: Verified"),
        ("status.digest.tree", "flat", "status.digest.tree: expected rfc6962-v1"),
        ("status.digest.root", "AB" * 32, "status.digest.root: a sha256 digest is 64 lower-case"),
        ("status.signatures.0.algorithm", "none", "status.signatures[0].algorithm: unknown"),
        ("status.signatures.0.keyid", "x", "status.signatures[0].keyid: found 'x', expected 64"),
        ("status.volume.path", "..", "status.volume.path: found '..', expected a normalised"),
        ("status.modelVersion", "7", "status.modelVersion: found '7', expected a whole number"),
        ("status.lastVerified", "yesterday", "status.lastVerified: found 'yesterday', expected"),
        ("status.seal", None, "status.seal: found None, expected a text"),
        ("status", None, "status: found None, expected a mapping"),
    ],
)
def test_checkpoints_that_are_none(path: str, value: object, message: str) -> None:
    with pytest.raises(Malformed) as refusal:
        Checkpoint.from_object(replaced({**CHECKPOINT, "status": STATUS}, path, value))
    assert message in refusal.value.message
