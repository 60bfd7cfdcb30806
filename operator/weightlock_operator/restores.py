"""Notices when the cluster's state came back from a backup (A39).

Resource versions only ever rise, and every replica reads the Lease every few seconds. One that is
lower than another seen before means that etcd was restored: verdicts, floors and policies have gone
back in time, storage has not. The time goes into ConfigMap `weightlock-state`, and every verdict
from before it counts no more.

A restore while no replica runs cannot be seen from inside; the runbook has a person set the time.
"""

import logging
from datetime import UTC, datetime
from typing import Final

from weightlock.cluster_names import RESTORED_AT_KEY, STATE_CONFIG_MAP
from weightlock.errors import Malformed
from weightlock.policy.scalars import instant
from weightlock_operator.cluster import CONFIG_MAPS, Cluster, Json, texts
from weightlock_operator.cluster_errors import AlreadyExists, Conflict, NotFound

ATTEMPTS: Final = 5

_log = logging.getLogger(__name__)


class Epoch:
    """The highest resource version that was seen."""

    def __init__(self) -> None:
        self._highest = 0
        self._went_back = False

    def take(self) -> bool:
        """Whether a lower one was seen since the last time this was asked."""
        went_back, self._went_back = self._went_back, False
        return went_back

    def hear(self, version: str) -> None:
        """A resource version of an object that was just read live or written."""
        # Opaque by contract, an integer in every etcd there is; anything else says nothing.
        if not (version.isascii() and version.isdigit()):
            return
        found = int(version)
        if found < self._highest:
            _log.error("resource versions went back from %d to %d", self._highest, found)
            self._went_back = True
            self._highest = found
        self._highest = max(self._highest, found)


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
