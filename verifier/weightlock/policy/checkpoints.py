"""A ModelCheckpoint: what a team registers, and what the operator found out about it.

The spec is the tenant's and is read strictly. The status is what the seal is checked against
(weightlock.verdict.seal), so its fields are read strictly too; later versions' are skipped.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from weightlock.algorithms import SignatureAlgorithm, signature_algorithm
from weightlock.digests import Digest, hash_algorithm
from weightlock.errors import Malformed
from weightlock.names import TREE_ID
from weightlock.policy import scalars
from weightlock.policy.bounds import MAX_VERSION
from weightlock.policy.fields import Fields
from weightlock.policy.objects import MAX_GENERATION, Metadata, object_fields
from weightlock.policy.paths import VolumePath
from weightlock.policy.selectors import SELECTOR_FIELDS, LabelSelector
from weightlock.policy.sources import SOURCE_KINDS, Source, source_of
from weightlock.reasons import Verdict

KIND: Final = "ModelCheckpoint"
SPEC_FIELDS: Final = ("source", "modelName", "workloadSelector")
SOURCE_FIELDS: Final = (*SOURCE_KINDS, "path")


@dataclass(frozen=True, slots=True)
class CheckpointSpec:
    """What a team asks to have verified."""

    source: Source
    path: VolumePath = field(default_factory=VolumePath)
    model_name: str | None = None
    workload_selector: LabelSelector | None = None

    @classmethod
    def from_spec(cls, spec: object, path: str = "spec") -> "CheckpointSpec":
        """Read a plain mapping.

        Raises:
            Malformed: naming the field.
        """
        fields = Fields(spec, path, SPEC_FIELDS, Malformed)
        fields.raw("source")
        source = fields.section("source", SOURCE_FIELDS)
        selector = None
        if fields.has("workloadSelector"):
            selector = LabelSelector.from_fields(
                fields.section("workloadSelector", SELECTOR_FIELDS)
            )
        return cls(
            source_of(source),
            source.text_or("path", VolumePath.parse, VolumePath()),
            fields.optional_text("modelName", model_name),
            selector,
        )


@dataclass(frozen=True, slots=True)
class RecordedSignature:
    """A signature that was valid when the checkpoint was verified."""

    algorithm: SignatureAlgorithm
    keyid: str


@dataclass(frozen=True, slots=True)
class VolumeStatus:
    """The storage that was verified: claim, persistent volume, what that really is, path."""

    pvc_uid: str = ""
    pv_name: str = ""
    pv_uid: str = ""
    source_hash: str = ""
    path: VolumePath = field(default_factory=VolumePath)


@dataclass(frozen=True, slots=True)
class CheckpointStatus:
    """What the operator recorded. Believe none of it before its seal is intact."""

    phase: Verdict
    observed_generation: int = 0
    reason: str = ""
    message: str = ""
    digest: Digest | None = None
    signatures: tuple[RecordedSignature, ...] = ()
    volume: VolumeStatus = field(default_factory=VolumeStatus)
    model_name: str | None = None
    model_version: int | None = None
    policy_hash: str = ""
    verifier_image: str = ""
    last_verified: datetime | None = None
    expires: datetime | None = None
    seal: str = ""

    @classmethod
    def from_status(cls, status: object, path: str = "status") -> "CheckpointStatus":
        """Read a plain mapping.

        Raises:
            Malformed: naming the field; such a status vouches for nothing.
        """
        fields = Fields(status, path, None, Malformed)
        return cls(
            phase=fields.choice("phase", Verdict),
            observed_generation=fields.integer_or("observedGeneration", 0, MAX_GENERATION, 0),
            reason=fields.text_or("reason", str, ""),
            message=fields.text_or("message", str, ""),
            digest=_digest(fields.section("digest", None)) if fields.has("digest") else None,
            signatures=tuple(map(_signature, fields.sections("signatures", None))),
            volume=_volume(fields.section("volume", None)),
            model_name=fields.optional_text("modelName", model_name),
            model_version=fields.optional_integer("modelVersion", 0, MAX_VERSION),
            policy_hash=fields.text_or("policyHash", str, ""),
            verifier_image=fields.section("verifier", None).text_or("image", str, ""),
            last_verified=fields.optional_text("lastVerified", scalars.moment),
            expires=fields.optional_text("expires", scalars.moment),
            seal=fields.text_or("seal", str, ""),
        )


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A whole ModelCheckpoint; `status` is None until the operator has written one."""

    metadata: Metadata
    spec: CheckpointSpec
    status: CheckpointStatus | None = None

    @classmethod
    def from_object(cls, value: object, default_namespace: str = "") -> "Checkpoint":
        """Read a whole object.

        Raises:
            Malformed: naming the field.
        """
        fields = object_fields(value, Malformed)
        if fields.text("kind", str) != KIND:
            raise fields.wrong("kind", f"expected {KIND}")
        found = Metadata.from_fields(fields.section("metadata", None))
        namespace = found.namespace or default_namespace
        if not namespace:
            raise fields.wrong("metadata.namespace", "missing")
        status = fields.section("status", None)
        return cls(
            Metadata(found.name, namespace, found.uid, found.generation),
            CheckpointSpec.from_spec(fields.raw("spec")),
            CheckpointStatus.from_status(fields.raw("status")) if status.has("phase") else None,
        )


def model_name(text: str) -> str:
    """The name of a model, as signed payloads have it: no wildcard, nothing invisible."""
    if "*" in text or "?" in text:
        raise Malformed(f"found {scalars.shown(text)}, expected a name without wildcards")
    return scalars.glob(text)


def _digest(fields: Fields) -> Digest:
    if fields.text("tree", str) != TREE_ID:
        raise fields.wrong("tree", f"expected {TREE_ID}")
    algorithm = fields.text("hash", hash_algorithm)
    return fields.text("root", lambda text: Digest.from_hex(algorithm, text))


def _signature(fields: Fields) -> RecordedSignature:
    return RecordedSignature(
        fields.text("algorithm", signature_algorithm), fields.text("keyid", scalars.keyid)
    )


def _volume(fields: Fields) -> VolumeStatus:
    return VolumeStatus(
        fields.text_or("pvcUID", str, ""),
        fields.text_or("pvName", str, ""),
        fields.text_or("pvUID", str, ""),
        fields.text_or("sourceHash", str, ""),
        fields.text_or("path", VolumePath.parse, VolumePath()),
    )
