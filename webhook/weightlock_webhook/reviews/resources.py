"""Our own kinds at apply, and the labels of namespaces."""

from typing import Final

from weightlock_webhook import documents
from weightlock_webhook.documents import Metadata, Request
from weightlock_webhook.guards import namespaces, resources
from weightlock_webhook.guards.users import Accounts
from weightlock_webhook.responses import Response, allowed, refused
from weightlock_webhook.reviews.reading import Reading

VALID: Final = "Valid"


class ResourceReviews:
    """Answers for ModelPolicies, ClusterModelPolicies, ModelCheckpoints and Namespaces."""

    def __init__(self, reading: Reading, accounts: Accounts) -> None:
        self._reading = reading
        self._accounts = accounts

    async def validate(self, request: Request, _: float) -> Response:
        """One of ours is made or changed, or its status is written."""
        user = request.user_info
        if request.sub_resource == "status":
            wrong = resources.status_written(user, self._accounts)
            return refused(wrong) if wrong else allowed(VALID)
        before, after = _before(request), _metadata(request)
        warnings: tuple[str, ...] = ()
        wrong = resources.keys_set(user, before, after, self._accounts) or resources.owner_added(
            user, before, after, self._accounts
        )
        if wrong is None:
            whole = documents.decoded(request.object, documents.ANY_OBJECT, "object")
            old = None
            if request.operation == "UPDATE":
                old = documents.decoded(request.old_object, documents.ANY_OBJECT, "old object")
            if resources.spec_changed(old, whole):
                wrong = resources.spec_invalid(whole, request.namespace)
                warnings = () if wrong else resources.selector_unguarded(whole)
        return refused(wrong) if wrong else allowed(VALID, warnings=warnings)

    async def namespaces(self, request: Request, deadline: float) -> Response:
        """A namespace is made or changed; policies may select by its labels.

        Its subresources carry labels as well, for whoever may write no more than those.
        """
        before, after = _before(request), _metadata(request)
        forged = namespaces.name_label_forged(request.name or after.name or "", after)
        if forged:
            return refused(forged)
        keys = namespaces.labels_changed(before, after)
        if keys and not await self._reading.may_write_cluster_policies(request.user_info, deadline):
            return refused(namespaces.labels_refused(keys))
        return allowed(VALID)


def _metadata(request: Request) -> Metadata:
    return documents.decoded(request.object, documents.OBJECT, "object").metadata


def _before(request: Request) -> Metadata | None:
    if request.operation == "CREATE":
        return None
    return documents.decoded(request.old_object, documents.OBJECT, "old object").metadata
