"""Why a Job has made no pod: its controller says so in Events of the Job, and nowhere else.

A quota, a limit range or pod security refuses pods without a word in the Job's status. Events are
not watched for that: there are very many, and of most Jobs nobody ever asks. A Job that has had no
pod for a while costs one list of at most a few, and two more in the next minute.

Whoever may write Events in the namespace can say anything here; it is shown there and decides
nothing.
"""

import logging
from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Any, Final

from weightlock.policy.scalars import printable
from weightlock_operator.api.cluster import EVENTS, Cluster, Json
from weightlock_operator.api.cluster_errors import ClusterTrouble

ASKED_EVERY: Final = timedelta(seconds=15)
MOST_EVENTS: Final = 20
MOST_JOBS: Final = 1000

_log = logging.getLogger(__name__)


class Refusals:
    """What was found of each Job, for one event loop."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._known: OrderedDict[str, tuple[datetime, str]] = OrderedDict()

    async def of(self, namespace: str, job_uid: str, now: datetime) -> str:
        """What the Job's controller says last; "" if it says nothing, or nobody can be asked."""
        asked_at, said = self._known.get(job_uid, (None, ""))
        if asked_at is not None and now < asked_at + ASKED_EVERY:
            return said
        said = await self._asked(namespace, job_uid) or said
        self._known[job_uid] = (now, said)
        self._known.move_to_end(job_uid)
        while len(self._known) > MOST_JOBS:
            self._known.popitem(last=False)
        return said

    async def _asked(self, namespace: str, job_uid: str) -> str:
        fields = f"involvedObject.uid={job_uid},reason=FailedCreate"
        try:
            found = await self._cluster.some(EVENTS, namespace, fields=fields, most=MOST_EVENTS)
        except ClusterTrouble as trouble:
            _log.warning("why a Job has no pod is unknown: %s", trouble.message)
            return ""
        last = max(found.items, key=_when, default={})
        message: Any = last.get("message")
        return printable(message) if isinstance(message, str) else ""


def _when(event: Json) -> str:
    """When it happened last; RFC 3339 in UTC is in order as text."""
    return str(event.get("lastTimestamp") or event["metadata"].get("creationTimestamp") or "")
