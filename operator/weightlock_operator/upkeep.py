"""What is done from time to time while leading: keys, restores, policy statuses, reports, resyncs.

Each chore runs by itself; the trouble of one is told, and tried again at its next time.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from weightlock.errors import Unanswerable, WeightlockError
from weightlock.policy.objects import Policy
from weightlock.policy.scalars import printable
from weightlock.reasons import Reason
from weightlock_operator import census
from weightlock_operator.api import restores, seal_keys
from weightlock_operator.api.cluster import Cluster
from weightlock_operator.api.cluster_errors import ClusterTrouble, Conflict, NotFound, NotLeader
from weightlock_operator.api.policyreports import Reporter
from weightlock_operator.api.restores import Epoch
from weightlock_operator.api.versions import Versions
from weightlock_operator.controller import Controller
from weightlock_operator.decision.policies import policy_status
from weightlock_operator.gathering import Surroundings
from weightlock_operator.policy_index import PolicyEntry
from weightlock_operator.store import Store
from weightlock_operator.watching import RESYNC_SECONDS, WATCHED, Resync

STATE_SECONDS: Final = 30.0
EPOCH_SECONDS: Final = 2.0
STATUS_SECONDS: Final = 3.0
REPORT_SECONDS: Final = 10.0
RELIST_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


class Restored(Unanswerable):
    """What this process has seen is of another time."""

    reason = Reason.RESTORED_FROM_BACKUP


class Upkeep:
    """The chores."""

    def __init__(
        self,
        cluster: Cluster,
        store: Store,
        *,
        namespace: str,
        controller: Controller,
        surroundings: Surroundings,
        versions: Versions,
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._namespace = namespace
        self._controller = controller
        self._around = surroundings
        self._versions = versions
        self._policies_dirty = True
        self._unreported: set[str] = set()
        self._relisted: set[str] = set()

    def policies_changed(self) -> None:
        """Policy statuses may have to be written."""
        self._policies_dirty = True

    def verdicts_changed(self, namespace: str) -> None:
        """Counts and reports of a namespace may have to be written."""
        self._policies_dirty = True
        self._unreported.add(namespace)

    def relisted(self, plural: str) -> None:
        """Kopf lists a kind anew: what was deleted meanwhile it does not say."""
        self._relisted.add(plural)

    def deaf(self) -> None:
        """Nothing is heard for a while: everything is asked for."""
        self._relisted |= {watched.resource.plural for watched in WATCHED}

    async def keep_state(self) -> None:
        """Keys and restores, as they are in the cluster."""
        await every(STATE_SECONDS, self.refresh_state)

    async def refresh_state(self) -> None:
        """Read both once; everything is looked at again if anything about them changed.

        Raises:
            WeightlockError: they could not be read.
        """
        around = self._around
        keys = await seal_keys.ensure(self._cluster, self._namespace, self._store.now())
        restored_at = await restores.restored_at(self._cluster, self._namespace)
        if (keys, restored_at) != (around.keys, around.restored_at):
            around.keys, around.restored_at = keys, restored_at
            self._controller.look_at(self._store.checkpoints)

    async def watch_epoch(self, epoch: Epoch) -> None:
        """End when the cluster comes back from a backup while this replica leads (A39).

        Everything that was seen before is of another time, and no watch can go on from there.

        Raises:
            Restored: it came back, and that is recorded.
        """
        while True:
            await asyncio.sleep(EPOCH_SECONDS)
            if await self.note_restore(epoch):
                raise Restored("the cluster came back from a backup; starting anew")

    async def note_restore(self, epoch: Epoch) -> bool:
        """Record that the cluster came back from a backup, if it did since this was last asked."""
        if not epoch.take():
            return False
        try:
            await restores.record(self._cluster, self._namespace, self._store.now())
            await self._versions.restore()
            await self.refresh_state()
        except WeightlockError as error:
            epoch.again()
            _log.warning("the restore was not recorded: %s", error.message)
            return False
        return True

    async def keep_policies(self) -> None:
        """Policy statuses."""
        await every(STATUS_SECONDS, self.write_policies)

    async def write_policies(self) -> None:
        """Write the statuses that say something new."""
        if not self._policies_dirty:
            return
        self._policies_dirty = False
        for entry in list(self._store.policies.values()):
            try:
                await self._write_policy(entry)
            except (Conflict, NotFound):
                self._policies_dirty = True  # a newer one is on its way, or its end
            except NotLeader:
                raise
            except ClusterTrouble as trouble:  # the others get theirs all the same (D07)
                self._policies_dirty = True
                name = entry.body["metadata"]["name"]
                _log.warning("the status of the policy %s: %s", printable(name), trouble.message)

    async def _write_policy(self, entry: PolicyEntry) -> None:
        found = entry.found
        verdicts = census.verdicts_under(self._store, found) if isinstance(found, Policy) else ()
        status = policy_status(entry.body, found, verdicts, self._store.now())
        if status is None:
            return
        namespace = entry.body["metadata"].get("namespace", "")
        body = {**entry.body, "status": status}
        written = await self._cluster.replace(entry.resource, namespace, body, subresource="status")
        self._store.apply(entry.resource, written)

    async def keep_reports(self, reporter: Reporter) -> None:
        """Policy reports of the namespaces where something changed."""

        async def write() -> None:
            namespaces, self._unreported = self._unreported, set()
            for namespace in sorted(namespaces):
                found = census.outcomes(self._store, namespace, self._store.now())
                if not await reporter.write(namespace, found):
                    self._unreported.add(namespace)

        await every(REPORT_SECONDS, write)

    async def keep_in_step(self, resync: Resync) -> None:
        """List one kind after the other, and at once what may have been missed."""
        due = list(WATCHED)
        pause = RESYNC_SECONDS / len(due) - resync.grace_seconds
        waited = 0.0
        while True:
            await asyncio.sleep(RELIST_SECONDS)
            waited += RELIST_SECONDS
            await self._refresh_relisted(resync)
            if waited >= pause:
                waited = 0.0
                due.append(due.pop(0))
                await _quietly(partial(resync.again, due[-1]))

    async def _refresh_relisted(self, resync: Resync) -> None:
        wanted, self._relisted = self._relisted, set()
        for watched in WATCHED:
            plural = watched.resource.plural
            if plural in wanted and not await _quietly(partial(resync.refresh, watched)):
                self._relisted.add(plural)  # next time


async def every(seconds: float, chore: Callable[[], Awaitable[None]]) -> None:
    """Do it, wait, do it again, until cancelled."""
    while True:
        await _quietly(chore)
        await asyncio.sleep(seconds)


async def _quietly(chore: Callable[[], Awaitable[None]]) -> bool:
    """Do it; whether it went well."""
    try:
        await chore()
    except WeightlockError as error:
        _log.warning("%s", error.message)
        return False
    return True
