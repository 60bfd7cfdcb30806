"""What files cannot hold and an offline test has to assume; each assumption is put into words.

A status in a file is taken for the operator's by sealing it with a key that lives as long as the
test, so that the decision itself knows no way around a seal.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from weightlock.policy.checkpoints import Checkpoint, VolumeStatus
from weightlock.policy.objects import Metadata
from weightlock.policy.sources import ClaimSource
from weightlock.policy.volumes import VolumeFacts
from weightlock.verdict.records import VerdictRecord, record_of
from weightlock.verdict.seal import SealKey, seal
from weightlock.verdict.storage import described_hash
from weightlock_webhook.decision.storage import Backing, Claim

NOT_GIVEN = "not given"


@dataclass(frozen=True, slots=True)
class Assumed:
    """A checkpoint as the test takes it, and what was assumed for that."""

    checkpoint: Checkpoint
    assumptions: tuple[str, ...] = ()


def sealed(checkpoint: Checkpoint, key: SealKey) -> Assumed:
    """The checkpoint as if the operator had written its status just so."""
    record, status = record_of(checkpoint), checkpoint.status
    if record is None or status is None:
        return Assumed(checkpoint)
    metadata, of_generation = _metadata(checkpoint, record)
    volume, of_volume = _volume(checkpoint, record)
    completed = replace(record, volume=volume)
    name = checkpoint.metadata.name
    return Assumed(
        replace(
            checkpoint,
            metadata=metadata,
            status=replace(status, volume=volume, seal=seal(completed, key)),
        ),
        (
            f"The status of checkpoint {name} is the operator's; its seal is not checked.",
            *(f"Checkpoint {name}: {what}" for what in of_generation + of_volume),
        ),
    )


def _metadata(checkpoint: Checkpoint, record: VerdictRecord) -> tuple[Metadata, tuple[str, ...]]:
    metadata = checkpoint.metadata
    if metadata.generation or not record.generation:
        return metadata, ()
    completed = Metadata(metadata.name, metadata.namespace, metadata.uid, record.generation)
    return completed, ("metadata.generation is the one that was verified.",)


def _volume(checkpoint: Checkpoint, record: VerdictRecord) -> tuple[VolumeStatus, tuple[str, ...]]:
    """The storage that was verified, with what people leave out who write a status by hand."""
    spec, volume = checkpoint.spec, record.volume
    assumptions: tuple[str, ...] = ()
    if spec.path.components and not volume.path.components:
        assumptions += (f"{spec.path} is the path that was verified.",)
        volume = replace(volume, path=spec.path)
    described = described_hash(spec.source)
    if described and not volume.source_hash:
        assumptions += ("what its source says now is what was verified.",)
        volume = replace(volume, source_hash=described)
    return volume, assumptions


def assumed_claim(name: str, checkpoints: Iterable[Checkpoint]) -> Claim | None:
    """A claim that no file holds, as bound to what was verified last; None if nothing was."""
    latest = _latest(each for each in checkpoints if _is_of(each, name))
    if latest is None:
        return None
    return Claim(name, latest.pvc_uid, None, backing=_backing(latest))


def assumed_backing(
    claim: Claim, volume_name: str, checkpoints: Iterable[Checkpoint]
) -> Backing | None:
    """The volume of a claim, if no file holds it and the claim is the one that was verified."""
    latest = _latest(each for each in checkpoints if _is_of(each, claim.name))
    if latest is None or (latest.pvc_uid, latest.pv_name) != (claim.uid, volume_name):
        return None
    return _backing(latest)


def _is_of(checkpoint: Checkpoint, claim: str) -> bool:
    source = checkpoint.spec.source
    return isinstance(source, ClaimSource) and source.claim_name == claim


def _latest(checkpoints: Iterable[Checkpoint]) -> VolumeStatus | None:
    records = [record for each in checkpoints if (record := record_of(each)) is not None]
    return max(records, key=lambda record: record.verified_at).volume if records else None


def _backing(volume: VolumeStatus) -> Backing:
    return Backing(
        volume.pv_name,
        volume.pv_uid,
        VolumeFacts(NOT_GIVEN),
        volume.source_hash,
        places=(),
        nodes=None,
        references=(),
    )
