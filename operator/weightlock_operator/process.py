"""The whole process, put together: who exists, who knows whom, what starts when and ends how.

1. /metrics, /healthz and /readyz answer
2. the rights are complete and the custom resources served; until then not ready, and it says why
3. the Lease is held; the replica that does not hold it is ready and waits
4. it leads (weightlock_operator.leadership) until a signal comes, or anything of it ends

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
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

from kubernetes.client import ApiClient

from weightlock.cluster_names import OPERATOR_ACCOUNT
from weightlock.errors import WeightlockError
from weightlock_operator import http
from weightlock_operator.api.cluster_errors import ClusterTrouble
from weightlock_operator.api.connecting import api_client, thread_pool
from weightlock_operator.api.leader import Candidate, Election, LeaseFence
from weightlock_operator.api.rest import RestCluster, Unfenced
from weightlock_operator.api.restores import Epoch
from weightlock_operator.clocks import steady_clock, wall_clock
from weightlock_operator.health import Health, LoopWatch
from weightlock_operator.leadership import Leadership
from weightlock_operator.metrics import Metrics
from weightlock_operator.readiness import unusable
from weightlock_operator.settings import Settings

ASK_AGAIN_SECONDS: Final = 5.0
LEASE_SILENCE_SECONDS: Final = 30.0
DRAIN_SECONDS: Final = 5.0
LEASE_THREADS: Final = 2
EPOCH_FILE: Final = "highest-version.json"

EXIT_STOPPED: Final = 0
EXIT_LOST: Final = 1
"""The Lease was lost, or a part that must run ended: start anew."""

_log = logging.getLogger(__name__)


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
                wrong = await unusable(cluster, self.settings.namespace)
            except ClusterTrouble as trouble:
                wrong = trouble.message
            if not wrong:
                return
            if wrong != self.not_ready:
                _log.error("not ready: %s", wrong)
            self.not_ready = wrong
            await asyncio.sleep(ASK_AGAIN_SECONDS)

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


def epoch_of(settings: Settings) -> Epoch:
    """What this replica has seen, kept where the settings say."""
    return Epoch(Path(settings.state_dir) / EPOCH_FILE if settings.state_dir else None)


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
