"""Everything that a decision about one checkpoint rests on, gathered before it starts.

Whoever gathers reads the checkpoint and its Job live before a Job is made or a verdict written: a
cache that lags shows a checkpoint without its flight, and would have a second Job made.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from weightlock.errors import Malformed
from weightlock.policy.checkpoints import CheckpointSpec
from weightlock.policy.composition import Composition
from weightlock.policy.fields import Fields
from weightlock.policy.objects import Metadata
from weightlock.policy.paths import VolumePath
from weightlock.verdict.floors import Floors
from weightlock.verdict.seal import SealKey
from weightlock_operator.decision.holding import HeldPod
from weightlock_operator.decision.queue import Place
from weightlock_operator.decision.seen import SeenJob, SeenPod
from weightlock_operator.decision.spent import Spent
from weightlock_operator.decision.storage import Storage
from weightlock_operator.decision.usage import PodUse


@dataclass(frozen=True, slots=True)
class Registered:
    """A ModelCheckpoint as it was read: its spec, or why that says nothing, and its raw status."""

    metadata: Metadata
    spec: CheckpointSpec | None
    unusable: str = ""
    status: Mapping[str, object] = field(default_factory=dict)
    is_deleting: bool = False

    @classmethod
    def from_object(cls, value: object) -> "Registered":
        """Read a whole object; only its identity must be sound.

        Raises:
            Malformed: if it has no sound metadata.
        """
        fields = Fields(value, "ModelCheckpoint", None, Malformed)
        metadata = Metadata.from_fields(fields.section("metadata", None))
        found = fields.raw("status") if fields.has("status") else {}
        status = found if isinstance(found, Mapping) else {}
        going = fields.section("metadata", None).has("deletionTimestamp")
        try:
            spec = CheckpointSpec.from_spec(fields.raw("spec"))
            return cls(metadata, spec, "", status, going)
        except Malformed as error:
            return cls(metadata, None, error.message, status, going)


@dataclass(frozen=True, slots=True)
class Amounts:
    """What a verifying container asks for, as Kubernetes quantities; "" asks for nothing."""

    cpu_request: str = "1"
    cpu_limit: str = "8"
    memory_request: str = "2Gi"
    memory_limit: str = "8Gi"


@dataclass(frozen=True, slots=True)
class Installation:
    """What whoever runs the operator decided, as settings that no tenant can write."""

    device_image: str
    cpu_image: str
    accepted_image_ids: frozenset[str] = frozenset()
    """Image ids that count besides the digests of the two images, for clusters without registry."""

    pull_policy: str = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()
    forbidden_host_paths: tuple[VolumePath, ...] = ()
    """Beside weightlock.policy.host_paths."""

    device_amounts: Amounts = field(default_factory=Amounts)
    cpu_amounts: Amounts = field(default_factory=Amounts)


@dataclass(frozen=True, slots=True)
class ServerFeatures:
    """What the API server has, as its discovery and its OpenAPI document say."""

    indexed_jobs: bool = False
    suspended_jobs: bool = False
    """Whether Jobs can be created suspended, which Kueue needs."""

    image_volumes: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """The cluster as far as it concerns one checkpoint.

    `jobs` are those with our label and this checkpoint's uid, `pods` the pods of those. A Job that
    is missing there has been asked for by name, and is not in the cluster. `seal_keys` starts with
    the one to seal with. `nonce` is fresh and random each time.
    """

    checkpoint: Registered
    composition: Composition
    storage: Storage
    seal_keys: tuple[SealKey, ...]
    installation: Installation
    nonce: str
    now: datetime
    place: Place
    jobs: tuple[SeenJob, ...] = ()
    pods: tuple[SeenPod, ...] = ()
    job_refusal: str = ""
    """Why the Job in flight may not make pods, as far as its controller was asked."""

    held: tuple[HeldPod, ...] = ()
    """Held pods that wait for this checkpoint."""

    uses: tuple[PodUse, ...] = ()
    """Pods, but for ours, that reach into the checkpoint's path."""

    is_requested: bool = False
    """Whether a refused pod asked for this checkpoint (see VerificationRequested)."""

    invalid_policies: tuple[str, ...] = ()
    """Policies that might govern the namespace and say nothing that can be decided upon."""

    floors: Floors = field(default_factory=dict)
    """The highest versions that were verified (A22)."""

    unkept: str = ""
    """Why the API server has just refused to remember a version; "" if it has not."""

    restored_at: datetime | None = None
    spent: Spent | None = None
    """Which records count no more, as far as whoever decides remembers (A10)."""

    not_before: datetime | None = None
    """When a verification may start; a status that could not be written does not say so."""

    server: ServerFeatures = field(default_factory=ServerFeatures)

    @property
    def writer_seen_at(self) -> datetime | None:
        """When somebody could last write to the storage; now, if anybody still can.

        Access modes say nothing about that: they choose a volume, and nobody enforces them (B15).
        """
        return max((use.until or self.now for use in self.uses if use.may_write), default=None)

    @property
    def writers(self) -> tuple[PodUse, ...]:
        """Who can write to the storage now, of whatever namespace."""
        return tuple(use for use in self._running if use.may_write)

    @property
    def users(self) -> tuple[PodUse, ...]:
        """The pods of the checkpoint's namespace that run and have the checkpoint mounted.

        A folder of a node and an export are everybody's. The names of foreign pods are no business
        of this namespace, and what becomes of them is none of its policies'.
        """
        return tuple(use for use in self._running if use.namespace == self.namespace)

    @property
    def user_count(self) -> int:
        """How many pods of any namespace run and have the checkpoint mounted."""
        return len(self._running)

    @property
    def namespace(self) -> str:
        """That of the checkpoint."""
        return self.checkpoint.metadata.namespace

    @property
    def _running(self) -> tuple[PodUse, ...]:
        return tuple(sorted((use for use in self.uses if use.is_running), key=lambda use: use.name))
