"""No yes without a live look at what it hangs on (A28, A38).

1. the policies are those that the API server has now, and so are the namespace's labels where
   policies select by them
2. every claim of the pod, its volume, and each checkpoint that vouches are read, all at once
3. the decision is made by what was read; whatever the new answer hangs on is read too, until
   nothing is new

Whatever cannot be read in time is a denial. A no is never turned around here, except by `look`: a
checkpoint that was verified a moment ago may not have reached the cache of this replica yet.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, TypeVar

from weightlock_webhook.cache.checkpoints import key_of, key_of_volume
from weightlock_webhook.cache.errors import Stale
from weightlock_webhook.cache.knowledge import Knowledge
from weightlock_webhook.cache.objects import CheckpointItem, Item, Key
from weightlock_webhook.cache.policies import labels_of
from weightlock_webhook.cache.store import is_same
from weightlock_webhook.decision.answers import Answer, Outcome
from weightlock_webhook.gathering.lookups import Cached, Live
from weightlock_webhook.gathering.subjects import Subject, ephemeral_claim_of
from weightlock_webhook.judging.deciding import Deciding
from weightlock_webhook.live.reads import (
    LOOK_SECONDS,
    POLICIES_SECONDS,
    LiveReads,
    Read,
    arrived,
)
from weightlock_webhook.mounts import sources

MOST_ROUNDS: Final = 8
"""Reads and decisions until nothing is new. Two reads and two decisions are usual where something
has changed; more mean that somebody changes things all the while."""

CATCH_UP_SECONDS: Final = 0.5
"""How long the watch of the policies may be behind; then the pod is refused, to be tried again."""

MOST_LOOKED_AT: Final = 16
"""Claims that are read for one refused pod, and checkpoints: no pod waits for more at a time."""

CONFIRMED: Final = frozenset({Outcome.ALLOW, Outcome.INJECT})
"""Outcomes that let a container run. A held pod is looked at again when it is bound to a node."""

_POLL_SECONDS: Final = 0.01

_Found = TypeVar("_Found", bound=Item)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What has to be read."""

    claims: frozenset[Key] = frozenset()
    volumes: frozenset[str] = frozenset()
    checkpoints: frozenset[Key] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.claims or self.volumes or self.checkpoints)


class Confirming:
    """Holds answers against the API server."""

    def __init__(
        self,
        knowledge: Knowledge,
        deciding: Deciding,
        reads: LiveReads,
        looks: LiveReads | None = None,
    ) -> None:
        """`looks` reads for pods that are refused, by a share of its own."""
        self._knowledge = knowledge
        self._deciding = deciding
        self._reads = reads
        self._looks = looks or reads
        self._cached = Cached(knowledge)

    async def confirm(self, subject: Subject, answer: Answer, deadline: float) -> Answer:
        """What the answer is by live reads of all that it hangs on.

        However the first answer was found, the last one is found by what was read, and by what has
        arrived while this waited.

        Raises:
            WeightlockError: if it cannot be confirmed by the deadline.
        """
        self._reads.policies(subject.namespace)  # on its way while the objects are read
        read = Live(self._cached)
        wanted = _wanted(subject, answer, read)
        for _ in range(MOST_ROUNDS):
            while wanted:
                read = await self._read(subject, wanted, read, deadline)
                wanted = _wanted(subject, answer, read)
            await self._expect_policies(subject.namespace, deadline)
            # Nothing is awaited from here on, so nothing can arrive and not be looked at.
            before, answer = answer, self._deciding.answer(subject, read)
            if answer is before or answer.outcome not in CONFIRMED:
                return answer
            wanted = _wanted(subject, answer, read)
            if not wanted:
                return answer
        raise Stale("what the pod mounts changes while it is looked at", hint="Try again.")

    async def hear_of(self, namespace: str, deadline: float) -> None:
        """Read a namespace that the watch has not brought yet, so that its labels count.

        Raises:
            WeightlockError: if it cannot be read by the deadline, or does not exist.
        """
        reading = self._reads.namespace(namespace, POLICIES_SECONDS)
        await arrived((reading,), deadline)
        item = reading.result()
        if item is None:
            raise Stale(f"there is no namespace {namespace}", hint="Try again.")
        # Unless the watch was faster: what it brings later puts this right.
        if self._knowledge.namespaces.get(("", namespace)) is None:
            self._knowledge.namespaces.put(item)

    async def look(self, subject: Subject, answer: Answer, deadline: float) -> Answer:
        """The answer to a pod that waits for a verdict, by a look at what it waits for.

        Such looks are shared and spaced, so that refused pods cost the API server little.
        """
        before = Live(self._cached)
        wanted = replace(
            _wanted(subject, answer, before, most=MOST_LOOKED_AT),
            checkpoints=frozenset(islice(self._known(subject), MOST_LOOKED_AT)),
        )
        read = await self._read(subject, wanted, before, deadline, is_look=True)
        listed = await self._listed(subject, read, deadline)
        if not listed and not _differs(wanted, before, read):
            return answer
        read = replace(read, read_checkpoints={**listed, **read.read_checkpoints})
        return self._deciding.answer(subject, read)

    def _known(self, subject: Subject) -> Iterator[Key]:
        for volume in subject.pod.volumes:
            known = self._cached.checkpoints(subject.namespace, volume.source)
            yield from (item.metadata.key for item in known)

    async def _listed(
        self, subject: Subject, read: Live, deadline: float
    ) -> dict[Key, CheckpointItem]:
        """Checkpoints about volumes of the pod that the cache has not heard of."""
        unknown = {
            key
            for volume in subject.pod.volumes
            if (key := key_of_volume(subject.namespace, volume.source)) is not None
            and not tuple(read.checkpoints(subject.namespace, volume.source))
        }
        if not unknown:
            return {}
        reading = self._looks.checkpoints(subject.namespace)
        await arrived((reading,), deadline)
        found = [item for item in reading.result() if key_of(item) in unknown]
        return {item.metadata.key: item for item in found[:MOST_LOOKED_AT]}

    async def _expect_policies(self, namespace: str, deadline: float) -> None:
        """(1)."""
        loop = asyncio.get_running_loop()
        give_up = min(deadline, loop.time() + CATCH_UP_SECONDS)
        while True:
            if await self._are_known(namespace, deadline):
                return
            if loop.time() >= give_up:
                raise Stale(
                    "the policies or the labels that choose them have just changed",
                    hint="Try again.",
                )
            await asyncio.sleep(_POLL_SECONDS)

    async def _are_known(self, namespace: str, deadline: float) -> bool:
        policies = self._knowledge.policies
        reads: tuple[Read, ...] = self._reads.policies(namespace)
        if policies.select_by_labels:
            reads = (*reads, self._reads.namespace(namespace, POLICIES_SECONDS))
        await arrived(reads, deadline)
        found = [read.result() for read in reads]
        if found[0] | found[1] != policies.identities(namespace):
            return False
        return not found[2:] or labels_of(found[2]) == policies.labels(namespace)

    async def _read(
        self,
        subject: Subject,
        wanted: Wanted,
        read: Live,
        deadline: float,
        *,
        is_look: bool = False,
    ) -> Live:
        """(2)."""
        reads, age = (self._looks, LOOK_SECONDS) if is_look else (self._reads, 0.0)
        claims = {key: reads.claim(key, age) for key in wanted.claims}
        volumes = {name: reads.volume(name, subject.namespace, age) for name in wanted.volumes}
        checkpoints = {key: reads.checkpoint(key, age) for key in wanted.checkpoints}
        await arrived((*claims.values(), *volumes.values(), *checkpoints.values()), deadline)
        cached = self._cached
        return Live(
            cached,
            {**read.claims, **{key: _found(it, cached.claim(key)) for key, it in claims.items()}},
            {
                **read.volumes,
                **{key: _found(it, cached.volume(key)) for key, it in volumes.items()},
            },
            {
                **read.read_checkpoints,
                **{key: _found(it, cached.checkpoint(key)) for key, it in checkpoints.items()},
            },
        )


def _found(reading: Read, known: _Found | None) -> _Found | None:
    """What was read; as the very object that the cache has, where that is no other."""
    found: _Found | None = reading.result()
    if known is not None and found is not None and is_same(known, found):
        return known
    return found


def _wanted(subject: Subject, answer: Answer, read: Live, most: int | None = None) -> Wanted:
    """What the answer hangs on and has not been read; of so many claims at most."""
    claims = frozenset(islice(dict.fromkeys(_claims(subject)), most))
    items = [item for key in claims if (item := read.claim(key)) is not None]
    volumes = frozenset(item.spec.volumeName for item in items if item.spec.volumeName)
    vouching = {(subject.namespace, name) for name in answer.checkpoints}
    return Wanted(
        claims - read.claims.keys(),
        volumes - read.volumes.keys(),
        frozenset(vouching - read.read_checkpoints.keys()),
    )


def _claims(subject: Subject) -> Iterator[Key]:
    for volume in subject.pod.volumes:
        if isinstance(volume.source, sources.ClaimSource):
            yield subject.namespace, volume.source.claim
        elif isinstance(volume.source, sources.ClaimTemplateSource) and subject.uid:
            yield subject.namespace, ephemeral_claim_of(subject, volume)


def _differs(wanted: Wanted, before: Live, after: Live) -> bool:
    """Whether a read found anything but what the cache said."""
    return not (
        all(before.claim(key) is after.claims[key] for key in wanted.claims)
        and all(before.volume(name) is after.volumes[name] for name in wanted.volumes)
        and all(before.checkpoint(key) is after.read_checkpoints[key] for key in wanted.checkpoints)
    )
