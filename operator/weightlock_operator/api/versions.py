"""The rollback floor: the highest version of each model that a policy ever vouched for (A22).

It lies in ConfigMap `weightlock-versions` of the operator's namespace, out of tenants' reach, and
is raised before a status says Verified: a crash in between costs a verification, never the floor.
It only ever rises; every write carries the resource version that it was computed from.
"""

import logging
from collections.abc import Callable
from types import MappingProxyType
from typing import Final

from weightlock.cluster_names import VERSIONS_CONFIG_MAP
from weightlock.verdict.floors import Floors, VouchedModel, entry_of, read_entry
from weightlock_operator.api.cluster import CONFIG_MAPS, Cluster, Json, texts
from weightlock_operator.api.cluster_errors import AlreadyExists, Conflict, NotFound

ATTEMPTS: Final = 5

_log = logging.getLogger(__name__)


class Versions:
    """The floors, read once and kept; only the leader writes them."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._floors: dict[VouchedModel, int] = {}
        self.risen: Callable[[VouchedModel], None] = lambda _vouched: None
        """Told of everything whose floor has risen: what was verified may be rolled back now."""

    def floor(self, vouched: VouchedModel) -> int:
        """The highest version seen of a model under a policy; 0 for none."""
        return self._floors.get(vouched, 0)

    @property
    def floors(self) -> Floors:
        """All of them; a view, not a copy."""
        return MappingProxyType(self._floors)

    async def load(self) -> None:
        """Read them from the cluster; what is known already never sinks.

        Raises:
            ClusterTrouble: they could not be read; nothing may be judged without them.
        """
        try:
            live = await self._cluster.get(CONFIG_MAPS, self._namespace, VERSIONS_CONFIG_MAP)
        except NotFound:
            return
        self._learn(floors_of(live))

    async def raise_to(self, vouched: VouchedModel, version: int) -> None:
        """Record a version, before anybody is told of it. Does nothing if it is no news.

        Raises:
            ClusterTrouble: it could not be recorded; the version must not be called verified.
        """
        if version > self.floor(vouched):
            await self._write({vouched: version})

    async def restore(self) -> None:
        """Write back everything that is known here, after a backup has taken some of it (A39)."""
        await self._write(dict(self._floors))

    async def _write(self, wanted: Floors) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                live = await self._cluster.get(CONFIG_MAPS, self._namespace, VERSIONS_CONFIG_MAP)
            except NotFound:
                live = None
            known = floors_of(live) if live is not None else {}
            news = _above(known, wanted)
            try:
                if news and live is None:
                    body = _config_map(self._namespace, news)
                    await self._cluster.create(CONFIG_MAPS, self._namespace, body)
                elif news and live is not None:
                    body = {**live, "data": {**texts(live.get("data")), **_entries(news)}}
                    await self._cluster.replace(CONFIG_MAPS, self._namespace, body)
            except (Conflict, AlreadyExists):
                if attempt == ATTEMPTS:
                    raise
                continue
            self._learn(known | news)
            return

    def _learn(self, floors: Floors) -> None:
        for vouched, version in floors.items():
            if version > self.floor(vouched):
                self._floors[vouched] = version
                self.risen(vouched)


def floors_of(config_map: Json) -> dict[VouchedModel, int]:
    """The floors that a ConfigMap holds; an entry that cannot be read is left out, loudly."""
    floors: dict[VouchedModel, int] = {}
    for key, text in texts(config_map.get("data")).items():
        entry = read_entry(key, text)
        if entry is None:
            _log.error("%s: entry %s is damaged and protects nothing", VERSIONS_CONFIG_MAP, key)
        else:
            floors[entry[0]] = entry[1]
    return floors


def _above(known: Floors, wanted: Floors) -> dict[VouchedModel, int]:
    return {each: version for each, version in wanted.items() if version > known.get(each, 0)}


def _entries(floors: Floors) -> dict[str, str]:
    return dict(entry_of(vouched, version) for vouched, version in floors.items())


def _config_map(namespace: str, floors: Floors) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": VERSIONS_CONFIG_MAP,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/name": "weightlock"},
        },
        "data": _entries(floors),
    }
