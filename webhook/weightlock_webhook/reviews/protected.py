"""Our Jobs and their pods, and doors into those pods (A07, A08)."""

from collections.abc import Callable
from typing import Final

from weightlock_webhook import documents
from weightlock_webhook.documents import Metadata, Request
from weightlock_webhook.guards import jobs, pods
from weightlock_webhook.guards.keys import is_marked
from weightlock_webhook.guards.refusals import Refusal
from weightlock_webhook.guards.users import SCHEDULER, Accounts, is_node, is_platform
from weightlock_webhook.responses import Response, allowed, refused
from weightlock_webhook.reviews.reading import Reading

NOT_OURS: Final = "NotOurs"


class ProtectedReviews:
    """Answers for whatever could change what a verification does or says."""

    def __init__(self, reading: Reading, accounts: Accounts) -> None:
        self._reading = reading
        self._accounts = accounts
        self._guards: dict[tuple[str, str, str], Callable[[Request], Refusal | None]] = {
            ("jobs", "", "CREATE"): self._job_created,
            ("jobs", "", "UPDATE"): self._job_updated,
            ("jobs", "", "DELETE"): self._job_deleted,
            ("jobs", "status", "UPDATE"): self._job_status,
            ("pods", "", "DELETE"): self._pod_deleted,
            ("pods", "status", "UPDATE"): self._pod_status,
            ("pods", "resize", "UPDATE"): self._pod_resized,
        }

    async def validate(self, request: Request, _: float) -> Response:
        """A Job is made, changed or deleted; a pod is deleted, resized or given a status."""
        guard = self._guards[request.resource.resource, request.sub_resource, request.operation]
        wrong = guard(request)
        return refused(wrong) if wrong else allowed(NOT_OURS)

    async def connect(self, request: Request, deadline: float) -> Response:
        """Somebody wants into a pod: only its name comes with that, so the pod is read.

        And into which container: one that was injected would be made to say what it should not.
        """
        options = documents.decoded(request.object, documents.CONNECTION, "options")
        if (options.container or "").startswith(pods.INJECTED_PREFIX):
            return refused(pods.protected("entered"))
        pod = await self._reading.pod(request.namespace, request.name, deadline)
        if pod is None:
            return refused(Refusal("NotFound", "NotFound: the pod was not found", 404))
        return refused(pods.protected("entered")) if is_marked(pod.metadata) else allowed(NOT_OURS)

    def _job_created(self, request: Request) -> Refusal | None:
        return jobs.job_created(request.user_info, _after(request), self._accounts)

    def _job_updated(self, request: Request) -> Refusal | None:
        return jobs.job_updated(
            request.user_info, _before(request), _after(request), self._accounts
        )

    def _job_deleted(self, request: Request) -> Refusal | None:
        return jobs.job_deleted(request.user_info, _before(request), self._accounts)

    def _job_status(self, request: Request) -> Refusal | None:
        return jobs.job_status_updated(request.user_info, _before(request), _after(request))

    def _pod_deleted(self, request: Request) -> Refusal | None:
        return pods.verification_pod_deleted(request.user_info, _before(request), self._accounts)

    def _pod_status(self, request: Request) -> Refusal | None:
        user, before, after = request.user_info, _before(request), _after(request)
        if not (is_marked(before) or is_marked(after)):
            return None
        reporter = is_node(user) or is_platform(user) or user.username == SCHEDULER
        same = pods.reserved_keys_changed(user, before, after, self._accounts) is None
        return None if reporter and same else pods.protected("given a status")

    def _pod_resized(self, request: Request) -> Refusal | None:
        return pods.protected("resized") if is_marked(_after(request)) else None


def _after(request: Request) -> Metadata:
    return documents.decoded(request.object, documents.OBJECT, "object").metadata


def _before(request: Request) -> Metadata:
    return documents.decoded(request.old_object, documents.OBJECT, "old object").metadata
