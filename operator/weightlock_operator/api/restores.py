"""Notices when the cluster's state came back from a backup (A39).

Resource versions only ever rise, and every replica reads the Lease every few seconds. One that is
lower than another seen before means that etcd was restored: verdicts, floors and policies have gone
back in time, storage has not. The time goes into ConfigMap `weightlock-state`, and every verdict
from before it counts no more.

A restore that no replica remembers the time before of (all pods were deleted) cannot be seen from
inside; the runbook has a person set the time.
"""

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from weightlock.cluster_names import RESTORED_AT_KEY, STATE_CONFIG_MAP
from weightlock.errors import Malformed
from weightlock.policy.scalars import instant, printable
from weightlock_operator.api.cluster import CONFIG_MAPS, Cluster, Json, texts
from weightlock_operator.api.cluster_errors import AlreadyExists, Conflict, NotFound

ATTEMPTS: Final = 5
SAVE_EVERY: Final = 20
"""Versions; a cluster makes that many each few seconds, if only by its Leases."""


_log = logging.getLogger(__name__)


class Epoch:
    """The highest resource version that was seen, also by this replica's last process.

    A restore takes minutes without an API server, and a leader that cannot renew its Lease ends. So
    the version is kept in a file that outlives the process: the pod's scratch volume does.
    """

    def __init__(self, file: Path | None = None) -> None:
        """Without a file nothing outlives the process."""
        self._file = file
        self._cluster = ""
        self._highest = 0
        self._saved = 0
        self._went_back = False

    def take(self) -> bool:
        """Whether a lower one was seen since the last time this was asked."""
        went_back, self._went_back = self._went_back, False
        return went_back

    def again(self) -> None:
        """What was taken could not be recorded: it is to be taken again."""
        self._went_back = True

    def hear(self, version: str, cluster: str) -> None:
        """A resource version of an object that was just read live or written.

        `cluster` is the uid of something that is restored with the cluster, so that another cluster
        is not taken for an earlier state of this one.
        """
        # Opaque by contract, an integer in every etcd there is; anything else says nothing.
        if not (version.isascii() and version.isdigit()):
            return
        if cluster != self._cluster:
            self._cluster, self._highest = cluster, self._load(cluster)
        found = int(version)
        if found < self._highest:
            _log.error("resource versions went back from %d to %d", self._highest, found)
            self._went_back = True
            self._highest = found
            self._save()
        self._highest = max(self._highest, found)
        if self._highest >= self._saved + SAVE_EVERY:
            self._save()

    def _load(self, cluster: str) -> int:
        try:
            document = json.loads(self._file.read_text()) if self._file else {}
        except FileNotFoundError:
            return 0
        except (OSError, ValueError) as error:
            _log.warning("what was seen before cannot be read: %s", printable(str(error)))
            return 0
        known = document.get(cluster) if isinstance(document, dict) else None
        return known if type(known) is int and known > 0 else 0

    def _save(self) -> None:
        if self._file is None:
            return
        self._saved = self._highest
        fresh = self._file.with_suffix(".new")
        try:
            fresh.write_text(json.dumps({self._cluster: self._highest}))
            fresh.replace(self._file)
        except OSError as error:
            _log.warning("what was seen cannot be kept: %s", printable(str(error)))


async def restored_at(cluster: Cluster, namespace: str) -> datetime | None:
    """When the state was last restored, as far as anybody noticed.

    Raises:
        Malformed: a person wrote something that is no instant; nothing may be judged meanwhile.
        ClusterTrouble: it could not be read.
    """
    try:
        live = await cluster.get(CONFIG_MAPS, namespace, STATE_CONFIG_MAP)
    except NotFound:
        return None
    return restored_at_of(live)


def restored_at_of(config_map: Json) -> datetime | None:
    """The instant in the ConfigMap.

    Raises:
        Malformed: it is none.
    """
    text = texts(config_map.get("data")).get(RESTORED_AT_KEY)
    return instant(text) if text else None


async def record(cluster: Cluster, namespace: str, now: datetime) -> None:
    """Write down that the state was restored before now. It never moves back.

    Raises:
        ClusterTrouble: it could not be written.
    """
    text = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for attempt in range(1, ATTEMPTS + 1):
        try:
            await _write(cluster, namespace, text)
        except (Conflict, AlreadyExists):
            if attempt == ATTEMPTS:
                raise
        else:
            return


async def _write(cluster: Cluster, namespace: str, text: str) -> None:
    try:
        live = await cluster.get(CONFIG_MAPS, namespace, STATE_CONFIG_MAP)
    except NotFound:
        body: Json = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": STATE_CONFIG_MAP,
                "namespace": namespace,
                "labels": {"app.kubernetes.io/name": "weightlock"},
            },
            "data": {RESTORED_AT_KEY: text},
        }
        await cluster.create(CONFIG_MAPS, namespace, body)
        return
    try:
        known = restored_at_of(live)
    except Malformed:
        known = None
    if known is None or known < instant(text):
        data = {**texts(live.get("data")), RESTORED_AT_KEY: text}
        await cluster.replace(CONFIG_MAPS, namespace, {**live, "data": data})
