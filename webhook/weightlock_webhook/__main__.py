"""The webhook's process: `python -m weightlock_webhook [serve | disarm | arm]`.

Everything is put together here, and nothing is decided here.
"""

import argparse
import asyncio
import gc
import logging
import random
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import uvloop

from weightlock.errors import Unreadable, WeightlockError
from weightlock_webhook.arming.disarming import arm, disarm
from weightlock_webhook.arming.keeper import Keeper
from weightlock_webhook.arming.shipped import ShippedFile
from weightlock_webhook.arming.store import ReleaseStore
from weightlock_webhook.cache.access import access_of
from weightlock_webhook.cache.client import connected
from weightlock_webhook.cache.features import Features, discovered
from weightlock_webhook.cache.knowledge import Knowledge, watch
from weightlock_webhook.cache.transport import Transport
from weightlock_webhook.certificates import tls
from weightlock_webhook.certificates.authority import client_leaf, new_authority
from weightlock_webhook.certificates.serving import Files, OwnLeaf, Serving, service_names
from weightlock_webhook.decision.facts import Allowances
from weightlock_webhook.election import Election
from weightlock_webhook.gathering.gather import Gathering
from weightlock_webhook.gathering.lookups import Cached
from weightlock_webhook.guards.users import Accounts
from weightlock_webhook.judging.clocks import ForwardClock
from weightlock_webhook.judging.confirming import Confirming
from weightlock_webhook.judging.deciding import Deciding
from weightlock_webhook.judging.judge import Confirmation, Judging
from weightlock_webhook.judging.remembering import RememberingJudge, RememberingRecords
from weightlock_webhook.live.reads import LiveReads
from weightlock_webhook.logs import (
    DecisionLog,
    JsonLines,
    Lines,
    PlainLines,
    configure,
    json_line,
    plain_line,
)
from weightlock_webhook.metrics import Metrics
from weightlock_webhook.mutation.mutation import PodMutation
from weightlock_webhook.requesting.events import RequestedEvents
from weightlock_webhook.reviews.desk import Desk
from weightlock_webhook.reviews.pods import PodReviews, Rules
from weightlock_webhook.reviews.protected import ProtectedReviews
from weightlock_webhook.reviews.reading import Reading
from weightlock_webhook.reviews.resources import ResourceReviews
from weightlock_webhook.reviews.routes import SERVED
from weightlock_webhook.reviews.wiring import handlers
from weightlock_webhook.reviews.workloads import WorkloadReviews
from weightlock_webhook.server.canary import Canary
from weightlock_webhook.server.door import Door
from weightlock_webhook.server.health import Health
from weightlock_webhook.server.heartbeat import Heartbeat
from weightlock_webhook.server.limits import Limits
from weightlock_webhook.server.listening import drain, http, https
from weightlock_webhook.settings import (
    LogFormat,
    Settings,
    TlsMode,
    described,
    environment,
)

POLL_FILES_SECONDS: Final = 10.0
FEATURES_SECONDS: Final = 600.0
CANARY_SECONDS: Final = 30.0
RETRY_SECONDS: Final = 1.0
SYNC_POLL_SECONDS: Final = 0.05
EXIT_FAILURE: Final = 1
EXIT_USAGE: Final = 2

YOUNG_OBJECTS: Final = 50_000
"""Allocations between two collections of the youngest: a review makes some hundred objects, nearly
all of which are freed by counting references."""

log: Final = logging.getLogger("weightlock_webhook")

Job = Callable[[], Coroutine[Any, Any, None]]
Confirmed = Callable[[Confirmation], Confirmation]


def now() -> datetime:
    """The wall clock, read at the edge."""
    return datetime.now(UTC)  # noqa: TID251 the edge


def written(lines: bytes) -> None:
    """Write decisions to standard error."""
    sys.stderr.buffer.write(lines)
    sys.stderr.buffer.flush()


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m weightlock_webhook",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=__doc__,
        epilog=f"Settings are environment variables:\n{described()}",
    )
    parser.add_argument(
        "command",
        nargs="?",
        choices=COMMANDS,
        default="serve",
        help="serve reviews; disarm: remove both webhook configurations for good, before an"
        " uninstall; arm: undo that",
    )
    command = parser.parse_args(words).command
    try:
        settings = Settings.from_environ()
    except WeightlockError as error:
        sys.stderr.write(f"{error.message} {error.hint}\n")
        return EXIT_USAGE
    configure(JsonLines() if settings.log_format is LogFormat.JSON else PlainLines())
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(COMMANDS[command](settings))
    except WeightlockError as error:
        log.error("%s %s", error.message, error.hint)
        return EXIT_FAILURE
    return 0


async def run_disarm(settings: Settings) -> None:
    """What an uninstall runs first."""
    async with connected(access_of(settings.kubeconfig, environment())) as client:
        await disarm(ReleaseStore(client, settings.namespace), settings.release)


async def run_arm(settings: Settings) -> None:
    """Undo a disarm without installing anew."""
    async with connected(access_of(settings.kubeconfig, environment())) as client:
        await arm(ReleaseStore(client, settings.namespace))


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain."""
    async with connected(access_of(settings.kubeconfig, environment())) as client:
        await serve_with(settings, client)


async def serve_with(
    settings: Settings, transport: Transport, confirmed: Confirmed = lambda real: real
) -> None:
    """The same over any way to an API server; a measurement may leave out the live reads."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    process = Process.of(settings, transport, confirmed)
    async with process.listening(), asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(job()) for job in process.jobs()]
        await stop.wait()
        log.info("draining for %s s", settings.drain_seconds)
        await process.leave(settings.drain_seconds)
        for task in running:
            task.cancel()


@dataclass(slots=True)
class State:
    """What changes while the process runs, and readiness looks at."""

    features: Features | None = None
    was_refused: bool = False
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Process:
    """All the parts, wired."""

    settings: Settings
    client: Transport
    knowledge: Knowledge
    metrics: Metrics
    serving: Serving
    election: Election
    keeper: Keeper
    events: RequestedEvents
    door: Door
    canary_context: Callable[[], ssl.SSLContext]
    lines: Lines
    heartbeat: Heartbeat = field(default_factory=Heartbeat)
    state: State = field(default_factory=State)
    ports: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls, settings: Settings, client: Transport, confirmed: Confirmed = lambda real: real
    ) -> "Process":
        """Put everything together."""
        loop = asyncio.get_running_loop()
        clock, metrics, state = ForwardClock(now), Metrics(), State()
        knowledge = Knowledge(now, loop.time)
        metrics.watch_cache(knowledge)
        events = RequestedEvents(client, Cached(knowledge), now, loop.time)
        parts = Parts(knowledge, metrics, events, clock, state, confirmed)
        pods = _pods(settings, client, parts)
        accounts = Accounts(settings.operator_user, settings.job_managers)
        reading = Reading(client)
        lines = Lines(written)
        desk = Desk(
            handlers(
                pods,
                ProtectedReviews(reading, accounts),
                ResourceReviews(reading, accounts),
                WorkloadReviews(pods.judge, settings.exempt_namespaces),
            ),
            DecisionLog(
                metrics,
                lines,
                json_line if settings.log_format is LogFormat.JSON else plain_line,
            ),
        )
        door = Door(desk, frozenset(SERVED), _limits(settings), metrics.in_flight.set)
        serving, canary_context = _serving(settings, metrics)
        identity = f"{socket.gethostname()}-{random.getrandbits(32):08x}"
        election = Election(client, settings.namespace, identity, now)
        names = service_names(settings.service, settings.namespace)
        names += tuple(sorted(settings.extra_names))
        own_leaf = OwnLeaf(serving, names) if settings.tls_mode is TlsMode.SELF else None
        keeper = Keeper(
            ReleaseStore(client, settings.namespace),
            ShippedFile(settings.shipped),
            own_leaf,
            lambda: election.is_leader,
            now,
        )
        metrics.armed.set_function(lambda: keeper.is_armed)
        metrics.leader.set_function(lambda: election.is_leader)
        return cls(
            settings,
            client,
            knowledge,
            metrics,
            serving,
            election,
            keeper,
            events,
            door,
            canary_context,
            lines,
            state=state,
        )

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Both listeners, from before anything is known: a probe should be told why."""
        settings = self.settings
        health = Health(self.unready, self.heartbeat.troubles, self.metrics.exposition)
        async with AsyncExitStack() as stack:
            probes = await stack.enter_async_context(http(settings.http_address, health))
            reviews = await stack.enter_async_context(
                https(settings.listen, self.door, _limits(settings), self.serving.context)
            )
            self.ports.update(http=probes.port, https=reviews.port)
            log.info("listening: reviews on %s, probes on %s", reviews.port, probes.port)
            if not tls.offers_hybrid():
                log.info("this OpenSSL offers no post-quantum key exchange; 3.5 and later do")
            yield

    def jobs(self) -> Sequence[Job]:
        """What runs beside the listeners; if any of it fails, the process ends."""
        found: list[Job] = [
            lambda: watch(self.knowledge, self.client, self.settings.namespace, random.random),
            self.events.run,
            self.election.run,
            self.keeper.run,
            self.heartbeat.run,
            self._freeze_when_synced,
            self._discover,
            self._sing,
        ]
        if self.settings.tls_mode is TlsMode.FILES:
            found.append(self._follow_files)
        return found

    def unready(self) -> Sequence[str]:
        """What keeps this replica from being asked."""
        found = []
        if self.door.is_draining:
            found.append("draining")
        try:
            self.knowledge.expect_fresh()
        except WeightlockError as error:
            found.append(error.message)
        if self.state.features is None:
            found.append("the API server's version is not known yet")
        found += self.serving.troubles(now(), self.keeper.bundles)
        if not self.state.was_refused:
            found.append(f"the canary was not refused yet: {self.state.trouble}")
        return found

    async def leave(self, seconds: float) -> None:
        """Hand over, and answer for a while."""
        try:
            await self.election.resign()
        except WeightlockError as error:
            log.warning("the Lease could not be given up: %s", error.message)
        await drain(self.door, seconds)
        self.lines.flush()

    async def _freeze_when_synced(self) -> None:
        """Keep the collector from walking through all that is known, again and again.

        With some ten thousand objects a full collection stops every answer for half a second.
        """
        while not self.knowledge.is_synced:
            await asyncio.sleep(SYNC_POLL_SECONDS)
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG_OBJECTS, 20, 50)
        log.info("synced: %s", dict(self.knowledge.counts()))

    async def _discover(self) -> None:
        while True:
            try:
                self.state.features = await discovered(self.client)
            except WeightlockError as error:
                log.warning("%s", error.message)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            await asyncio.sleep(FEATURES_SECONDS)

    async def _sing(self) -> None:
        name = service_names(self.settings.service, self.settings.namespace)[0]
        while True:
            try:
                await Canary(self.ports["https"], name, self.canary_context()).sing()
                self.state.was_refused, self.state.trouble = True, ""
            except WeightlockError as error:
                self.state.was_refused, self.state.trouble = False, error.message
            await asyncio.sleep(CANARY_SECONDS if self.state.was_refused else RETRY_SECONDS)

    async def _follow_files(self) -> None:
        files = Files(self.serving, self.settings.tls_dir)
        while True:
            try:
                files.keep()
            except WeightlockError as error:
                log.warning("%s", error.message)
            await asyncio.sleep(POLL_FILES_SECONDS if self.serving.pair else RETRY_SECONDS)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the reviews of pods are made of."""

    knowledge: Knowledge
    metrics: Metrics
    events: RequestedEvents
    clock: ForwardClock
    state: State
    confirmed: Confirmed


def _pods(settings: Settings, client: Transport, parts: Parts) -> PodReviews:
    knowledge, state = parts.knowledge, parts.state
    allowances = Allowances(
        settings.exempt_namespaces,
        settings.runtime_classes,
        settings.device_classes,
        settings.harmless_fields,
        settings.without_policy,
    )
    gathering = Gathering(knowledge, allowances, RememberingJudge(), RememberingRecords())
    reads = LiveReads(client, parts.metrics.live_read)
    deciding = Deciding(gathering, parts.clock)
    confirming = Confirming(knowledge, deciding, reads)
    judge = Judging(knowledge, deciding, parts.confirmed(confirming), parts.events, allowances)

    def features() -> Features:
        if state.features is None:
            raise Unreadable("the API server's version is not known yet")
        return state.features

    mutation = PodMutation(
        knowledge.policies.governing, knowledge, features, settings.verifier_image
    )
    accounts = Accounts(settings.operator_user, settings.job_managers)
    rules = Rules(accounts, settings.exempt_namespaces, settings.verifier_images)
    return PodReviews(judge, mutation, Reading(client), rules)


def _limits(settings: Settings) -> Limits:
    return Limits(
        settings.deadline_seconds,
        settings.read_seconds,
        settings.most_in_flight,
        settings.most_connections,
    )


def _serving(settings: Settings, metrics: Metrics) -> tuple[Serving, Callable[[], ssl.SSLContext]]:
    """The listener's context, and a client's that may come in for the canary."""
    door_key = None
    authorities: tuple[str, ...] = ()
    if settings.client_ca is not None:
        try:
            required = settings.client_ca.read_text()
        except OSError as error:
            raise Unreadable(f"cannot read {settings.client_ca}") from error
        # The canary's authority lives in this process only, and signs one certificate.
        own = new_authority(now())
        door_key = client_leaf(own, "weightlock-canary", now())
        authorities = (required, own.certificate)
    serving = Serving(tls.server_context(authorities), metrics)

    def context() -> ssl.SSLContext:
        if serving.pair is None:
            raise Unreadable("no certificate yet")
        return tls.client_context(serving.pair.certificate, door_key, only_leaf=True)

    return serving, context


COMMANDS: Final[dict[str, Callable[[Settings], Coroutine[Any, Any, None]]]] = {
    "serve": serve,
    "disarm": run_disarm,
    "arm": run_arm,
}

if __name__ == "__main__":
    sys.exit(main())
