"""The verification Job: our program, the volume read-only, and nothing else.

The volume is mounted whole, and the program goes to the checkpoint's folder by itself and reads no
other: a kubelet that is told a `subPath` follows the links on the way to it (A19).

The pod is Restricted in the sense of the pod security standards, has no token, no network policy of
its own (the label lets one deny its egress), and no writable file system but a scratch folder. It
runs as uid 65532: files that this uid cannot read end the verification as Unreadable, never as
"not there" (A09). It is never restarted: a second attempt is a second Job under another name.

Keys and policy travel as arguments, so that nothing a tenant can edit has a say in them (A07).
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from weightlock.cluster_names import (
    CHECKPOINT_ANNOTATION,
    CHECKPOINT_UID_LABEL,
    COMPONENT_LABEL,
    GENERATION_ANNOTATION,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    VERIFIER_COMPONENT,
)
from weightlock.cluster_names import VERIFICATION_LABEL as NONCE_LABEL
from weightlock.digests import HashAlgorithm
from weightlock.formats.shards import Shard
from weightlock.names import API_VERSION
from weightlock.policy.checkpoints import KIND, CheckpointSpec
from weightlock.policy.paths import VolumePath
from weightlock.policy.requirements import trusted_keys
from weightlock.policy.sources import (
    ClaimSource,
    CsiSource,
    HostPathSource,
    NfsSource,
)
from weightlock.reporting import EngineName, ReadingLimits, Request, request_arguments
from weightlock_operator.decision.facts import Amounts, Facts
from weightlock_operator.decision.flights import DeviceKind
from weightlock_operator.decision.placement import placed

CHECKPOINT_MOUNT: Final = "/checkpoint"
CONTAINER: Final = "verifier"
USER_ID: Final = 65532
KEPT_FOR: Final = timedelta(minutes=30)
"""How long a Job stays after its end, for whoever wants to look at it."""

BYTES_PER_SHARD: Final = 256 * 1024**3
"""Below twice that, one pod: a second one costs more to start than it saves."""

_APPLICATION: Final = {"app.kubernetes.io/name": "weightlock", COMPONENT_LABEL: VERIFIER_COMPONENT}
_QUEUE_LABEL: Final = "kueue.x-k8s.io/queue-name"
_NO_SIDECARS: Final = {"sidecar.istio.io/inject": "false", "linkerd.io/inject": "disabled"}
_HEX: Final = re.compile(r"[0-9a-f]{12,}")


@dataclass(frozen=True, slots=True)
class Order:
    """One verification that is to be made."""

    facts: Facts
    spec: CheckpointSpec
    device: DeviceKind
    shards: int

    @property
    def image(self) -> str:
        """The image that verifies."""
        installation = self.facts.installation
        on_device = self.device is DeviceKind.DEVICE
        return installation.device_image if on_device else installation.cpu_image

    @property
    def amounts(self) -> Amounts:
        """What the container asks for."""
        installation = self.facts.installation
        on_device = self.device is DeviceKind.DEVICE
        return installation.device_amounts if on_device else installation.cpu_amounts


def job_name(uid: str, generation: int, nonce: str) -> str:
    """A name that no two verifications share and nobody can guess (A08); at most 63 characters."""
    digits = uid.replace("-", "")
    if not _HEX.fullmatch(digits):
        digits = hashlib.sha256(uid.encode()).hexdigest()
    return f"wl-{digits[:12]}-g{generation}-{nonce}"


def shard_count(facts: Facts, size_bytes: int | None) -> int:
    """Over how many pods a verification is spread."""
    size = size_bytes if size_bytes is not None else facts.storage.capacity_bytes
    if not facts.server.indexed_jobs or facts.storage.is_of_one_pod or size is None:
        return 1
    if facts.storage.is_of_one_node:
        return 1  # they would share one node, and its one way to the disk
    return max(1, min(facts.composition.limits.max_shards, size // BYTES_PER_SHARD))


def job_for(order: Order) -> dict[str, object]:
    """The Job.

    Raises:
        LimitExceeded: if the policies trust more keys than fit into its arguments.
    """
    facts, metadata = order.facts, order.facts.checkpoint.metadata
    limits, verification = facts.composition.limits, facts.composition.verification
    labels = {
        **_APPLICATION,
        MANAGED_BY_LABEL: MANAGED_BY,
        CHECKPOINT_UID_LABEL: metadata.uid,
        NONCE_LABEL: facts.nonce,
    }
    annotations = {
        CHECKPOINT_ANNOTATION: metadata.name,
        GENERATION_ANNOTATION: str(metadata.generation),
    }
    queue = verification.queue_name if facts.server.suspended_jobs else None
    spec: dict[str, object] = {
        "backoffLimit": 0,
        "completions": order.shards,
        "parallelism": order.shards,
        "activeDeadlineSeconds": int(limits.deadline.total_seconds()),
        "ttlSecondsAfterFinished": int(KEPT_FOR.total_seconds()),
        "template": {
            "metadata": {"labels": labels, "annotations": {**annotations, **_NO_SIDECARS}},
            "spec": _pod_spec(order),
        },
    }
    if order.shards > 1:
        spec["completionMode"] = "Indexed"
    if queue:
        spec["suspend"] = True
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(metadata.uid, metadata.generation, facts.nonce),
            "namespace": metadata.namespace,
            "labels": labels | ({_QUEUE_LABEL: queue} if queue else {}),
            "annotations": annotations,
            "ownerReferences": [_owner(facts)],
        },
        "spec": spec,
    }


def _owner(facts: Facts) -> dict[str, object]:
    metadata = facts.checkpoint.metadata
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": metadata.name,
        "uid": metadata.uid,
        "controller": True,
        # Deleting a checkpoint must not wait for its Job (E21).
        "blockOwnerDeletion": False,
    }


def _pod_spec(order: Order) -> dict[str, object]:
    facts, verification = order.facts, order.facts.composition.verification
    device = verification.device
    # Every field that the API server would fill in is here, so that its answer must be the same
    # and nothing that changes Jobs on their way can put in a command (see pod_specs).
    spec: dict[str, object] = {
        "restartPolicy": "Never",
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
        "serviceAccountName": "default",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 5,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(order)],
        "volumes": [
            {"name": "checkpoint", **volume_source(order.spec)},
            {"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}},
        ],
        **placed(facts, verification).spec,
    }
    if facts.installation.pull_secrets:
        spec["imagePullSecrets"] = [{"name": each} for each in facts.installation.pull_secrets]
    if verification.priority_class_name:
        spec["priorityClassName"] = verification.priority_class_name
    if order.device is DeviceKind.DEVICE and device.resource_claim_template_name:
        template = device.resource_claim_template_name
        spec["resourceClaims"] = [{"name": "device", "resourceClaimTemplateName": template}]
    return spec


def _container(order: Order) -> dict[str, object]:
    mount = {"name": "checkpoint", "mountPath": CHECKPOINT_MOUNT, "readOnly": True}
    return {
        "name": CONTAINER,
        "image": order.image,
        "imagePullPolicy": order.facts.installation.pull_policy,
        "args": ["report", CHECKPOINT_MOUNT, *_below(order.spec), *_arguments(order)],
        # Kernels are compiled into a cache, and libraries look for a home.
        "env": [
            {"name": "HOME", "value": "/tmp"},  # noqa: S108 - the scratch volume's mount path
            {"name": "TMPDIR", "value": "/tmp"},  # noqa: S108
        ],
        "resources": _resources(order),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
        },
        "terminationMessagePath": "/dev/termination-log",
        # Never a log's tail: what a log says, the model's file names have a say in (D05).
        "terminationMessagePolicy": "File",
        "volumeMounts": [mount, {"name": "scratch", "mountPath": "/tmp"}],  # noqa: S108
    }


def _below(spec: CheckpointSpec) -> tuple[str, ...]:
    if isinstance(spec.source, HostPathSource) or not spec.path.components:
        return ()
    # Kubelets put values of variables into arguments, where they find `$(NAME)`.
    return (f"--below={'/'.join(spec.path.components)}".replace("$", "$$"),)


def _arguments(order: Order) -> tuple[str, ...]:
    facts, limits = order.facts, order.facts.composition.limits
    requirements = facts.composition.requirements
    request = Request(
        nonce=facts.nonce,
        limits=ReadingLimits(limits.max_files, limits.max_bytes),
        # Keys of every policy, not only of those that bind: each is judged by itself later.
        trust=trusted_keys(requirements),
        allowed_hashes=frozenset[HashAlgorithm]().union(
            *(each.allowed_digests for each in requirements)
        ),
        shard=Shard(0, order.shards) if order.shards > 1 else None,
        engine=_engine(order),
    )
    # The Job controller sets the variable, the kubelet puts its value into the argument.
    index = ("--shard-index=$(JOB_COMPLETION_INDEX)",) if order.shards > 1 else ()
    return (*request_arguments(request), *index)


def _engine(order: Order) -> EngineName:
    """The engine of the device that was asked for: none that happens to be there instead."""
    if order.device is DeviceKind.CPU:
        return EngineName.CPU
    vendor = (order.facts.composition.verification.device.resource or "").partition("/")[0]
    engines = {"nvidia.com": EngineName.CUDA, "amd.com": EngineName.ROCM}
    return engines.get(vendor, EngineName.AUTO)


def _resources(order: Order) -> dict[str, object]:
    amounts, device = order.amounts, order.facts.composition.verification.device
    requests = {"cpu": amounts.cpu_request, "memory": amounts.memory_request}
    limits = {"cpu": amounts.cpu_limit, "memory": amounts.memory_limit}
    resources: dict[str, object] = {}
    if order.device is DeviceKind.DEVICE and device.resource:
        limits[device.resource] = str(device.count)
    if order.device is DeviceKind.DEVICE and device.resource_claim_template_name:
        resources["claims"] = [{"name": "device"}]
    resources["requests"] = {key: value for key, value in requests.items() if value}
    resources["limits"] = {key: value for key, value in limits.items() if value}
    return resources


def volume_source(spec: CheckpointSpec) -> Mapping[str, object]:
    """The volume that a checkpoint is on, read-only wherever volumes can say so.

    A path of a node cannot say so, and holds what is none of ours. So such a volume is the
    checkpoint's own folder, and missing stays missing (E22).
    """
    match spec.source:
        case ClaimSource(claim_name=claim):
            return {"persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
        case HostPathSource(path=path):
            folder = VolumePath(path.components + spec.path.components)
            return {"hostPath": {"path": str(folder), "type": "Directory"}}
        case NfsSource(server=server, path=path):
            return {"nfs": {"server": server, "path": str(path), "readOnly": True}}
        case CsiSource(driver=driver, attributes=attributes):
            csi: dict[str, object] = {"driver": driver, "readOnly": True}
            return {"csi": {**csi, "volumeAttributes": dict(attributes)} if attributes else csi}
    return {"image": {"reference": spec.source.reference, "pullPolicy": "IfNotPresent"}}
