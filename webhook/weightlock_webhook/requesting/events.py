"""Posts an event for what a refused pod waited for, in the background and sparingly (B03, D01).

The operator watches for these events and registers or verifies the claims that they name where a
policy says so. Whoever may write events in a namespace can forge one, which costs that namespace a
verification and nobody else anything. The webhook itself writes one for a review only, and takes
reviews from those whom its configuration told where to call (server.gate).

A namespace that asks for much waits behind itself: requests are posted by turns of namespaces, one
pod adds a few at a time, and when there are too many, the namespace with the most loses its last.
"""

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

from weightlock.cluster_names import REQUESTED_EVENT, WEBHOOK_ACCOUNT
from weightlock.errors import WeightlockError
from weightlock.verdict.records import instant_text
from weightlock_webhook.decision.answers import Problem
from weightlock_webhook.gathering.lookups import Lookup
from weightlock_webhook.gathering.subjects import Subject
from weightlock_webhook.mounts import sources
from weightlock_webhook.requesting.waiting import Request, Waiting
from weightlock_webhook.reviews.collaborators import Cluster

logger = logging.getLogger(__name__)

MOST_OF_POD: Final = 16
"""How many claims one refusal asks for; the next one asks for the next."""

REPEAT_SECONDS: Final = 60.0
"""After which the same thing is asked for again, if somebody still wants it."""

POST_SECONDS: Final = 5.0
PAUSE_SECONDS: Final = 0.05
"""Between two posts, so that a storm of refusals becomes no storm of events."""

_MOST_ASKED: Final = 10_000


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
        self._waiting = Waiting()
        self._asked: OrderedDict[Request, float] = OrderedDict()

    def ask(self, subject: Subject, problems: Iterable[Problem]) -> None:
        """Ask for what a pod waits for, but for what was asked for a moment ago."""
        volumes = {problem.volume for problem in problems}
        news = 0
        for volume in subject.pod.volumes:
            if volume.name not in volumes or not isinstance(volume.source, sources.ClaimSource):
                continue  # only claims can be asked for; whatever else is refused needs a person
            request = self._request(subject.namespace, volume.source.claim)
            if request is None or self._was_asked(request):
                continue
            self._add(request)
            news += 1
            if news == MOST_OF_POD:
                return

    async def run(self) -> None:
        """Post until cancelled. One that cannot be posted is lost: the next refusal asks again."""
        while True:
            request = await self._waiting.take()
            try:
                await self._post(request)
            except WeightlockError as error:
                logger.warning("could not ask for a verification: %s", error)
            await asyncio.sleep(PAUSE_SECONDS)

    def _request(self, namespace: str, name: str) -> Request | None:
        claim = self._lookup.claim((namespace, name))
        return Request(namespace, name, claim.metadata.uid) if claim else None

    def _add(self, request: Request) -> None:
        self._asked[request] = self._steady()
        self._asked.move_to_end(request)
        if len(self._asked) > _MOST_ASKED:
            self._asked.popitem(last=False)
        dropped = self._waiting.add(request)
        if dropped is not None:
            self._asked.pop(dropped, None)

    def _was_asked(self, request: Request) -> bool:
        asked_at = self._asked.get(request)
        return asked_at is not None and self._steady() - asked_at < REPEAT_SECONDS

    async def _post(self, request: Request) -> None:
        path = f"/api/v1/namespaces/{request.namespace}/events"
        deadline = asyncio.get_running_loop().time() + POST_SECONDS
        await self._cluster.call("POST", path, event_of(request, self._clock()), deadline=deadline)


def event_of(request: Request, now: datetime) -> dict[str, object]:
    """The event that asks for a verification."""
    instant = instant_text(now)
    mark = hashlib.sha256(f"{request.claim_uid}{instant}".encode()).hexdigest()
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
        "message": "A pod was refused that mounts this claim",
        "type": "Normal",
        "reportingComponent": WEBHOOK_ACCOUNT,
        "reportingInstance": WEBHOOK_ACCOUNT,
        "source": {"component": WEBHOOK_ACCOUNT},
        "firstTimestamp": f"{instant[:19]}Z",
        "lastTimestamp": f"{instant[:19]}Z",
        "count": 1,
    }
