"""Posts an event for what a refused pod waited for, in the background and sparingly (B03, D01).

The operator watches for these events and registers or verifies what they name where a policy says
so. An event that somebody forges costs its own namespace a verification and nobody else anything.
"""

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from weightlock.cluster_names import REQUESTED_EVENT, WEBHOOK_ACCOUNT
from weightlock.errors import WeightlockError
from weightlock.verdict.records import instant_text
from weightlock_webhook.decision.answers import Problem
from weightlock_webhook.gathering.gather import Subject
from weightlock_webhook.gathering.lookups import Lookup
from weightlock_webhook.mounts import sources
from weightlock_webhook.reviews.collaborators import Cluster
from weightlock_webhook.wording import quoted

logger = logging.getLogger(__name__)

MOST_WAITING: Final = 1000
"""Events that wait to be posted; further ones are dropped, the next refusal asks again."""

REPEAT_SECONDS: Final = 60.0
"""After which the same thing is asked for again, if somebody still wants it."""

POST_SECONDS: Final = 5.0
PAUSE_SECONDS: Final = 0.05
"""Between two posts, so that a storm of refusals becomes no storm of events."""

_MOST_ASKED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Request:
    """What a pod waited for."""

    namespace: str
    claim: str
    claim_uid: str
    path: str


class RequestedEvents:
    """Asks by events; `run` posts them."""

    def __init__(
        self,
        cluster: Cluster,
        lookup: Lookup,
        clock: Callable[[], datetime],
        steady: Callable[[], float],
    ) -> None:
        self._cluster = cluster
        self._lookup = lookup
        self._clock = clock
        self._steady = steady
        self._waiting: asyncio.Queue[Request] = asyncio.Queue(MOST_WAITING)
        self._asked: OrderedDict[Request, float] = OrderedDict()

    def ask(self, subject: Subject, problem: Problem) -> None:
        """Ask for what a pod waits for, unless that was asked for a moment ago."""
        request = self._request(subject, problem)
        if request is None or self._was_asked(request):
            return
        try:
            self._waiting.put_nowait(request)
        except asyncio.QueueFull:
            return
        self._asked[request] = self._steady()
        self._asked.move_to_end(request)
        if len(self._asked) > _MOST_ASKED:
            self._asked.popitem(last=False)

    async def run(self) -> None:
        """Post until cancelled. One that cannot be posted is lost: the next refusal asks again."""
        while True:
            request = await self._waiting.get()
            try:
                await self._post(request)
            except WeightlockError as error:
                logger.warning("could not ask for a verification: %s", error)
            await asyncio.sleep(PAUSE_SECONDS)

    def _request(self, subject: Subject, problem: Problem) -> Request | None:
        """Only claims can be asked for; whatever else is refused needs a person."""
        for volume in subject.pod.volumes:
            if volume.name == problem.volume and isinstance(volume.source, sources.ClaimSource):
                claim = self._lookup.claim((subject.namespace, volume.source.claim))
                if claim is None:
                    return None
                path = problem.path or "/"
                return Request(subject.namespace, volume.source.claim, claim.metadata.uid, path)
        return None

    def _was_asked(self, request: Request) -> bool:
        asked_at = self._asked.get(request)
        return asked_at is not None and self._steady() - asked_at < REPEAT_SECONDS

    async def _post(self, request: Request) -> None:
        path = f"/api/v1/namespaces/{request.namespace}/events"
        deadline = asyncio.get_running_loop().time() + POST_SECONDS
        await self._cluster.call("POST", path, event_of(request, self._clock()), deadline=deadline)


def event_of(request: Request, now: datetime) -> dict[str, object]:
    """The event that asks for a verification; its message names the path for the operator."""
    instant = instant_text(now)
    mark = hashlib.sha256(f"{request.claim_uid}{request.path}{instant}".encode()).hexdigest()
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{request.claim[:200]}.{mark[:16]}",
            "namespace": request.namespace,
        },
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "namespace": request.namespace,
            "name": request.claim,
            "uid": request.claim_uid,
        },
        "reason": REQUESTED_EVENT,
        "message": f"A pod was refused that mounts path {quoted(request.path, longest=512)}",
        "type": "Normal",
        "reportingComponent": WEBHOOK_ACCOUNT,
        "reportingInstance": WEBHOOK_ACCOUNT,
        "source": {"component": WEBHOOK_ACCOUNT},
        "firstTimestamp": f"{instant[:19]}Z",
        "lastTimestamp": f"{instant[:19]}Z",
        "count": 1,
    }
