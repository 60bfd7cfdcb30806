"""All that exists only while this replica leads: who knows whom, and in which order it starts.

1. keys, floors and every object are read once; only then is anything decided
2. what flies already has its turn before anybody else is given one
3. watches, workers and chores run until any of them ends
"""

import asyncio
import logging
from collections.abc import Awaitable, Collection
from contextlib import suppress
from functools import partial
from typing import Protocol

from kubernetes.client import ApiClient

from weightlock.policy.composition import Composition
from weightlock_operator import census
from weightlock_operator.acting import Actor
from weightlock_operator.api import features, policyreports, seal_keys
from weightlock_operator.api import restores as restoring
from weightlock_operator.api.cluster import PODS
from weightlock_operator.api.events import Recorder
from weightlock_operator.api.kopf_session import kopf_session
from weightlock_operator.api.rest import RestCluster
from weightlock_operator.api.restores import Epoch
from weightlock_operator.api.versions import Versions
from weightlock_operator.clocks import steady_clock, wall_clock
from weightlock_operator.controller import Controller, party_of
from weightlock_operator.decision.facts import Installation
from weightlock_operator.decision.flights import Flight
from weightlock_operator.decision.needs import totals_of
from weightlock_operator.decision.queue import Running
from weightlock_operator.gathering import Gatherer, Surroundings
from weightlock_operator.health import Health, WatchAges
from weightlock_operator.lobby import Lobby
from weightlock_operator.looking import Looker
from weightlock_operator.metrics import Metrics
from weightlock_operator.pod_reader import PodChange, PodList, PodReader
from weightlock_operator.settings import Settings
from weightlock_operator.store import Store
from weightlock_operator.turns import Turns
from weightlock_operator.upkeep import Upkeep
from weightlock_operator.watch_keeper import WatchKeeper
from weightlock_operator.watching import Resync, kopf_registry, start_kopf
from weightlock_operator.work import WorkQueue

_log = logging.getLogger(__name__)


class Host(Protocol):
    """What leading needs of the process that it happens in."""

    settings: Settings
    client: ApiClient
    metrics: Metrics
    epoch: Epoch
    health: Health
    stopping: asyncio.Event
    not_ready: str

    def hear_signals(self) -> None:
        """Stop on a signal."""
        ...


class Leadership:
    """Everything that exists only while leading."""

    def __init__(self, process: Host, cluster: RestCluster) -> None:
        self._process = process
        self._cluster = cluster
        self._settings = process.settings
        self.ages = WatchAges(steady_clock)
        self.store = Store(wall_clock)
        self.turns = Turns(steady_clock)
        self.queue = WorkQueue(steady_clock, partial(party_of, self.store))
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
        upkeep = self._upkeep(around, controller)
        resync = Resync(self._cluster, controller.take, self.ages.heard)
        watch = WatchKeeper(lambda: self._start_kopf(controller, upkeep), self._process.stopping)
        watch.ended = upkeep.deaf
        resync.missed = watch.is_deaf
        await upkeep.note_restore(self._process.epoch)
        await resync.first()
        self._observe(resync)
        await self._first_pods(controller)
        self._resume_flights(around)
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

    async def _start_kopf(
        self, controller: Controller, upkeep: Upkeep
    ) -> Collection[asyncio.Task[None]]:
        registry = kopf_registry(
            controller.sink,
            lambda: kopf_session(self._process.client),
            lambda resource: upkeep.relisted(resource.plural),
        )
        tasks = await start_kopf(registry, self._process.stopping, self._settings.identity)
        self._process.hear_signals()  # kopf has taken the signals for itself
        return tasks

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
            pods_unheard_seconds=lambda: self.ages.ages()[PODS.plural],
        )
        return Controller(
            self.store,
            self.turns,
            looker=looker,
            lobby=Lobby(self.actor, self.store, self._settings.exempt_namespaces),
            queue=self.queue,
            metrics=self._process.metrics,
        )

    def _upkeep(self, around: Surroundings, controller: Controller) -> Upkeep:
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
        self.versions.risen = controller.floor_risen
        return upkeep

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
            raw = (body.get("status") or {}).get("verification")
            flight = Flight.from_status(raw, uid, around.keys.accepted)
            if flight is not None or self.store.has_job(uid):
                namespace = body["metadata"]["namespace"]
                governing, _ = self.store.governing(namespace)
                totals = totals_of(Composition.of(governing))
                suspended = self.store.is_suspended(uid)
                self.turns.runs(Running(uid, namespace, totals, is_suspended=suspended))

    def _observe(self, resync: Resync) -> None:
        metrics, health = self._process.metrics, self._process.health
        metrics.snapshot = lambda: census.snapshot(self.store)
        metrics.queue_length = lambda: len(self.queue) + len(self.turns)
        metrics.watch_ages = self.ages.ages
        metrics.events_dropped.set_function(lambda: self.recorder.dropped)
        health.must_live("watches", self.ages.wrong)
        health.must_live("resync", resync.wrong)


def installation_of(settings: Settings) -> Installation:
    """What Jobs are made with."""
    return Installation(
        device_image=settings.verifier_image,
        cpu_image=settings.verifier_cpu_image,
        accepted_image_ids=frozenset(settings.verifier_image_ids),
        pull_policy=settings.image_pull_policy.value,
        pull_secrets=settings.image_pull_secrets,
        forbidden_host_paths=settings.forbidden_host_paths,
    )


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
