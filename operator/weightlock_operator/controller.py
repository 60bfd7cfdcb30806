"""Turns what was heard into looks and does them: the queue, its workers, the order of turns."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

from weightlock.errors import Malformed, WeightlockError
from weightlock.verdict.floors import VouchedModel
from weightlock_operator.api.cluster import CHECKPOINTS, EVENTS, Json, Listing, Resource
from weightlock_operator.api.cluster_errors import Conflict, NotLeader
from weightlock_operator.lobby import Lobby
from weightlock_operator.looking import Looker
from weightlock_operator.metrics import Metrics
from weightlock_operator.pod_reader import PodChange, PodList
from weightlock_operator.pod_records import PodRecord
from weightlock_operator.store import Store
from weightlock_operator.turns import ORDER_SECONDS, Turns
from weightlock_operator.work import Priority, WorkQueue

LOBBY: Final = "lobby/"
"""Before a namespace in the work queue; no uid begins so."""

_POLICY_KINDS: Final = ("modelpolicies", "clustermodelpolicies")

_log = logging.getLogger(__name__)


class Controller:
    """For one event loop, from the moment of leading."""

    def __init__(
        self,
        store: Store,
        turns: Turns,
        *,
        looker: Looker,
        lobby: Lobby,
        queue: WorkQueue,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._turns = turns
        self._looker = looker
        self._lobby = lobby
        self._queue = queue
        self._metrics = metrics
        self.heard: Callable[[str], None] = lambda _plural: None
        self.changed: Callable[[str], None] = lambda _namespace: None
        """Told of the namespaces whose verdicts have changed."""
        self.policies_changed: Callable[[], None] = lambda: None

    def sink(self, resource: Resource, body: Json, deleted: bool) -> None:
        """Take an event of a watch."""
        self.heard(resource.plural)
        self._enqueue(self._store.apply(resource, body, deleted=deleted), Priority.LIVE)
        self._note(resource, body)

    def take(self, resource: Resource, listing: Listing) -> int:
        """Take a list; returns how many of its objects were news."""
        touched, news = self._store.apply_listing(resource, listing.items, listing.resource_version)
        self._enqueue(touched, Priority.ROUTINE)
        for body in listing.items:
            self._note(resource, body)
        return 0 if resource is EVENTS else news

    def take_pods(self, change: PodChange | PodList | None) -> None:
        """Take what the reader of pods found."""
        self.heard("pods")
        if isinstance(change, PodList):
            self._enqueue(self._store.apply_pods(change.records), Priority.ROUTINE)
            for record in change.records:
                self._awaits(record)
        elif change is not None:
            touched = self._store.apply_pod(change.uid, change.record)
            is_held = change.record is not None and change.record.held is not None
            self._enqueue(touched, Priority.AWAITED if is_held else Priority.LIVE)
            if change.record is not None:
                self._awaits(change.record)

    def look_at(self, uids: Iterable[str], priority: Priority = Priority.ROUTINE) -> None:
        """Have checkpoints looked at."""
        self._enqueue(uids, priority)

    def floor_risen(self, vouched: VouchedModel) -> None:
        """Have those looked at that may be rolled back now."""
        self._enqueue(self._store.under_floor(vouched), Priority.LIVE)

    async def order_turns(self) -> None:
        """Call up whose turn it is, until cancelled."""
        while True:
            await asyncio.sleep(ORDER_SECONDS)
            for uid in self._turns.call():
                self._queue.add(uid)

    async def work(self) -> None:
        """Look at one after the other, until cancelled."""
        while True:
            key = await self._queue.get()
            try:
                with self._metrics.reconciling() as result:
                    result.word = await self._one(key)
            finally:
                self._queue.done(key)
            # A look without requests never waits. Thousands of them at a start, or after a policy,
            # would keep the Lease from being renewed and /healthz from answering.
            await asyncio.sleep(0)

    async def _one(self, key: str) -> str:
        """One look, with whatever may go wrong kept to this one object (D07); says how it went."""
        try:
            await self._look(key)
        except NotLeader:
            return "not_leader"  # the process is about to end
        except Conflict:
            self._queue.failed(key)
            return "conflict"
        except WeightlockError as error:
            delay = self._queue.failed(key)
            _log.warning("%s: %s; again in %.0f s", self._name(key), error.message, delay)
            return "malformed" if isinstance(error, Malformed) else "trouble"
        except Exception:
            delay = self._queue.failed(key)
            _log.exception("%s: again in %.0f s", self._name(key), delay)
            return "error"
        self._queue.forget_failures(key)
        return "ok"

    async def _look(self, key: str) -> None:
        if key.startswith(LOBBY):
            again = await self._lobby.see_to(key.removeprefix(LOBBY))
            if again is not None:
                self._queue.add_after(key, again.total_seconds())
            return
        body = self._store.checkpoints.get(key)
        looked = await self._looker.look(key)
        if looked.again_after is not None:
            self._queue.add_after(key, looked.again_after.total_seconds())
        namespace = body["metadata"]["namespace"] if body else ""
        if body is None or key not in self._store.checkpoints:
            self._queue.forget(key)
        if looked.verdict_changed or key not in self._store.checkpoints:
            self._turned(namespace)

    def _turned(self, namespace: str) -> None:
        if namespace:
            self.changed(namespace)
            if self._store.pods.held(namespace):
                self._queue.add(LOBBY + namespace)

    def _enqueue(self, uids: Iterable[str], priority: Priority) -> None:
        for uid in uids:
            self._queue.add(uid, priority)

    def _note(self, resource: Resource, body: Json) -> None:
        """What else follows from an object, beside looks at checkpoints."""
        if resource.plural in _POLICY_KINDS:
            self.policies_changed()
        namespace = body["metadata"].get("namespace", "")
        if resource is EVENTS and namespace:
            self._queue.add(LOBBY + namespace)
        elif resource is CHECKPOINTS:
            self.changed(namespace)

    def _awaits(self, record: PodRecord) -> None:
        if record.held is not None or record.is_let_in:
            self._queue.add(LOBBY + record.namespace, Priority.AWAITED)

    def _name(self, key: str) -> str:
        body = self._store.checkpoints.get(key)
        return f"{body['metadata']['namespace']}/{body['metadata']['name']}" if body else key


def party_of(store: Store, key: str) -> str:
    """With whom something in the work queue shares its turns: its namespace."""
    if key.startswith(LOBBY):
        return key.removeprefix(LOBBY)
    body = store.checkpoints.get(key)
    return body["metadata"].get("namespace", "") if body else ""
