"""Whether a checkpoint is about a volume, and what identifies the bytes of that volume now.

A recorded verdict counts only for storage that is the same in every respect that was recorded: the
uids of claim and persistent volume, the hash of what the source says, the path (A28).
"""

import json

from weightlock.policy.checkpoints import Checkpoint, VolumeStatus
from weightlock.policy.sources import (
    ClaimSource,
    CsiSource,
    HostPathSource,
    ImageSource,
    NfsSource,
)
from weightlock.verdict.storage import described_hash
from weightlock_webhook.decision.governing import GovernedVolume
from weightlock_webhook.mounts import sources


def is_about(checkpoint: Checkpoint, volume: sources.VolumeSource) -> bool:
    """Whether the checkpoint names this very source, whatever lies there now."""
    match checkpoint.spec.source, volume:
        case ClaimSource(claim_name=wanted), sources.ClaimSource(claim=found):
            return wanted == found
        case HostPathSource(path=wanted_path), sources.HostPathSource(path=found_path):
            return wanted_path == found_path
        case NfsSource(server=server, path=path), sources.InlineSource(kind=sources.NFS):
            return (server, path) == (volume.server, volume.path)
        case CsiSource(driver=driver, attributes=attributes), sources.InlineSource(
            kind=sources.CSI
        ):
            return (driver, attributes) == (volume.driver, _attributes(volume))
        case ImageSource(reference=reference), sources.ImageSource(digest=digest):
            return bool(digest) and sources.image_digest(reference) == digest
        case _:
            return False


def volume_now(checkpoint: Checkpoint, volume: GovernedVolume) -> VolumeStatus | None:
    """What a verdict on this checkpoint would be bound to now; None if that cannot be told."""
    path, source = checkpoint.spec.path, checkpoint.spec.source
    if not isinstance(source, ClaimSource):
        return VolumeStatus(source_hash=described_hash(source), path=path)
    claim, backing = volume.claim, volume.backing
    if claim is None or backing is None:
        return None
    return VolumeStatus(claim.uid, backing.name, backing.uid, backing.source_hash, path)


def node_of(checkpoint: Checkpoint) -> str:
    """The node whose folder a checkpoint is about; "" if it names none."""
    source = checkpoint.spec.source
    return (source.node_name or "") if isinstance(source, HostPathSource) else ""


def _attributes(volume: sources.InlineSource) -> tuple[tuple[str, str], ...] | None:
    """The attributes of an inline CSI volume; None if it says more than driver and attributes."""
    definition = json.loads(volume.definition)
    attributes = definition.pop("volumeAttributes", {})
    return tuple(sorted(attributes.items())) if set(definition) == {"driver"} else None
