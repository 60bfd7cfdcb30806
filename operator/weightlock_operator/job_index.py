"""The Jobs with our label, found by the checkpoint that they say they verify."""

import logging
from collections import defaultdict
from collections.abc import Iterable

from weightlock.cluster_names import CHECKPOINT_UID_LABEL
from weightlock.errors import Malformed
from weightlock_operator.api.cluster import Json, texts
from weightlock_operator.decision.seen import SeenJob

_log = logging.getLogger(__name__)


class JobIndex:
    """For one event loop."""

    def __init__(self) -> None:
        self._of: defaultdict[str, dict[str, tuple[str, SeenJob]]] = defaultdict(dict)
        """Namespace and Job, by the uids of checkpoint and Job."""
        self._owner: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._owner)

    def take(self, body: Json, *, deleted: bool) -> str:
        """Take one as it is now, or its end; returns the uid of the checkpoint that it names."""
        uid = body["metadata"]["uid"]
        owner = texts(body["metadata"].get("labels")).get(CHECKPOINT_UID_LABEL, "")
        self._forget(uid)
        if not deleted and owner:
            try:
                namespace = body["metadata"].get("namespace", "")
                self._of[owner][uid] = (namespace, SeenJob.from_object(body))
                self._owner[uid] = owner
            except Malformed as error:
                _log.warning("a Job with a label of ours cannot be read: %s", error.message)
        return owner

    def of(self, checkpoint_uid: str, namespace: str) -> tuple[SeenJob, ...]:
        """Those of a namespace that say they verify a checkpoint."""
        found = self._of.get(checkpoint_uid, {}).values()
        return tuple(job for where, job in found if where == namespace)

    def all(self) -> Iterable[SeenJob]:
        """Every one."""
        return (job for jobs in self._of.values() for _, job in jobs.values())

    def known(self) -> list[tuple[str, Json]]:
        """Uid of each, with as much of it as its end needs."""
        return [
            (uid, {"metadata": {"uid": uid, "labels": {CHECKPOINT_UID_LABEL: owner}}})
            for uid, owner in self._owner.items()
        ]

    def _forget(self, uid: str) -> None:
        before = self._owner.pop(uid, None)
        if before is not None:
            self._of[before].pop(uid, None)
            if not self._of[before]:
                del self._of[before]
