"""Claims as they are changed: what keeps them in their place is not their owner's to take."""

from typing import Final

from weightlock.policy.spec import Enforcement
from weightlock_webhook import documents
from weightlock_webhook.documents import Request
from weightlock_webhook.guards import claims
from weightlock_webhook.responses import Response, allowed, refused
from weightlock_webhook.reviews.collaborators import PodJudge

KEPT: Final = "ClaimKept"
LET_GO: Final = "ClaimLetGo"


class ClaimReviews:
    """Answers for persistent volume claims and their status, which carries finalizers too."""

    def __init__(self, judge: PodJudge, exempt_namespaces: frozenset[str]) -> None:
        self._judge = judge
        self._exempt = exempt_namespaces

    async def validate(self, request: Request, _: float) -> Response:
        """A claim is changed. Who governs there is asked only where that matters."""
        if request.namespace in self._exempt:
            return allowed(KEPT)
        before = documents.decoded(request.old_object, documents.OBJECT, "old object").metadata
        after = documents.decoded(request.object, documents.OBJECT, "object").metadata
        wrong = claims.protection_removed(request.user_info, before, after)
        if wrong is None:
            return allowed(KEPT)
        match self._judge.enforcement(request.namespace):
            case Enforcement.ENFORCE:
                return refused(wrong)
            case Enforcement.WARN:
                return allowed(LET_GO, warnings=(wrong.message,))
        return allowed(LET_GO)
