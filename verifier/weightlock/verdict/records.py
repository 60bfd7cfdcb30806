"""What a verdict is bound to: the record that is sealed, and the status fields that carry it.

A record says which object, which storage, which content, signed by whom, was found good, when, by
which verifier under which policies (A10, A28). Law: record_of(status_of(record)) == record.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypedDict

from weightlock.digests import Digest
from weightlock.names import TREE_ID
from weightlock.policy.checkpoints import Checkpoint, RecordedSignature, VolumeStatus
from weightlock.reasons import Verdict
from weightlock.verdict.evidence import Evidence, ModelIdentity, SignatureFact

SCHEMA_VERSION: Final = 1
"""Changes whenever the fields of a record or their encoding do, so that old seals just break."""

RECORDED_VERDICTS: Final = (Verdict.VERIFIED, Verdict.CLASSICAL_ONLY)
"""Only what passed is recorded; how far that reaches, the judge says anew each time."""


@dataclass(frozen=True, slots=True)
class VerdictRecord:
    """Everything that a good verdict depends on.

    `verified_at` is when reading began, so that whoever wrote while it went on wrote later (A02).
    """

    checkpoint_uid: str
    generation: int
    volume: VolumeStatus
    digest: Digest | None
    signatures: tuple[RecordedSignature, ...]
    model: ModelIdentity | None
    policy_hash: str
    verifier_image: str
    verified_at: datetime

    @property
    def evidence(self) -> Evidence:
        """The facts to judge again, under the policies and at the time of whoever asks.

        Everybody listed had signed and the content was as signed, or there would be no record.
        """
        return Evidence(
            signatures=tuple(
                SignatureFact(each.keyid, each.algorithm, valid=True, trusted=True)
                for each in self.signatures
            ),
            model=self.model,
            digest=self.digest,
            content_compared=True,
        )


def record_of(checkpoint: Checkpoint) -> VerdictRecord | None:
    """The record that a checkpoint's status claims; None if it claims no passed verification.

    It proves nothing before `seal_intact` said so.
    """
    status = checkpoint.status
    if status is None or status.last_verified is None or status.phase not in RECORDED_VERDICTS:
        return None
    model = None
    if status.model_name is not None and status.model_version is not None:
        model = ModelIdentity(status.model_name, status.model_version)
    return VerdictRecord(
        checkpoint.metadata.uid,
        status.observed_generation,
        status.volume,
        status.digest,
        status.signatures,
        model,
        status.policy_hash,
        status.verifier_image,
        status.last_verified,
    )


class DigestStatus(TypedDict):
    """`status.digest`."""

    tree: str
    hash: str
    root: str


class SignatureStatus(TypedDict):
    """An item of `status.signatures`."""

    algorithm: str
    family: str
    keyid: str


class VolumeStatusFields(TypedDict):
    """`status.volume`."""

    pvcUID: str
    pvName: str
    pvUID: str
    sourceHash: str
    path: str


class VerifierStatus(TypedDict):
    """What the record needs of `status.verifier`."""

    image: str


class RecordStatus(TypedDict, total=False):
    """The status fields that a record consists of."""

    observedGeneration: int
    digest: DigestStatus
    signatures: list[SignatureStatus]
    volume: VolumeStatusFields
    modelName: str
    modelVersion: int
    policyHash: str
    verifier: VerifierStatus
    lastVerified: str


def status_of(record: VerdictRecord) -> RecordStatus:
    """The status fields that carry a record; phase, reason, message and seal stand beside them."""
    status: RecordStatus = {
        "observedGeneration": record.generation,
        "signatures": [
            {
                "algorithm": each.algorithm.name,
                "family": each.algorithm.family.value,
                "keyid": each.keyid,
            }
            for each in record.signatures
        ],
        "volume": {
            "pvcUID": record.volume.pvc_uid,
            "pvName": record.volume.pv_name,
            "pvUID": record.volume.pv_uid,
            "sourceHash": record.volume.source_hash,
            "path": str(record.volume.path),
        },
        "policyHash": record.policy_hash,
        "verifier": {"image": record.verifier_image},
        "lastVerified": instant_text(record.verified_at),
    }
    if record.digest is not None:
        status["digest"] = {
            "tree": TREE_ID,
            "hash": record.digest.algorithm.value,
            "root": record.digest.hex,
        }
    if record.model is not None:
        status["modelName"] = record.model.name
        status["modelVersion"] = record.model.version
    return status


def instant_text(instant: datetime) -> str:
    """An instant as RFC 3339 in UTC (C26). Law: scalars.instant(instant_text(i)) == i."""
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
