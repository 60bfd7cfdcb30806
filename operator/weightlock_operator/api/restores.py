"""Notices when the cluster's state came back from a backup (A39).

Every replica reads the Lease every few seconds. Its resource version only ever rises, and so does
the number of its writes, which it carries itself: a restore made for Kubernetes raises resource
versions (`etcdutl snapshot restore --bump-revision`), and brings that number back. If either is
lower than one seen before, etcd was restored: verdicts, floors and policies have gone back in time,
storage has not. The time goes into ConfigMap `weightlock-state`, and every verdict from before it
counts no more.

A restore that no replica remembers the time before of (all pods were deleted) cannot be seen from
inside; the runbook has a person set the time.
"""

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from weightlock.cluster_names import RESTORED_AT_KEY, STATE_CONFIG_MAP
from weightlock.errors import Malformed
from weightlock.policy.scalars import instant, printable
from weightlock_operator.api.cluster import CONFIG_MAPS, Cluster, Json, texts
from weightlock_operator.api.cluster_errors import AlreadyExists, Conflict, NotFound

ATTEMPTS: Final = 5
MOST_DIGITS: Final = 20
SAVE_EVERY: Final = 20
"""Versions; a cluster makes that many each few seconds, if only by its Leases."""


_log = logging.getLogger(__name__)


class Moment(NamedTuple):
    """A moment of a cluster, by two numbers that only rise; 0 where one is not known."""

    version: int
    """The resource version of the Lease; etcd may be told to raise it when it is restored."""

    renewals: int
    """How often the Lease was written. It is data like any other, and comes back as it was."""


class Epoch:
    """The latest moment that was seen, also by this replica's last process.

    A restore takes minutes without an API server, and a leader that cannot renew its Lease ends. So
    the moment is kept in a file that outlives the process: the pod's scratch volume does.
    """

    def __init__(self, file: Path | None = None) -> None:
        """Without a file nothing outlives the process."""
        self._file = file
        self._cluster = ""
        self._latest = _NEVER
        self._saved = 0
        self._went_back = False

    def take(self) -> bool:
        """Whether an earlier one was seen since the last time this was asked."""
        went_back, self._went_back = self._went_back, False
        return went_back

    def again(self) -> None:
        """What was taken could not be recorded: it is to be taken again."""
        self._went_back = True

    def hear(self, moment: Moment, cluster: str) -> None:
        """The moment at which the Lease was just read live or written.

        `cluster` is the uid of something that is restored with the cluster, so that another cluster
        is not taken for an earlier state of this one.
        """
        if moment.version == 0:
            return  # opaque by contract, an integer in every etcd there is; else it says nothing
        if cluster != self._cluster:
            self._cluster, self._latest = cluster, self._load(cluster)
        latest = self._latest
        self._latest = moment
        if moment.version < latest.version or moment.renewals < latest.renewals:
            _log.error("the cluster went back in time from %s to %s", latest, moment)
            self._went_back = True
            self._save()
        elif moment.version >= self._saved + SAVE_EVERY:
            self._save()

    def _load(self, cluster: str) -> Moment:
        try:
            document = json.loads(self._file.read_text()) if self._file else {}
        except FileNotFoundError:
            return _NEVER
        except (OSError, ValueError) as error:
            _log.warning("what was seen before cannot be read: %s", printable(str(error)))
            return _NEVER
        known = document.get(cluster) if isinstance(document, dict) else None
        numbers = known if isinstance(known, list) else []
        is_moment = len(numbers) == len(_NEVER) and all(type(each) is int for each in numbers)
        return Moment(*numbers) if is_moment else _NEVER

    def _save(self) -> None:
        if self._file is None:
            return
        self._saved = self._latest.version
        fresh = self._file.with_suffix(".new")
        try:
            fresh.write_text(json.dumps({self._cluster: self._latest}))
            fresh.replace(self._file)
        except OSError as error:
            _log.warning("what was seen cannot be kept: %s", printable(str(error)))


_NEVER: Final = Moment(0, 0)


def number(text: str) -> int:
    """A number as the API server writes it; 0 for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else 0


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
