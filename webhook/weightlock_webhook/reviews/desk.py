"""Where every review comes in and every answer goes out.

0. a pod that holds nothing that anybody verifies is answered as soon as it is recognised
1. the body must be an AdmissionReview; if at least its uid can be read, the refusal carries it
2. it must be of the kind that the path serves: a review at the wrong door is refused, not passed
3. a handler answers before the deadline; any exception, the deadline's too, is a denial
4. the answer is recorded once, and carries the uid that came
"""

import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final, Protocol, TypeAlias

from weightlock.errors import Malformed
from weightlock.reasons import Reason
from weightlock_webhook import documents
from weightlock_webhook.cache.errors import Crowded
from weightlock_webhook.documents import Request
from weightlock_webhook.guards.refusals import GuardReason, Refusal
from weightlock_webhook.replies import review
from weightlock_webhook.responses import Response, allowed, refused, unanswerable
from weightlock_webhook.reviews.deadlines import by
from weightlock_webhook.reviews.routes import SERVED, is_served
from weightlock_webhook.reviews.waiting import WaitingRoom

AtOnce: TypeAlias = Callable[[bytes], str | None]
Handler: TypeAlias = Callable[[Request, float], Coroutine[Any, Any, Response]]

PODS: Final = "pods"
PLAIN: Final = allowed()

log: Final = logging.getLogger(__name__)


class Recorder(Protocol):
    """Who counts and logs decisions."""

    def record(self, request: Request | None, response: Response, seconds: float) -> None:
        """One decision; `request` is None if it could not be read."""
        ...

    def passed(self, resource: str, response: Response, seconds: float) -> None:
        """One allowance in which no policy had a say."""
        ...


@dataclass(frozen=True, slots=True)
class Desk:
    """Answers bodies by path. There is a handler for each path of SERVED, or it cannot be made."""

    handlers: Mapping[str, Handler]
    recorder: Recorder
    at_once: Mapping[str, AtOnce] = field(default_factory=dict)
    """Who may know from the look of a review that it is allowed: most pods hold nothing to verify.
    What they give is its uid."""

    room: WaitingRoom = field(default_factory=WaitingRoom)

    def __post_init__(self) -> None:
        if self.handlers.keys() != SERVED.keys():
            raise Malformed(f"found handlers for {sorted(self.handlers)}, expected for every path")

    async def answer(self, path: str, body: bytes, arrived: float, deadline: float) -> bytes:
        """The AdmissionReview that answers another; both instants are of `time.monotonic`.

        Raises:
            Malformed: if not even the uid can be read, so that there is nobody to answer.
        """
        # (0) at once
        at_once = self.at_once.get(path)
        allowed_uid = at_once(body) if at_once else None
        if allowed_uid is not None:
            self.recorder.passed(PODS, PLAIN, monotonic() - arrived)
            return review(allowed_uid, PLAIN.rest)
        request, response = await self._answered(path, body, deadline)
        # (4) recorded
        self.recorder.record(request, response, monotonic() - arrived)
        uid = request.uid if request else documents.uid_of(body)
        return review(uid, response.rest)

    async def _answered(
        self, path: str, body: bytes, deadline: float
    ) -> tuple[Request | None, Response]:
        # (1), (2): read it, at the right door
        try:
            request = documents.request_of(body, has_pod=path in self.at_once)
        except Malformed as error:
            if not documents.uid_of(body):
                raise
            return None, refused(_malformed(error.message))
        if not is_served(path, request):
            return request, refused(_unserved(path, request))
        # (3) in time, or no
        handler = self.handlers[path]
        try:
            return request, await by(
                deadline, handler(request, deadline), self.room, request.namespace
            )
        except Malformed as error:
            return request, refused(_malformed(error.message))
        except Exception as error:
            if not isinstance(error, TimeoutError | Crowded):
                log.exception("review of %s failed", path)
            return request, unanswerable(error)


def _malformed(what: str) -> Refusal:
    return Refusal(Reason.MALFORMED, f"{Reason.MALFORMED}: {what}", 400)


def _unserved(path: str, request: Request) -> Refusal:
    asked = request.resource
    what = "/".join(part for part in (asked.group, asked.version, asked.resource) if part)
    if request.sub_resource:
        what += f"/{request.sub_resource}"
    message = (
        f"{GuardReason.UNSERVED}: {path} does not answer {request.operation} of {what}."
        " The webhook configuration is not the one that was shipped."
    )
    return Refusal(GuardReason.UNSERVED, message, 400)
