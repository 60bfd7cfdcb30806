"""The facts about one pod, in two steps: what they rest on, and what follows from it.

`Ground` holds the very objects that the cache or a live read gave, so two equal grounds make equal
facts, and comparing them costs next to nothing.

1. the policies that govern its namespace, as they were last heard of
2. each claim that it names, with the volume behind it if the two point at each other (A28)
3. at binding, when the pod has a name and its ephemeral volumes have claims: those too (B05)
4. who writes there, or did (A02), and whether another volume leads to the same bytes (A28)
5. the checkpoints that may be about one of its volumes
6. what the operator remembers: versions, restores, the keys of its seals
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from weightlock.verdict.floors import Floors
from weightlock.verdict.seal import SealKey
from weightlock_webhook.cache.knowledge import Knowledge
from weightlock_webhook.cache.objects import CheckpointItem, ClaimItem
from weightlock_webhook.decision.facts import Allowances, Facts, Judge, Recall
from weightlock_webhook.decision.governance import Governance
from weightlock_webhook.decision.storage import Claim, Storage
from weightlock_webhook.gathering.footing import (
    WRITTEN_BY_PATH,
    Footing,
    footing_of,
    has_footing,
)
from weightlock_webhook.gathering.lookups import Lookup
from weightlock_webhook.gathering.names import Names
from weightlock_webhook.gathering.subjects import DeviceClasses, Subject, ephemeral_claim_of


class Ground(NamedTuple):
    """Everything that the facts about one pod rest on, except the time.

    A pod without storage rests on the policies alone.
    """

    governance: Governance
    checkpoints: tuple[CheckpointItem, ...] = ()
    claims: tuple[Claim, ...] = ()
    ephemeral: tuple[tuple[str, Claim], ...] = ()
    twins: frozenset[str] = frozenset()
    written: tuple[tuple[str, datetime], ...] = ()
    seal_keys: tuple[SealKey, ...] = ()
    highest_versions: Floors | None = None
    restored_at: datetime | None = None
    device_classes: DeviceClasses = ()


class Gathering:
    """Gathers facts from what is known."""

    def __init__(
        self, knowledge: Knowledge, allowances: Allowances, judge: Judge, recall: Recall
    ) -> None:
        self._knowledge = knowledge
        self._allowances = allowances
        self._judge = judge
        self._recall = recall

    def ground(self, subject: Subject, lookup: Lookup) -> Ground:
        """What the facts about a pod rest on.

        Raises:
            WeightlockError: if any of it cannot be told.
        """
        knowledge, pod = self._knowledge, subject.pod
        governance = knowledge.policies.governing(subject.namespace)
        if not pod.has_storage:
            return Ground(governance)
        names = subject.names
        claims = tuple(self._claims(subject.namespace, names, lookup))
        ephemeral = tuple(self._ephemeral(subject, lookup)) if subject.uid else ()
        return Ground(
            governance,
            _checkpoints(subject.namespace, names, lookup),
            claims,
            ephemeral,
            self._twins(claims, ephemeral),
            tuple(self._written(names)),
            knowledge.seal_keys.keys,
            knowledge.versions.highest,
            knowledge.restores.restored_at,
            subject.device_classes,
        )

    def footing(self, subject: Subject, lookup: Lookup) -> Footing:
        """What the ground is put together from, now; it costs a fraction of the ground.

        Raises:
            WeightlockError: if any of it cannot be told.
        """
        return footing_of(self._knowledge, subject, lookup)

    def has_footing(self, subject: Subject, ground: Ground) -> bool:
        """Whether this ground lasts for as long as its footing."""
        return has_footing(self._knowledge, subject, ground.claims)

    def facts(self, subject: Subject, ground: Ground, now: datetime) -> Facts:
        """What the decision about a pod rests on at an instant."""
        return Facts(
            subject.namespace,
            ground.governance,
            self._knowledge.checkpoint_index.read(ground.checkpoints),
            Storage(
                {claim.name: claim for claim in ground.claims},
                dict(ground.ephemeral),
                ground.twins,
                dict(ground.written),
            ),
            ground.seal_keys,
            now,
            self._allowances,
            dict(ground.device_classes),
            highest_versions=ground.highest_versions or {},
            restored_at=ground.restored_at,
            is_running=subject.is_running,
            judge=self._judge,
            recall=self._recall,
        )

    def _claims(self, namespace: str, names: Names, lookup: Lookup) -> Iterator[Claim]:
        for name in names.claims:
            item = lookup.claim((namespace, name))
            if item is not None:
                yield self._claim(item, lookup)

    def _claim(self, item: ClaimItem, lookup: Lookup) -> Claim:
        namespace, name = item.metadata.key
        volume = lookup.volume(item.spec.volumeName) if item.spec.volumeName else None
        claim = self._knowledge.claim_reader.read(item, volume)
        real = claim.backing.facts if claim.backing else None
        by_path = real if real and real.kind in WRITTEN_BY_PATH else None
        seen_at = self._knowledge.writers.of_claim(namespace, name, by_path)
        return replace(claim, writer_seen_at=seen_at) if seen_at else claim

    def _ephemeral(self, subject: Subject, lookup: Lookup) -> Iterator[tuple[str, Claim]]:
        for volume in subject.names.templates:
            name = ephemeral_claim_of(subject, volume)
            item = lookup.claim((subject.namespace, name))
            owners = (item.metadata.ownerReferences or ()) if item else ()
            # A claim of the right name that somebody else made is not used by the kubelet either.
            if item and any(owner.uid == subject.uid for owner in owners):
                yield volume.name, self._claim(item, lookup)

    def _twins(
        self, claims: tuple[Claim, ...], ephemeral: tuple[tuple[str, Claim], ...]
    ) -> frozenset[str]:
        has_twin = self._knowledge.volume_index.has_writable_twin
        found = (*claims, *(claim for _, claim in ephemeral))
        return frozenset(
            [claim.backing.name for claim in found if claim.backing and has_twin(claim.backing)]
        )

    def _written(self, names: Names) -> Iterator[tuple[str, datetime]]:
        for volume, path in names.paths:
            seen_at = self._knowledge.writers.of_path(path)
            if seen_at is not None:
                yield volume, seen_at


def _checkpoints(namespace: str, names: Names, lookup: Lookup) -> tuple[CheckpointItem, ...]:
    if len(names.storage) == 1:
        return tuple(lookup.checkpoints(namespace, names.storage[0]))
    found = {
        item.metadata.key: item
        for source in names.storage
        for item in lookup.checkpoints(namespace, source)
    }
    return tuple(found.values())
