"""The parts that answer for pods, put together as the process does, over any API server."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from weightlock_webhook.cache.features import Features
from weightlock_webhook.cache.knowledge import Knowledge, watch
from weightlock_webhook.cache.reflector import Patience
from weightlock_webhook.cache.transport import Transport
from weightlock_webhook.decision.facts import Allowances
from weightlock_webhook.gathering.gather import Gathering
from weightlock_webhook.gathering.lookups import Cached
from weightlock_webhook.judging.clocks import ForwardClock
from weightlock_webhook.judging.confirming import Confirming
from weightlock_webhook.judging.deciding import Deciding
from weightlock_webhook.judging.devices import LiveDevices
from weightlock_webhook.judging.judge import Judging
from weightlock_webhook.judging.remembering import RememberingJudge, RememberingRecords
from weightlock_webhook.live.lanes import MOST_LOOKS, MOST_READS, Lanes
from weightlock_webhook.live.reads import LiveReads
from weightlock_webhook.mutation.mutation import PodMutation
from weightlock_webhook.requesting.events import RequestedEvents

NO_FEATURES = Features(frozenset(), frozenset())


@dataclass(frozen=True, slots=True)
class Installation:
    """What this installation says of itself."""

    namespace: str
    allowances: Allowances
    verifier_image: str = ""
    features: Features = NO_FEATURES


@dataclass(frozen=True, slots=True)
class Edges:
    """The clocks and dice that only the edge of the process may reach for."""

    wall_clock: Callable[[], datetime]
    steady_clock: Callable[[], float]
    jitter: Callable[[], float]
    observed: Callable[[str, str], None] = lambda *_: None
    """Hears the resource and the result of each live read."""


@dataclass(frozen=True, slots=True)
class Assembled:
    """What reviews are given, and what has to run beside them."""

    knowledge: Knowledge
    judge: Judging
    mutation: PodMutation
    requests: RequestedEvents
    _installation: Installation
    _edges: Edges
    _transport: Transport

    async def run(self, patience: Patience | None = None) -> None:
        """Keep everything current until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.requests.run(), name="requests")
            tasks.create_task(
                watch(
                    self.knowledge,
                    self._transport,
                    self._installation.namespace,
                    self._edges.jitter,
                    patience,
                ),
                name="watches",
            )


def assembled(transport: Transport, installation: Installation, edges: Edges) -> Assembled:
    """Put the parts together; nothing runs yet."""
    clock = ForwardClock(edges.wall_clock)
    knowledge = Knowledge(clock, edges.steady_clock)
    gathering = Gathering(
        knowledge, installation.allowances, RememberingJudge(), RememberingRecords()
    )
    reads = LiveReads(transport, Lanes(MOST_READS), edges.observed)
    looks = LiveReads(transport, Lanes(MOST_LOOKS), edges.observed)
    requests = RequestedEvents(transport, Cached(knowledge), clock, edges.steady_clock)
    deciding = Deciding(gathering, clock)
    judging = Judging(
        knowledge,
        deciding,
        Confirming(knowledge, deciding, reads, looks),
        requests,
        installation.allowances,
        LiveDevices(reads, lambda: installation.features),
    )
    mutation = PodMutation(
        knowledge.policies.governing,
        knowledge,
        lambda: installation.features,
        installation.verifier_image,
    )
    return Assembled(knowledge, judging, mutation, requests, installation, edges, transport)
