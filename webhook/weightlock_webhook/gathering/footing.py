"""What a ground is put together from: while that is the same, so is the ground.

To put a ground together costs more than to look at each object that it was put together from, and
between two reviews of a pod hardly ever has any of them changed. So a footing holds the very
objects, and counters of what has no object of its own.

Not every ground has one. What is written at this moment changes with the clock; what lies at a path
may be written through any other; and claims of ephemeral volumes have owners. Pods with those are
looked at anew.

Law: equal footings, of the same pod, have equal grounds.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final, NamedTuple

from weightlock.verdict.floors import Floors
from weightlock.verdict.seal import SealKey
from weightlock_webhook.cache.knowledge import Knowledge
from weightlock_webhook.decision.governance import Governance
from weightlock_webhook.decision.storage import HOST_BACKED, Claim
from weightlock_webhook.gathering.lookups import Lookup
from weightlock_webhook.gathering.subjects import DeviceClasses, Subject
from weightlock_webhook.mounts.sources import NFS

WRITTEN_BY_PATH: Final = HOST_BACKED | {NFS}
"""Sources whose bytes are written by whoever writes a path that overlaps."""


class Footing(NamedTuple):
    """What the ground of a pod's answer is put together from."""

    governance: Governance
    objects: tuple[object, ...]
    """Claims, the volumes behind them, and checkpoints; None for what is not there."""

    writers: int
    places: int
    seal_keys: tuple[SealKey, ...]
    highest_versions: Floors
    restored_at: datetime | None
    device_classes: DeviceClasses


def footing_of(knowledge: Knowledge, subject: Subject, lookup: Lookup) -> Footing:
    """What is there now.

    Raises:
        WeightlockError: if the policies of the namespace cannot be told.
    """
    return Footing(
        knowledge.policies.governing(subject.namespace),
        tuple(_objects(subject, lookup)),
        knowledge.writers.version(subject.namespace),
        knowledge.volume_index.version,
        knowledge.seal_keys.keys,
        knowledge.versions.highest,
        knowledge.restores.restored_at,
        subject.device_classes,
    )


def has_footing(knowledge: Knowledge, subject: Subject, claims: tuple[Claim, ...]) -> bool:
    """Whether the ground of a pod that has these claims hangs on nothing but its footing."""
    names = subject.names
    if names.paths or (names.templates and subject.uid):
        return False
    written = knowledge.writers.is_written
    return not any(_is_path(claim) or written(subject.namespace, claim.name) for claim in claims)


def _is_path(claim: Claim) -> bool:
    return claim.backing is not None and claim.backing.facts.kind in WRITTEN_BY_PATH


def _objects(subject: Subject, lookup: Lookup) -> Iterator[object]:
    namespace, names = subject.namespace, subject.names
    for name in names.claims:
        claim = lookup.claim((namespace, name))
        yield claim
        volume = claim.spec.volumeName if claim is not None else None
        yield lookup.volume(volume) if volume else None
    for source in names.storage:
        yield tuple(lookup.checkpoints(namespace, source))
