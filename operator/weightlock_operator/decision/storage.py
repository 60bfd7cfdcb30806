"""What a checkpoint's storage is now: whether it can be read at all, and what identifies it (A28).

A claim's name proves nothing; a verdict is bound to the claim's uid, the persistent volume's uid,
and the hash of what that volume really is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from weightlock.errors import Malformed
from weightlock.policy import scalars
from weightlock.policy.checkpoints import CheckpointSpec, VolumeStatus
from weightlock.policy.fields import Fields
from weightlock.policy.sources import ClaimSource, CsiSource, HostPathSource
from weightlock.reasons import Reason
from weightlock.verdict.storage import described_hash, persistent_volume_hash
from weightlock.verdict.tenant_objects import (
    HINT,
    INLINE_HINT,
    Reference,
    references_of_source,
    references_of_volume,
    within,
)

READ_WRITE_ONCE: Final = "ReadWriteOnce"
READ_WRITE_ONCE_POD: Final = "ReadWriteOncePod"
_ONE_NODE: Final = frozenset({READ_WRITE_ONCE, READ_WRITE_ONCE_POD})
_BINDS_LATE: Final = "WaitForFirstConsumer"


class StorageState(StrEnum):
    """Whether a verification can read it."""

    READY = "Ready"
    MISSING = "Missing"
    UNBOUND = "Unbound"
    WAITS_FOR_CONSUMER = "WaitsForConsumer"
    """A claim that is bound to wherever its first pod is scheduled."""

    UNUSABLE = "Unusable"


@dataclass(frozen=True, slots=True)
class Storage:
    """What there is. `volume` identifies it; None unless it is ready."""

    state: StorageState
    volume: VolumeStatus | None = None
    message: str = ""
    claim_uid: str = ""
    capacity_bytes: int | None = None
    access_modes: frozenset[str] = frozenset()
    is_being_deleted: bool = False
    """A claim is not gone before the last pod that names it, ended or not."""

    reason: Reason = Reason.STORAGE_UNAVAILABLE
    """Why it is unusable, if it is."""

    @property
    def is_of_one_node(self) -> bool:
        """Whether only one node at a time can mount it."""
        return bool(self.access_modes) and self.access_modes <= _ONE_NODE

    @property
    def is_of_one_pod(self) -> bool:
        """Whether only one pod at a time can mount it."""
        return self.access_modes == {READ_WRITE_ONCE_POD}


def described_storage(spec: CheckpointSpec) -> Storage:
    """The storage of a checkpoint that describes it itself, whatever its source but a claim."""
    source = spec.source
    if isinstance(source, HostPathSource) and not source.node_name:
        return Storage(
            StorageState.UNUSABLE,
            message="a hostPath without nodeName: the same path of another node has other bytes."
            " Set spec.source.hostPath.nodeName",
        )
    attributes = dict(source.attributes) if isinstance(source, CsiSource) else {}
    editable = references_of_source("csi", {"volumeAttributes": attributes})
    volume = VolumeStatus(source_hash=described_hash(source), path=spec.path)
    return _unless_editable(Storage(StorageState.READY, volume), editable, INLINE_HINT)


def claimed_storage(
    spec: CheckpointSpec,
    claim: object | None,
    persistent_volume: object | None = None,
    storage_class: object | None = None,
) -> Storage:
    """The storage behind a claim; each of the three is None if the API server has none such."""
    name = spec.source.claim_name if isinstance(spec.source, ClaimSource) else ""
    if claim is None:
        return Storage(StorageState.MISSING, message=f"the claim {name} does not exist")
    try:
        found = _claimed(spec, claim, persistent_volume, storage_class)
        editable = _editable(claim, persistent_volume) if found.volume else ()
        return _unless_editable(found, editable, HINT)
    except Malformed as error:
        return Storage(StorageState.UNUSABLE, message=error.message)


def _claimed(
    spec: CheckpointSpec, claim: object, persistent_volume: object | None, storage_class: object
) -> Storage:
    root = Fields(claim, "persistentVolumeClaim", None, Malformed)
    metadata, wanted = root.section("metadata", None), root.section("spec", None)
    name, uid = metadata.text("name", str), metadata.text("uid", str)
    going = metadata.has("deletionTimestamp")
    modes = frozenset(wanted.texts("accessModes", str))
    phase = root.section("status", None).text_or("phase", str, "")
    if wanted.text_or("volumeMode", str, "Filesystem") == "Block":
        raise Malformed(f"the claim {name} is a raw block device, and holds no files")
    if phase == "Lost":
        raise Malformed(f"the claim {name} has lost its persistent volume")
    if going:
        # A kubelet mounts no such claim, and what bears its name later is another.
        message = f"the claim {name} is being deleted"
        return Storage(
            StorageState.UNBOUND, None, message, uid, access_modes=modes, is_being_deleted=True
        )
    volume = _bound(root, persistent_volume) if phase == "Bound" else None
    if volume is not None:
        metadata = volume.section("metadata", None)
        return Storage(
            StorageState.READY,
            VolumeStatus(
                uid,
                metadata.text("name", str),
                metadata.text("uid", str),
                persistent_volume_hash(volume.mapping("spec"), _annotations(metadata)),
                spec.path,
            ),
            claim_uid=uid,
            capacity_bytes=_capacity(volume),
            access_modes=frozenset(volume.section("spec", None).texts("accessModes", str)),
        )
    late = phase != "Bound" and _binds_late(storage_class)
    state = StorageState.WAITS_FOR_CONSUMER if late else StorageState.UNBOUND
    message = f"the claim {name} is not bound"
    return Storage(state, None, message, uid, access_modes=modes)


def _editable(claim: object, persistent_volume: object) -> tuple[Reference, ...]:
    metadata = Fields(claim, "persistentVolumeClaim", None, Malformed).section("metadata", None)
    volume = Fields(persistent_volume, "persistentVolume", None, Malformed)
    references = references_of_volume(volume.mapping("spec"))
    return within(references, metadata.text("namespace", str))


def _unless_editable(found: Storage, editable: tuple[Reference, ...], hint: str) -> Storage:
    """The storage, unless who may edit the namespace's Secrets says which it is (A28)."""
    if not editable:
        return found
    return replace(
        found,
        state=StorageState.UNUSABLE,
        volume=None,
        message=f"{scalars.printable(str(editable[0]))} of this namespace decides what is mounted,"
        f" and tenants can edit it. {hint}",
        reason=Reason.SECRET_OF_TENANT,
    )


def _annotations(metadata: Fields) -> Mapping[str, object]:
    return metadata.mapping("annotations") if metadata.has("annotations") else {}


def _bound(claim: Fields, persistent_volume: object | None) -> Fields | None:
    """The persistent volume, if claim and volume point at each other, and it stays."""
    if persistent_volume is None:
        return None
    volume = Fields(persistent_volume, "persistentVolume", None, Malformed)
    if volume.section("metadata", None).has("deletionTimestamp"):
        return None
    reference = volume.section("spec", None).section("claimRef", None).text_or("uid", str, "")
    names_claim = reference == claim.section("metadata", None).text("uid", str)
    named = claim.section("spec", None).text_or("volumeName", str, "")
    is_named = volume.section("metadata", None).text("name", str) == named
    return volume if names_claim and is_named else None


def _capacity(volume: Fields) -> int | None:
    capacity = volume.section("spec", None).section("capacity", None)
    try:
        return capacity.text("storage", scalars.quantity)
    except Malformed:
        return None  # a fraction, or nothing: only the number of shards depends on it


def _binds_late(storage_class: object | None) -> bool:
    if storage_class is None:
        return False
    fields = Fields(storage_class, "storageClass", None, Malformed)
    return fields.text_or("volumeBindingMode", str, "") == _BINDS_LATE
