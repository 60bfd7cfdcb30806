"""Storage of every kind, checkpoints about it, and rules for it."""

from typing import Any

from tests.unit.policy.builders import policy
from tests.unit.webhook.cluster import (
    checkpoint,
    claim,
    claim_object,
    volume_object,
)
from tests.unit.webhook.objects import Object, pod_spec, volume

from weightlock.policy.checkpoints import Checkpoint, VolumeStatus
from weightlock.policy.objects import Policy
from weightlock.policy.sources import (
    CsiSource,
    HostPathSource,
    ImageSource,
    NfsSource,
    Source,
)
from weightlock.verdict.storage import described_hash
from weightlock_webhook.decision.storage import claim_of
from weightlock_webhook.mounts.paths import path_of

DIGEST = "0123456789abcdef" * 4
IMAGE = f"registry.example/llama@sha256:{DIGEST}"


def rules(*found: Object, **more: Any) -> Policy:
    return policy(volumes={"rules": list(found), **more})


def verified(source: Source) -> Checkpoint:
    """A verified checkpoint of storage that the pod describes itself."""
    status = VolumeStatus(source_hash=described_hash(source), path=path_of("/"))
    return checkpoint(source=source, volume=status)


ON_NODE = verified(HostPathSource(path_of("/mnt/models"), "node-1"))
ON_NO_NODE = verified(HostPathSource(path_of("/mnt/models")))
ON_NFS = verified(NfsSource("nas", path_of("/export")))
ON_CSI = verified(CsiSource("csi.example", (("bucket", "models"),)))
IN_IMAGE = verified(ImageSource(IMAGE))
REGISTERED = (checkpoint(), ON_NODE, ON_NFS, ON_CSI, IN_IMAGE)

HOST_RULE: Object = {"hostPath": {"paths": ["/mnt/models"]}, "action": "Verify"}
SCRATCH_RULE: Object = {
    "persistentVolumeClaim": {"storageClassNames": ["scratch"]},
    "action": "Ignore",
}
CSI_RULE: Object = {"csi": {"drivers": ["csi.*"]}, "action": "Verify"}
EPHEMERAL_RULE: Object = {"ephemeral": {"storageClassNames": ["scratch"]}, "action": "Ignore"}


def of(**source: Any) -> Object:
    return pod_spec(volume("model", **source))


def on(node: str, **source: Any) -> Object:
    return of(**source) | {"nodeSelector": {"kubernetes.io/hostname": node}}


def inline_csi(**more: Any) -> Object:
    says = {"driver": "csi.example", "volumeAttributes": {"bucket": "models"}, **more}
    return of(csi={"readOnly": True, **says})


def ephemeral(**spec: Any) -> Object:
    return of(ephemeral={"volumeClaimTemplate": {"spec": spec}})


SCRATCH = claim("scratch")


def disk(**more: Any) -> Object:
    return {"driver": "disk.example", "volumeHandle": "1", **more}


def bound_claim(name: str = "llama", /, claim_spec: Object | None = None, **volume: Any) -> Any:
    uid = f"uid-{name}"
    return claim_of(
        claim_object(name, uid, **(claim_spec or {})), volume_object(name, uid, **volume)
    )


def pinned(*nodes: str) -> Object:
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": list(nodes)}
    return {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}
