"""The whole process, put together: who exists, who knows whom, what starts when and ends how.

1. /metrics, /healthz and /readyz answer
2. the rights are complete and the custom resources served; until then not ready, and it says why
3. the Lease is held; the replica that does not hold it is ready and waits
4. keys, floors and every object are read once; only then is anything decided
5. watches, workers and chores run until a signal comes, or anything of it ends

Whatever ends it, nothing is written any more before the Lease is given back, and without the Lease
the process ends at once.
"""

import asyncio
import importlib.metadata
import logging
import os
import secrets
import signal
import sys
import time
from collections.abc import Awaitable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NoReturn

import kopf
from kubernetes.client import ApiClient

from weightlock.cluster_names import OPERATOR_ACCOUNT
from weightlock.errors import WeightlockError
from weightlock.names import API_GROUP
from weightlock_operator import census, http
from weightlock_operator.acting import Actor
from weightlock_operator.api import features, permissions, policyreports, seal_keys
from weightlock_operator.api import restores as restoring
from weightlock_operator.api.cluster import CHECKPOINTS, CLUSTER_POLICIES, POLICIES
from weightlock_operator.api.cluster_errors import ClusterTrouble, NotFound
from weightlock_operator.api.connecting import api_client, kopf_connection, thread_pool
from weightlock_operator.api.events import Recorder
from weightlock_operator.api.leader import Candidate, Election, LeaseFence
from weightlock_operator.api.rest import RestCluster, Unfenced
from weightlock_operator.api.restores import Epoch
from weightlock_operator.api.versions import Versions
from weightlock_operator.controller import Controller
from weightlock_operator.decision.facts import Installation
from weightlock_operator.decision.flights import Flight
from weightlock_operator.gathering import Gatherer, Surroundings
from weightlock_operator.health import Health, LoopWatch, WatchAges
from weightlock_operator.lobby import Lobby
from weightlock_operator.looking import Looker
from weightlock_operator.metrics import Metrics
from weightlock_operator.pod_reader import PodChange, PodList, PodReader
from weightlock_operator.settings import Settings
from weightlock_operator.store import Store
from weightlock_operator.turns import Turns
from weightlock_operator.upkeep import Upkeep
from weightlock_operator.watching import Resync, Watch, kopf_registry, kopf_settings
from weightlock_operator.work import WorkQueue

ASK_AGAIN_SECONDS: Final = 5.0
LEASE_SILENCE_SECONDS: Final = 30.0
DRAIN_SECONDS: Final = 5.0
LEASE_THREADS: Final = 2
TAKE_BACK_SECONDS: Final = 1.0
EPOCH_FILE: Final = "highest-version.json"

EXIT_STOPPED: Final = 0
EXIT_LOST: Final = 1
"""The Lease was lost, or a part that must run ended: start anew."""

_log = logging.getLogger(__name__)


def steady_clock() -> float:
    """Seconds that also pass while the process is stopped and the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def wall_clock() -> datetime:
    """Now."""
    return datetime.now(UTC)  # noqa: TID251 - the edge where the clock is read


@dataclass(slots=True)
class Process:
    """One run of the operator."""

    settings: Settings
    client: ApiClient
    metrics: Metrics
    epoch: Epoch
    health: Health = field(default_factory=Health)
    threads: ThreadPoolExecutor = field(default_factory=thread_pool)
    lease_threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(LEASE_THREADS, thread_name_prefix="lease")
    )
    fence: LeaseFence = field(default_factory=lambda: LeaseFence(steady_clock))
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    not_ready: str = "starting"

    async def run(self) -> NoReturn:
        """Run until told to stop, then end the process."""
        self.hear_signals()
        lag = LoopWatch(steady_clock)
        self.health.must_live("loop", lag.wrong)
        self.health.must_hold("start", lambda: self.not_ready)
        app = http.application(self.health, self.metrics.exposition)
        runner, port = await http.serve(app, self.settings.http_host, self.settings.http_port)
        _log.info("listening on port %d", port)
        lagging = asyncio.create_task(lag.run())
        code = EXIT_LOST
        try:
            code = await self._run()
        except Exception:
            _log.exception("ending")
        lagging.cancel()
        await runner.cleanup()
        # kopf takes seconds to end. It writes nothing, so nobody has to wait for it.
        _exit_now(code)

    def hear_signals(self) -> None:
        """Stop on a signal."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)

    async def _run(self) -> int:
        unfenced = RestCluster(
            self.client,
            threads=self.threads,
            fence=Unfenced(),
            count=self.metrics.count_request,
        )
        if not await self._unless_stopped(self._wait_until_usable(unfenced)):
            return EXIT_STOPPED
        election = Election(
            RestCluster(self.client, threads=self.lease_threads, fence=Unfenced()),
            Candidate(
                self.settings.namespace,
                OPERATOR_ACCOUNT,
                f"{self.settings.identity}_{secrets.token_hex(4)}",
            ),
            clock=steady_clock,
            wall=wall_clock,
            fence=self.fence,
        )
        election.heard = self.epoch.hear
        self.not_ready = ""
        self.health.must_hold("lease", lambda: _lease_silence(election))
        _log.info("waiting for the Lease")
        if not await self._unless_stopped(election.acquire()):
            return EXIT_STOPPED
        self.metrics.leader.set(1)
        return await self._lead(election, unfenced.fenced(self.fence))

    async def _lead(self, election: Election, cluster: RestCluster) -> int:
        self.not_ready = "reading the cluster for the first time"
        holding = asyncio.create_task(election.hold(), name="lease")
        leading = asyncio.create_task(Leadership(self, cluster).run(), name="leading")
        stopping = asyncio.create_task(self.stopping.wait(), name="signal")
        await asyncio.wait({holding, leading, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if holding.done():
            _exit_now(EXIT_LOST)
        self.fence.lost()
        if leading.done():
            await _tell_failure(leading)
        stopped = self.stopping.is_set()
        leading.cancel()
        holding.cancel()
        stopping.cancel()
        await _drain(self.threads)
        await election.release()
        return EXIT_STOPPED if stopped else EXIT_LOST

    async def _wait_until_usable(self, cluster: RestCluster) -> None:
        while True:
            try:
                wrong = await self._unusable(cluster)
            except ClusterTrouble as trouble:
                wrong = trouble.message
            if not wrong:
                return
            if wrong != self.not_ready:
                _log.error("not ready: %s", wrong)
            self.not_ready = wrong
            await asyncio.sleep(ASK_AGAIN_SECONDS)

    async def _unusable(self, cluster: RestCluster) -> str:
        """What keeps the operator from working here, in one sentence."""
        missing = await permissions.missing(cluster, self.settings.namespace)
        for question in missing:
            if question.optional:
                _log.warning("no right to %s; it is done without", question)
        needed = [str(question) for question in missing if not question.optional]
        if needed:
            return f"the account may not {'; '.join(needed)}. Apply the role of this version"
        try:
            document = await cluster.document(f"/apis/{CHECKPOINTS.api_version}")
        except NotFound:
            document = {}
        served = {each.get("name") for each in document.get("resources") or []}
        absent = [
            each.plural
            for each in (CHECKPOINTS, POLICIES, CLUSTER_POLICIES)
            if each.plural not in served
        ]
        return f"not served: {', '.join(absent)} of {API_GROUP}; apply crds/" if absent else ""

    async def _unless_stopped(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do it, unless a signal comes first."""
        doing = asyncio.create_task(work)
        stopping = asyncio.create_task(self.stopping.wait())
        await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            doing.cancel()
            return False
        stopping.cancel()
        doing.result()
        return True


class Leadership:
    """Everything that exists only while leading."""

    def __init__(self, process: Process, cluster: RestCluster) -> None:
        self._process = process
        self._cluster = cluster
        self._settings = process.settings
        self.ages = WatchAges(steady_clock)
        self.store = Store(wall_clock)
        self.turns = Turns(steady_clock)
        self.queue = WorkQueue(steady_clock)
        self.versions = Versions(cluster, self._settings.namespace)
        self.recorder = Recorder(
            cluster, instance=self._settings.identity, clock=steady_clock, wall=wall_clock
        )
        self.actor = Actor(cluster, self.versions, self.recorder, wall_clock)

    async def run(self) -> None:
        """Lead until something ends.

        Raises:
            Exception: whatever ended it.
        """
        around = await self._surroundings()
        await self.versions.load()
        controller = self._controller(around)
        upkeep = Upkeep(
            self._cluster,
            self.store,
            namespace=self._settings.namespace,
            controller=controller,
            surroundings=around,
            versions=self.versions,
        )
        controller.changed = upkeep.verdicts_changed
        controller.policies_changed = upkeep.policies_changed
        controller.heard = self.ages.heard
        resync = Resync(self._cluster, controller.take, self.ages.heard)
        watch = Watch(lambda: self._kopf(controller, upkeep), self._process.stopping)
        watch.ended = upkeep.deaf
        resync.missed = watch.is_deaf
        await upkeep.note_restore(self._process.epoch)
        await resync.first()
        await self._first_pods(controller)
        self._resume_flights(around)
        self._observe(resync)
        reporter = policyreports.Reporter(self._cluster, await policyreports.served(self._cluster))
        _log.info("leading over %d checkpoints", len(self.store.checkpoints))
        self._process.not_ready = ""
        await _until_one_ends(
            watch.keep(),
            self.recorder.run(),
            controller.order_turns(),
            upkeep.keep_state(),
            upkeep.watch_epoch(self._process.epoch),
            upkeep.keep_policies(),
            upkeep.keep_reports(reporter),
            upkeep.keep_in_step(resync),
            *(controller.work() for _ in range(self._settings.workers)),
        )

    async def _kopf(self, controller: Controller, upkeep: Upkeep) -> None:
        registry = kopf_registry(
            controller.sink,
            lambda: kopf_connection(self._process.client),
            lambda resource: upkeep.relisted(resource.plural),
        )
        # kopf takes the signals for itself when it starts; a moment later they are taken back.
        asyncio.get_running_loop().call_later(TAKE_BACK_SECONDS, self._process.hear_signals)
        try:
            await kopf.operator(
                registry=registry,
                settings=kopf_settings(),
                clusterwide=True,
                standalone=True,
                stop_flag=self._process.stopping,
                # Or kopf asks who the user is, which has no name in the image; its type, a NewType
                # of str, is not exported.
                identity=self._settings.identity,  # type: ignore[arg-type]
            )
        finally:
            self._process.hear_signals()

    async def _surroundings(self) -> Surroundings:
        namespace = self._settings.namespace
        return Surroundings(
            installation=installation_of(self._settings),
            exempt=self._settings.exempt_namespaces,
            features=await features.server_features(self._cluster, namespace),
            keys=await seal_keys.ensure(self._cluster, namespace, wall_clock()),
            restored_at=await restoring.restored_at(self._cluster, namespace),
        )

    def _controller(self, around: Surroundings) -> Controller:
        gatherer = Gatherer(
            self._cluster,
            self.store,
            turns=self.turns,
            versions=self.versions,
            surroundings=around,
        )
        looker = Looker(
            gatherer,
            self.actor,
            store=self.store,
            turns=self.turns,
            metrics=self._process.metrics,
        )
        return Controller(
            self.store,
            self.turns,
            looker=looker,
            lobby=Lobby(self.actor, self.store, self._settings.exempt_namespaces),
            queue=self.queue,
            metrics=self._process.metrics,
        )

    async def _first_pods(self, controller: Controller) -> None:
        """Start the reader of pods and wait for its first list."""
        loop = asyncio.get_running_loop()
        listed = asyncio.Event()

        def take(change: PodChange | PodList | None) -> None:
            controller.take_pods(change)
            if isinstance(change, PodList):
                listed.set()

        def deliver(change: PodChange | PodList | None) -> None:
            with suppress(RuntimeError):  # the loop has ended, and so will this thread
                loop.call_soon_threadsafe(take, change)

        self.ages.expect("pods")
        PodReader(self._cluster.open_path, deliver).start()
        await listed.wait()

    def _resume_flights(self, around: Surroundings) -> None:
        """What flies already has its turn, before anybody else is given one."""
        for uid, body in self.store.checkpoints.items():
            status = body.get("status") or {}
            if "verification" in status:
                flight = Flight.from_status(status["verification"], uid, around.keys.accepted)
                if flight is not None:
                    self.turns.runs(uid, body["metadata"]["namespace"])

    def _observe(self, resync: Resync) -> None:
        metrics, health = self._process.metrics, self._process.health
        metrics.snapshot = lambda: census.snapshot(self.store)
        metrics.queue_length = lambda: len(self.queue) + len(self.turns)
        metrics.watch_ages = self.ages.ages
        metrics.events_dropped.set_function(lambda: self.recorder.dropped)
        health.must_live("watches", self.ages.wrong)
        health.must_live("resync", resync.wrong)


def epoch_of(settings: Settings) -> Epoch:
    """What this replica has seen, kept where the settings say."""
    return Epoch(Path(settings.state_dir) / EPOCH_FILE if settings.state_dir else None)


def installation_of(settings: Settings) -> Installation:
    """What Jobs are made with."""
    return Installation(
        device_image=settings.verifier_image,
        cpu_image=settings.verifier_cpu_image,
        accepted_image_ids=frozenset(settings.verifier_image_ids),
        pull_policy=settings.image_pull_policy.value,
        pull_secrets=settings.image_pull_secrets,
    )


def main(settings: Settings) -> int:
    """Run the operator; returns the exit code."""
    try:
        client = api_client(settings)
    except WeightlockError as error:
        _log.error("%s", error.message)
        return EXIT_LOST
    metrics = Metrics(importlib.metadata.version("weightlock"))

    async def run() -> None:
        await Process(settings, client, metrics, epoch_of(settings)).run()

    asyncio.run(run())
    return EXIT_LOST


async def _until_one_ends(*work: Awaitable[None]) -> None:
    """Run side by side; the first that ends ends all.

    Raises:
        Exception: whatever it ended with.
    """
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _tell_failure(leading: asyncio.Task[None]) -> None:
    try:
        await leading
    except WeightlockError as error:
        _log.error("leading ended: %s", error.message)
    except Exception:
        _log.exception("leading ended")


async def _drain(threads: ThreadPoolExecutor) -> None:
    """Let what is being written be written, before somebody else may lead."""
    threads.shutdown(wait=False, cancel_futures=True)
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            await asyncio.to_thread(threads.shutdown)


def _lease_silence(election: Election) -> str:
    answered_at = election.answered_at
    silent = answered_at is None or steady_clock() - answered_at > LEASE_SILENCE_SECONDS
    return "the API server does not answer about the Lease" if silent else ""


def _exit_now(code: int) -> NoReturn:
    """End without waiting for threads: they may hang in a request that never ends."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
