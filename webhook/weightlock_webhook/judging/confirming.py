"""No yes without a live look at what it hangs on (A28, A38).

1. the watches are alive, so that what is not read live is at most seconds old
2. the policies are those that the API server has now
3. every claim of the pod, its volume, and each checkpoint that vouches are read, all at once
4. the decision is made by what was read; whatever the new answer hangs on is read too, until
   nothing is new

Whatever cannot be read in time is a denial. A no is never turned around here, except by `look`: a
checkpoint that was verified a moment ago may not have reached the cache of this replica yet.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, TypeVar

from weightlock_webhook.cache.checkpoints import key_of, key_of_volume
from weightlock_webhook.cache.errors import Stale
from weightlock_webhook.cache.knowledge import Knowledge
from weightlock_webhook.cache.objects import CheckpointItem, Item, Key
from weightlock_webhook.cache.store import is_same
from weightlock_webhook.decision.answers import Answer, Outcome
from weightlock_webhook.gathering.gather import Gathering, Subject, ephemeral_claim_of
from weightlock_webhook.gathering.lookups import Cached, Live
from weightlock_webhook.judging.recalling import RecalledDecisions
from weightlock_webhook.live.reads import LOOK_SECONDS, LiveReads
from weightlock_webhook.mounts import sources

MOST_ROUNDS: Final = 8
"""Reads and decisions until nothing is new. Two reads and two decisions are usual where something
has changed; more mean that somebody changes things all the while."""

CATCH_UP_SECONDS: Final = 0.5
"""How long the watch of the policies may be behind; then the pod is refused, to be tried again."""

MOST_LOOKED_AT: Final = 16
"""Checkpoints that are read for one refused pod."""

CONFIRMED: Final = frozenset({Outcome.ALLOW, Outcome.INJECT})
"""Outcomes that let a container run. A held pod is looked at again when it is bound to a node."""

_POLL_SECONDS: Final = 0.01

_Name = TypeVar("_Name")
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
        gathering: Gathering,
        reads: LiveReads,
        clock: Callable[[], datetime],
        decisions: RecalledDecisions,
    ) -> None:
        self._knowledge = knowledge
        self._gathering = gathering
        self._reads = reads
        self._clock = clock
        self._cached = Cached(knowledge)
        self._decisions = decisions

    async def confirm(self, subject: Subject, answer: Answer, deadline: float) -> Answer:
        """What the answer is by live reads of all that it hangs on.

        However the first answer was found, the last one is found by what was read, and by what has
        arrived while this waited.

        Raises:
            WeightlockError: if it cannot be confirmed by the deadline.
        """
        await self._expect_policies(subject.namespace, deadline)
        read, decided_at = Live(self._cached), None
        for _ in range(MOST_ROUNDS):
            wanted = _wanted(subject, answer, read)
            if wanted:
                read, decided_at = await self._read(wanted, read, deadline), None
                continue
            if decided_at == self._knowledge.version:
                return answer
            decided_at = self._knowledge.version
            answer = self._decisions.decide(
                subject.pod, self._gathering.facts(subject, read, self._clock())
            )
            if answer.outcome not in CONFIRMED:
                return answer
        raise Stale("what the pod mounts changes while it is looked at", hint="Try again.")

    async def look(self, subject: Subject, answer: Answer, deadline: float) -> Answer:
        """The answer to a pod that waits for a verdict, by a look at what it waits for.

        Such looks are shared and spaced, so that refused pods cost the API server little.
        """
        before = Live(self._cached)
        wanted = replace(
            _wanted(subject, answer, before),
            checkpoints=frozenset(self._known(subject)),
        )
        read = await self._read(wanted, before, deadline, LOOK_SECONDS)
        listed = await self._listed(subject, read, deadline)
        if not listed and not _differs(wanted, before, read):
            return answer
        read = replace(read, read_checkpoints={**listed, **read.read_checkpoints})
        return self._decisions.decide(
            subject.pod, self._gathering.facts(subject, read, self._clock())
        )

    def _known(self, subject: Subject) -> Iterator[Key]:
        for volume in subject.pod.volumes:
            known = self._cached.checkpoints(subject.namespace, volume.source)
            for item in tuple(known)[:MOST_LOOKED_AT]:
                yield item.metadata.key

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
        items = await self._reads.checkpoints(subject.namespace, deadline)
        found = [item for item in items if key_of(item) in unknown]
        return {item.metadata.key: item for item in found[:MOST_LOOKED_AT]}

    async def _expect_policies(self, namespace: str, deadline: float) -> None:
        """(2)."""
        live = await self._reads.policies(namespace, deadline)
        give_up = min(deadline, asyncio.get_running_loop().time() + CATCH_UP_SECONDS)
        while live != self._knowledge.policies.identities(namespace):
            if asyncio.get_running_loop().time() >= give_up:
                raise Stale("the policies have just changed", hint="Try again.")
            await asyncio.sleep(_POLL_SECONDS)
            live = await self._reads.policies(namespace, deadline)

    async def _read(
        self, wanted: Wanted, read: Live, deadline: float, max_age: float = 0.0
    ) -> Live:
        """(3)."""
        reads = self._reads
        claims, volumes, checkpoints = await asyncio.gather(
            _all(wanted.claims, lambda key: reads.claim(key, deadline, max_age)),
            _all(wanted.volumes, lambda name: reads.volume(name, deadline, max_age)),
            _all(wanted.checkpoints, lambda key: reads.checkpoint(key, deadline, max_age)),
        )
        return Live(
            self._cached,
            {**read.claims, **claims},
            {**read.volumes, **volumes},
            {**read.read_checkpoints, **checkpoints},
        )


async def _all(
    names: frozenset[_Name], read: Callable[[_Name], Awaitable[_Found | None]]
) -> Mapping[_Name, _Found | None]:
    ordered = tuple(names)
    found = await asyncio.gather(*(read(name) for name in ordered))
    return dict(zip(ordered, found, strict=True))


def _wanted(subject: Subject, answer: Answer, read: Live) -> Wanted:
    """What the answer hangs on and has not been read."""
    claims = frozenset(_claims(subject))
    items = [item for key in claims if (item := read.claim(key)) is not None]
    volumes = frozenset(item.spec.volumeName for item in items if item.spec.volumeName)
    vouching = frozenset((subject.namespace, each.checkpoint) for each in answer.vouched)
    return Wanted(
        claims - read.claims.keys(),
        volumes - read.volumes.keys(),
        vouching - read.read_checkpoints.keys(),
    )


def _claims(subject: Subject) -> Iterator[Key]:
    for volume in subject.pod.volumes:
        if isinstance(volume.source, sources.ClaimSource):
            yield subject.namespace, volume.source.claim
        elif isinstance(volume.source, sources.ClaimTemplateSource) and subject.uid:
            yield subject.namespace, ephemeral_claim_of(subject, volume)


def _differs(wanted: Wanted, before: Live, after: Live) -> bool:
    """Whether a read found anything but what the cache said."""
    pairs: list[tuple[Item | None, Item | None]] = [
        *((before.claim(key), after.claims[key]) for key in wanted.claims),
        *((before.volume(name), after.volumes[name]) for name in wanted.volumes),
        *((before.checkpoint(key), after.read_checkpoints[key]) for key in wanted.checkpoints),
    ]
    return any(not _equal(*pair) for pair in pairs)


def _equal(one: Item | None, other: Item | None) -> bool:
    if one is None or other is None:
        return one is other
    return is_same(one, other)
