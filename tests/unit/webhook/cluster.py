"""A small cluster as facts: one namespace, one policy, one claim, one verified checkpoint in it."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from tests.unit.policy.builders import NOW, PQ, policy
from tests.unit.webhook.objects import Object

from weightlock.digests import Digest, HashAlgorithm
from weightlock.formats.spki import PublicKeyInfo
from weightlock.policy.checkpoints import (
    Checkpoint,
    CheckpointSpec,
    CheckpointStatus,
    RecordedSignature,
    VolumeStatus,
)
from weightlock.policy.objects import Metadata, Policy
from weightlock.policy.paths import VolumePath
from weightlock.policy.sources import ClaimSource, Source
from weightlock.reasons import Verdict
from weightlock.verdict.records import record_of
from weightlock.verdict.seal import SealKey, seal
from weightlock_webhook.decision.answers import Answer
from weightlock_webhook.decision.decide import decide
from weightlock_webhook.decision.facts import Facts
from weightlock_webhook.decision.governance import Governance
from weightlock_webhook.decision.storage import Claim, Storage, claim_of
from weightlock_webhook.mounts.paths import path_of
from weightlock_webhook.mounts.pods import pod_of

SEAL_KEY = SealKey(b"k" * 32)
OTHER_KEY = SealKey(b"x" * 32)
NAMESPACE = "team-a"
VERIFIED_AT = NOW - timedelta(hours=1)
CSI: Object = {"csi": {"driver": "disk.example", "volumeHandle": "vol-1"}}


def claim_object(name: str = "llama", uid: str = "claim-uid", **spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": NAMESPACE, "uid": uid},
        "spec": {"volumeName": f"pv-{name}", "storageClassName": "models", **spec},
        "status": {"phase": "Bound"},
    }


def volume_object(name: str = "llama", claim_uid: str = "claim-uid", **spec: Any) -> Object:
    source = spec or CSI
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"pv-{name}", "uid": f"pv-uid-{name}"},
        "spec": {
            "accessModes": ["ReadOnlyMany"],
            "claimRef": {"uid": claim_uid},
            "storageClassName": "models",
            **source,
        },
    }


def claim(name: str = "llama", **volume: Any) -> Claim:
    uid = f"uid-{name}"
    return claim_of(claim_object(name, uid), volume_object(name, uid, **volume))


LLAMA = claim()


def recorded(found: Claim, path: str = "/") -> VolumeStatus:
    assert found.backing is not None
    backing = found.backing
    return VolumeStatus(found.uid, backing.name, backing.uid, backing.source_hash, path_of(path))


def checkpoint(
    name: str = "llama-step-1200",
    path: str = "/",
    *,
    about: Claim = LLAMA,
    source: Source | None = None,
    signed_by: Iterable[PublicKeyInfo] = (PQ,),
    model_name: str | None = None,
    **status: Any,
) -> Checkpoint:
    """A checkpoint that was verified, and is sealed."""
    found = CheckpointStatus(
        **{
            "phase": Verdict.VERIFIED,
            "observed_generation": 1,
            "digest": Digest(HashAlgorithm.SHA256, b"d" * 32),
            "signatures": tuple(RecordedSignature(key.algorithm, key.keyid) for key in signed_by),
            "volume": recorded(about, path),
            "model_name": "llama",
            "model_version": 3,
            "last_verified": VERIFIED_AT,
            **status,
        }
    )
    return sealed(
        Checkpoint(
            Metadata(name, NAMESPACE, f"uid-{name}", 1),
            CheckpointSpec(source or ClaimSource(about.name), VolumePath.parse(path), model_name),
            found,
        )
    )


def sealed(found: Checkpoint, key: SealKey = SEAL_KEY) -> Checkpoint:
    record = record_of(found)
    if record is None or found.status is None:
        return found
    return replace(found, status=replace(found.status, seal=seal(record, key)))


def facts(*policies: Policy, checkpoints: Iterable[Checkpoint] | None = None, **more: Any) -> Facts:
    namespace = more.get("namespace", NAMESPACE)
    found = Facts(
        namespace=namespace,
        governance=Governance.of(policies or (policy(),), namespace, more.pop("labels", {})),
        checkpoints=(checkpoint(),) if checkpoints is None else tuple(checkpoints),
        storage=storage(LLAMA),
        seal_keys=(SEAL_KEY,),
        now=NOW,
    )
    return replace(found, **more)


NO_POLICIES = Governance.of((), NAMESPACE, {})


def storage(*claims: Claim, **more: Any) -> Storage:
    return Storage({each.name: each for each in claims}, **more)


def answer(spec: Object, found: Facts | None = None, **annotations: str) -> Answer:
    return decide(pod_of({"annotations": annotations}, spec), found or facts())
