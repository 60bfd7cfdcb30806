"""What runs beside the listeners, and what it says of the process: readiness.

Each job runs until it is cancelled; one that ends by itself ends the process, which is then started
anew, and never one that answers from frozen knowledge.
"""

import asyncio
import gc
import logging
import random
import ssl
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from weightlock.errors import Unreadable, WeightlockError
from weightlock_webhook.arming.keeper import Keeper
from weightlock_webhook.cache.features import Features, discovered
from weightlock_webhook.cache.knowledge import Knowledge, watch
from weightlock_webhook.cache.transport import Transport
from weightlock_webhook.certificates.serving import Files, Serving, service_names
from weightlock_webhook.election import Election
from weightlock_webhook.requesting.events import RequestedEvents
from weightlock_webhook.server.canary import Canary, new_token, new_uid
from weightlock_webhook.server.door import Door
from weightlock_webhook.server.heartbeat import Heartbeat
from weightlock_webhook.server.listening import drain
from weightlock_webhook.settings import Settings, TlsMode

POLL_FILES_SECONDS: Final = 10.0
FEATURES_SECONDS: Final = 600.0
"""How long it may take to notice that the API server was upgraded."""

CANARY_SECONDS: Final = 30.0
RETRY_SECONDS: Final = 1.0
SYNC_POLL_SECONDS: Final = 0.05

YOUNG_OBJECTS: Final = 5_000
"""Allocations between two collections of the youngest. More are fewer collections, but what waits
for one pushes everything else out of the processor's caches: 50,000 cost a tenth of the rate."""

Job = Callable[[], Coroutine[Any, Any, None]]

log: Final = logging.getLogger("weightlock_webhook")


@dataclass(slots=True)
class State:
    """What changes while the process runs, and readiness looks at."""

    known_features: Features | None = None
    was_refused: bool = False
    trouble: str = ""
    canary_uid: str = field(default_factory=new_uid)
    canary_token: str = field(default_factory=new_token)

    def features(self) -> Features:
        """What the API server knows.

        Raises:
            Unreadable: before it has said so.
        """
        if self.known_features is None:
            raise Unreadable("the API server's version is not known yet")
        return self.known_features


@dataclass(frozen=True, slots=True)
class Upkeep:
    """The jobs of one process, over its parts."""

    settings: Settings
    client: Transport
    knowledge: Knowledge
    serving: Serving
    election: Election
    keeper: Keeper
    events: RequestedEvents
    door: Door
    state: State
    canary_context: Callable[[], ssl.SSLContext]
    now: Callable[[], datetime]
    heartbeat: Heartbeat = field(default_factory=Heartbeat)

    def jobs(self, port: int) -> Sequence[Job]:
        """All of them; `port` is where the reviews are answered."""
        namespace = self.settings.namespace
        found: list[Job] = [
            lambda: watch(self.knowledge, self.client, namespace, random.random),
            lambda: self._sing(port),
            self.events.run,
            self.election.run,
            self.keeper.run,
            self.heartbeat.run,
            self._freeze_when_synced,
            self._discover,
        ]
        if self.settings.tls_mode is TlsMode.FILES:
            found.append(self._follow_files)
        return found

    def unready(self) -> Sequence[str]:
        """What keeps this replica from being asked."""
        found = ["draining"] if self.door.is_draining else []
        for known in (self.knowledge.expect_ready, self.state.features):
            try:
                known()
            except WeightlockError as error:
                found.append(error.message)
        found += self.serving.troubles(self.now(), self.keeper.bundles)
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
                self.state.known_features = await discovered(self.client)
            except WeightlockError as error:
                log.warning("%s", error.message)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            await asyncio.sleep(FEATURES_SECONDS)

    async def _sing(self, port: int) -> None:
        name = service_names(self.settings.service, self.settings.namespace)[0]
        while True:
            try:
                await self._canary(port, name).sing()
                self.state.was_refused, self.state.trouble = True, ""
            except WeightlockError as error:
                self.state.was_refused, self.state.trouble = False, error.message
            await asyncio.sleep(CANARY_SECONDS if self.state.was_refused else RETRY_SECONDS)

    def _canary(self, port: int, name: str) -> Canary:
        state = self.state
        return Canary(port, name, self.canary_context(), state.canary_uid, state.canary_token)

    async def _follow_files(self) -> None:
        files = Files(self.serving, self.settings.tls_dir)
        while True:
            try:
                files.keep()
            except WeightlockError as error:
                log.warning("%s", error.message)
            await asyncio.sleep(POLL_FILES_SECONDS if self.serving.pair else RETRY_SECONDS)
