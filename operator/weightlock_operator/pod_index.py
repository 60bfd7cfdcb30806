"""The pods that matter, found by what they have to do with checkpoints."""

import json
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from weightlock.verdict.places import Neighbours
from weightlock.verdict.places import Place as StoragePlace
from weightlock_operator.decision.holding import HeldPod
from weightlock_operator.decision.readings import Reading, read
from weightlock_operator.decision.seen import SeenPod
from weightlock_operator.kept import discard
from weightlock_operator.pod_records import PodRecord, departed

DEPARTED_PODS: Final = 2000
DEPARTED_FOR: Final = timedelta(minutes=15)
"""Long enough for a look at every checkpoint; after that the verdict has been taken away."""

READ_PODS: Final = 4096
"""Pods that are kept as they are read: a few KiB each. A checkpoint looks at all of its own."""

Place = tuple[str, str]
"""A namespace and a claim."""

NOWHERE: Final[Place] = ("", "")
"""What is no claim."""


Awaited = tuple[str, str, str]
"""What a held pod waits for: a namespace, a claim or "", and the name of a checkpoint or ""."""


class PodIndex:
    """For one event loop."""

    def __init__(self) -> None:
        self._pods: dict[str, PodRecord] = {}
        self._of_checkpoint: defaultdict[str, set[str]] = defaultdict(set)
        self._at: defaultdict[Place, set[str]] = defaultdict(set)
        self._inline = Neighbours()
        self._held: defaultdict[str, set[str]] = defaultdict(set)
        self._waiting: defaultdict[Awaited, set[str]] = defaultdict(set)
        self._let_in: defaultdict[str, set[str]] = defaultdict(set)
        self._departed: OrderedDict[str, tuple[datetime, PodRecord]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pods)

    @property
    def uids(self) -> frozenset[str]:
        """All that are known."""
        return frozenset(self._pods)

    def get(self, uid: str) -> PodRecord | None:
        """What is known of a pod."""
        return self._pods.get(uid)

    def put(self, record: PodRecord) -> PodRecord | None:
        """Take a pod as it is now; returns what was known before."""
        before = self._forget(record.uid)
        self._pods[record.uid] = record
        if record.checkpoint_uid:
            self._of_checkpoint[record.checkpoint_uid].add(record.uid)
        for claim in claims_of(record):
            self._at[claim].add(record.uid)
        if record.use and record.places:
            self._inline.put(record.uid, record.places)
        if record.held is not None:
            self._held[record.namespace].add(record.uid)
            for awaited in awaited_by(record.held):
                self._waiting[awaited].add(record.uid)
        if record.is_let_in:
            self._let_in[record.namespace].add(record.uid)
        return before

    def drop(self, uid: str, now: datetime) -> PodRecord | None:
        """A pod is gone, or matters no more; returns what was known of it."""
        before = self._forget(uid)
        ghost = departed(before, now) if before is not None else None
        if ghost is not None:
            self._departed[uid] = (now, ghost)
            while len(self._departed) > DEPARTED_PODS:
                self._departed.popitem(last=False)
        return before

    def seen(self, checkpoint_uid: str) -> tuple[SeenPod, ...]:
        """The pods that say they verify a checkpoint."""
        found = (self._pods[uid].seen for uid in self._of_checkpoint.get(checkpoint_uid, ()))
        return tuple(pod for pod in found if pod is not None)

    def held(self, namespace: str) -> tuple[HeldPod, ...]:
        """The pods of a namespace that are held."""
        found = (self._pods[uid].held for uid in self._held.get(namespace, ()))
        return tuple(pod for pod in found if pod is not None)

    def waiting_for(self, awaited: Iterable[Awaited]) -> tuple[HeldPod, ...]:
        """The held pods that wait for any of these."""
        uids = {uid for each in awaited for uid in self._waiting.get(each, ())}
        found = (self._pods[uid].held for uid in sorted(uids))
        return tuple(pod for pod in found if pod is not None)

    def let_in(self, namespace: str) -> tuple[PodRecord, ...]:
        """The pods of a namespace that have the label of held ones, and are not."""
        return tuple(self._pods[uid] for uid in self._let_in.get(namespace, ()))

    def using(
        self, claims: Iterable[Place], places: Iterable[StoragePlace], now: datetime
    ) -> Iterator[Reading | None]:
        """The pods with one of these claims, or storage of their own there, now or until lately."""
        wanted, there = frozenset(claims), tuple(places)
        found = {uid for claim in wanted for uid in self._at.get(claim, ())}
        for uid in found | self._inline.of(there):
            yield _read(self._pods[uid].use)
        for at, record in self._departed.values():
            if now - at < DEPARTED_FOR and _has(record, wanted, there):
                yield _read(record.use)

    def _forget(self, uid: str) -> PodRecord | None:
        record = self._pods.pop(uid, None)
        if record is None:
            return None
        discard(self._of_checkpoint, record.checkpoint_uid, uid)
        for claim in claims_of(record):
            discard(self._at, claim, uid)
        self._inline.drop(uid)
        discard(self._held, record.namespace, uid)
        for awaited in awaited_by(record.held) if record.held else ():
            discard(self._waiting, awaited, uid)
        discard(self._let_in, record.namespace, uid)
        return record


def awaited_by(pod: HeldPod) -> frozenset[Awaited]:
    """What a held pod waits for, each claim and each checkpoint by itself."""
    claims = {(pod.namespace, wait.claim, "") for wait in pod.waits if wait.claim}
    names = {(pod.namespace, "", wait.checkpoint) for wait in pod.waits if wait.checkpoint}
    return frozenset(claims | names)


def claims_of(record: PodRecord) -> Iterable[Place]:
    """The claims among a pod's volumes."""
    return [(record.namespace, claim) for claim in record.claims] if record.use else ()


def _has(record: PodRecord, claims: frozenset[Place], places: tuple[StoragePlace, ...]) -> bool:
    return not claims.isdisjoint(claims_of(record)) or any(
        mine.overlaps(place) for mine in record.places for place in places
    )


@lru_cache(READ_PODS)
def _read(use: bytes) -> Reading | None:
    return read(json.loads(use))
