"""Everything that a decision rests on, gathered before it starts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from weightlock.policy.checkpoints import Checkpoint
from weightlock.policy.paths import VolumePath
from weightlock.policy.requirements import SignatureRequirements
from weightlock.verdict.cases import Expected
from weightlock.verdict.evidence import Evidence
from weightlock.verdict.floors import Floors
from weightlock.verdict.judge import judge
from weightlock.verdict.judgement import Judgement
from weightlock.verdict.records import VerdictRecord, record_of
from weightlock.verdict.seal import SealKey, seal_intact
from weightlock_webhook.decision.governance import Governance
from weightlock_webhook.decision.storage import Storage

Judge: TypeAlias = Callable[
    [Evidence, Sequence[SignatureRequirements], datetime, Expected], Judgement
]
"""The judge, or one that remembers its answers for as long as they hold."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a checkpoint's status claims, and whether its seal is ours."""

    record: VerdictRecord
    evidence: Evidence
    is_intact: bool


def recorded_of(checkpoint: Checkpoint, keys: tuple[SealKey, ...]) -> Recorded | None:
    """What a checkpoint's status claims; None if it claims no passed verification."""
    record = record_of(checkpoint)
    if record is None or checkpoint.status is None:
        return None
    return Recorded(record, record.evidence, seal_intact(record, checkpoint.status.seal, keys))


Recall: TypeAlias = Callable[[Checkpoint, tuple[SealKey, ...]], Recorded | None]
"""`recorded_of`, or one that remembers."""


@dataclass(frozen=True, slots=True)
class Allowances:
    """What whoever runs the webhook allows, as settings that no tenant can write."""

    exempt_namespaces: frozenset[str] = frozenset({"kube-system", "weightlock-system"})
    """Namespaces that are never judged, by name: labels can be changed (A30)."""

    runtime_classes: frozenset[str] = frozenset({"nvidia"})
    """RuntimeClasses of pods with governed volumes; another may add or alter mounts (B22)."""

    device_classes: frozenset[str] = frozenset()
    """DeviceClasses of pods with governed volumes; a DRA driver may inject host mounts (B21)."""

    harmless_fields: frozenset[str] = frozenset()
    """Fields of newer API servers that were looked at and reach no storage, as `spec.field`,
    `container.field` or `volumeMount.field`. Any other unknown field is refused."""

    without_policy: bool = False
    """Whether pods are let in while the cluster has no ClusterModelPolicy at all."""

    forbidden_host_paths: tuple[VolumePath, ...] = ()
    """Folders of the nodes that no rule opens, beside those of weightlock.policy.host_paths."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The cluster as far as it concerns one pod.

    `checkpoints` are those of the pod's namespace. `device_classes` maps
    `claim/NAME` and `template/NAME` of DRA claims to the classes that they ask for.
    `highest_versions` is what the operator remembers against rollback (A22), and `restored_at` when
    the cluster's state last came from a backup (A39).
    """

    namespace: str
    governance: Governance
    checkpoints: tuple[Checkpoint, ...]
    storage: Storage
    seal_keys: tuple[SealKey, ...]
    now: datetime
    allowances: Allowances = field(default_factory=Allowances)
    device_classes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    highest_versions: Floors = field(default_factory=dict)
    restored_at: datetime | None = None
    is_running: bool = False
    """Whether the pod has been placed on a node already, and only a container joins it."""

    judge: Judge = judge
    recall: Recall = recorded_of
