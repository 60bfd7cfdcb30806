"""All parts of the webhook's process, put together for `__main__`; nothing is decided here."""

import asyncio
import logging
import random
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from weightlock.errors import Unreadable
from weightlock_webhook.arming.keeper import Keeper
from weightlock_webhook.arming.shipped import ShippedFile
from weightlock_webhook.arming.store import ReleaseStore
from weightlock_webhook.cache.knowledge import Knowledge
from weightlock_webhook.cache.transport import Transport
from weightlock_webhook.certificates import tls
from weightlock_webhook.certificates.authority import client_leaf, new_authority
from weightlock_webhook.certificates.serving import OwnLeaf, Serving, service_names
from weightlock_webhook.decision.facts import Allowances
from weightlock_webhook.election import Election
from weightlock_webhook.gathering.gather import Gathering
from weightlock_webhook.gathering.lookups import Cached
from weightlock_webhook.guards.users import Accounts
from weightlock_webhook.judging.clocks import ForwardClock
from weightlock_webhook.judging.confirming import Confirming
from weightlock_webhook.judging.deciding import Deciding
from weightlock_webhook.judging.devices import LiveDevices
from weightlock_webhook.judging.judge import Confirmation, Judging
from weightlock_webhook.judging.remembering import RememberingJudge, RememberingRecords
from weightlock_webhook.live.lanes import MOST_LOOKS, MOST_READS, Lanes
from weightlock_webhook.live.reads import LiveReads
from weightlock_webhook.logs import (
    DecisionLog,
    Lines,
    json_line,
    plain_line,
)
from weightlock_webhook.metrics import Metrics
from weightlock_webhook.mutation.mutation import PodMutation
from weightlock_webhook.requesting.events import RequestedEvents
from weightlock_webhook.reviews.claims import ClaimReviews
from weightlock_webhook.reviews.desk import Desk
from weightlock_webhook.reviews.pods import PodReviews, Rules
from weightlock_webhook.reviews.protected import ProtectedReviews
from weightlock_webhook.reviews.reading import Reading
from weightlock_webhook.reviews.resources import ResourceReviews
from weightlock_webhook.reviews.routes import MUTATE_PODS, SERVED, VALIDATE_PODS
from weightlock_webhook.reviews.waiting import WaitingRoom, most_waiting
from weightlock_webhook.reviews.wiring import handlers
from weightlock_webhook.reviews.workloads import WorkloadReviews
from weightlock_webhook.server.door import Door
from weightlock_webhook.server.gate import Gate, Sightings
from weightlock_webhook.server.health import Health
from weightlock_webhook.server.limits import Limits
from weightlock_webhook.server.listening import http, https
from weightlock_webhook.settings import (
    LogFormat,
    Settings,
    TlsMode,
)
from weightlock_webhook.upkeep import State, Upkeep

log: Final = logging.getLogger(__name__)

Confirmed = Callable[[Confirmation], Confirmation]
"""What may stand before the live reads; a measurement leaves them out."""


def now() -> datetime:
    """The wall clock, read at the edge."""
    return datetime.now(UTC)  # noqa: TID251 the edge


@dataclass(frozen=True, slots=True)
class Process:
    """All the parts, wired."""

    settings: Settings
    metrics: Metrics
    upkeep: Upkeep
    lines: Lines

    @classmethod
    def of(
        cls,
        settings: Settings,
        client: Transport,
        confirmed: Confirmed,
        write: Callable[[bytes], object],
    ) -> "Process":
        """Put everything together."""
        loop = asyncio.get_running_loop()
        metrics, state, lines = Metrics(), State(), Lines(write)
        knowledge = Knowledge(now, loop.time)
        metrics.watch_cache(knowledge)
        events = RequestedEvents(client, Cached(knowledge), now, loop.time)
        parts = Parts(knowledge, metrics, events, state, confirmed)
        desk = _desk(settings, client, parts, lines)
        serving, canary_context = _serving(settings, metrics)
        identity = f"{socket.gethostname()}-{random.getrandbits(32):08x}"
        election = Election(client, settings.namespace, identity, now)
        sightings = Sightings(loop.time)
        keeper = _keeper(settings, client, serving, sightings, election)
        gate = Gate(sightings, keeper.see, state.canary_token, loop.time)
        door = Door(desk, frozenset(SERVED), gate, _limits(settings))
        metrics.in_flight.set_function(lambda: door.in_flight)
        metrics.armed.set_function(lambda: keeper.is_armed)
        metrics.paths_open.set_function(lambda: sightings.are_open)
        metrics.leader.set_function(lambda: election.is_leader)
        upkeep = Upkeep(
            settings,
            client,
            knowledge,
            serving,
            election,
            keeper,
            events,
            door,
            state,
            canary_context,
            now,
        )
        return cls(settings, metrics, upkeep, lines)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """Both listeners, from before anything is known: a probe should be told why.

        What is yielded is the port of the reviews.
        """
        settings, upkeep = self.settings, self.upkeep
        health = Health(upkeep.unready, upkeep.heartbeat.troubles, self.metrics.exposition)
        async with AsyncExitStack() as stack:
            probes = await stack.enter_async_context(http(settings.http_address, health))
            context = upkeep.serving.context
            reviews = await stack.enter_async_context(
                https(settings.listen, upkeep.door, _limits(settings), context)
            )
            log.info("listening: reviews on %s, probes on %s", reviews.port, probes.port)
            if not tls.offers_hybrid():
                log.info("this OpenSSL offers no post-quantum key exchange; 3.5 and later do")
            yield reviews.port


@dataclass(frozen=True, slots=True)
class Parts:
    """What the reviews of pods are made of."""

    knowledge: Knowledge
    metrics: Metrics
    events: RequestedEvents
    state: State
    confirmed: Confirmed


def _desk(settings: Settings, client: Transport, parts: Parts, lines: Lines) -> Desk:
    accounts = Accounts(settings.operator_user, settings.job_managers)
    lanes = Lanes(MOST_READS)
    reading = Reading(client, lanes)
    pods = _pods(settings, client, parts, reading, lanes)
    line_of = json_line if settings.log_format is LogFormat.JSON else plain_line
    return Desk(
        handlers(
            pods,
            ProtectedReviews(reading, accounts),
            ResourceReviews(reading, accounts),
            ClaimReviews(pods.judge, settings.exempt_namespaces),
            WorkloadReviews(pods.judge, settings.exempt_namespaces),
        ),
        DecisionLog(parts.metrics, lines, line_of, parts.state.canary_uid),
        {VALIDATE_PODS: pods.at_once, MUTATE_PODS: pods.at_once},
        WaitingRoom(most_waiting(settings.most_in_flight)),
    )


def _pods(
    settings: Settings, client: Transport, parts: Parts, reading: Reading, lanes: Lanes
) -> PodReviews:
    knowledge = parts.knowledge
    allowances = Allowances(
        settings.exempt_namespaces,
        settings.runtime_classes,
        settings.device_classes,
        settings.harmless_fields,
        settings.without_policy,
        settings.forbidden_host_paths,
    )
    gathering = Gathering(knowledge, allowances, RememberingJudge(), RememberingRecords())
    deciding = Deciding(gathering, ForwardClock(now))
    reads = LiveReads(client, lanes, parts.metrics.live_read)
    looks = LiveReads(client, Lanes(MOST_LOOKS), parts.metrics.live_read)
    confirming = parts.confirmed(Confirming(knowledge, deciding, reads, looks))
    devices = LiveDevices(reads, parts.state.features)
    judge = Judging(knowledge, deciding, confirming, parts.events, allowances, devices)
    mutation = PodMutation(
        knowledge.policies.governing, knowledge, parts.state.features, settings.verifier_image
    )
    accounts = Accounts(settings.operator_user, settings.job_managers)
    rules = Rules(accounts, settings.exempt_namespaces, settings.verifier_images)
    return PodReviews(judge, mutation, reading, rules)


def _keeper(
    settings: Settings,
    client: Transport,
    serving: Serving,
    sightings: Sightings,
    election: Election,
) -> Keeper:
    names = service_names(settings.service, settings.namespace)
    names += tuple(sorted(settings.extra_names))
    return Keeper(
        ReleaseStore(client, settings.namespace),
        ShippedFile(settings.shipped, settings.shipped_annotations),
        OwnLeaf(serving, names) if settings.tls_mode is TlsMode.SELF else None,
        sightings,
        lambda: election.is_leader,
        now,
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        settings.deadline_seconds,
        settings.read_seconds,
        settings.most_in_flight,
        settings.most_connections,
    )


def _serving(settings: Settings, metrics: Metrics) -> tuple[Serving, Callable[[], ssl.SSLContext]]:
    """The listener's context, and a client's that may come in for the canary."""
    own_key = None
    authorities: tuple[str, ...] = ()
    if settings.client_ca is not None:
        try:
            required = settings.client_ca.read_text()
        except OSError as error:
            raise Unreadable(f"cannot read {settings.client_ca}") from error
        # The canary's authority lives in this process only, and signs one certificate.
        own = new_authority(now())
        own_key = client_leaf(own, "weightlock-canary", now())
        authorities = (required, own.certificate)
    serving = Serving(tls.server_context(authorities), metrics)

    def context() -> ssl.SSLContext:
        if serving.pair is None:
            raise Unreadable("no certificate yet")
        return tls.client_context(serving.pair.certificate, own_key, only_leaf=True)

    return serving, context
