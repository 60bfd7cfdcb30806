"""Which handler answers which path."""

from collections.abc import Mapping

from weightlock_webhook.reviews import routes
from weightlock_webhook.reviews.claims import ClaimReviews
from weightlock_webhook.reviews.desk import Handler
from weightlock_webhook.reviews.pods import PodReviews
from weightlock_webhook.reviews.protected import ProtectedReviews
from weightlock_webhook.reviews.resources import ResourceReviews
from weightlock_webhook.reviews.workloads import WorkloadReviews


def handlers(
    pods: PodReviews,
    protected: ProtectedReviews,
    resources: ResourceReviews,
    claims: ClaimReviews,
    workloads: WorkloadReviews,
) -> Mapping[str, Handler]:
    """One for each path; the desk refuses to be made with any missing."""
    return {
        routes.VALIDATE_PODS: pods.validate,
        routes.MUTATE_PODS: pods.mutate,
        routes.VALIDATE_BINDINGS: pods.bind,
        routes.VALIDATE_EPHEMERAL: pods.ephemeral,
        routes.VALIDATE_PROTECTED: protected.validate,
        routes.VALIDATE_CONNECTIONS: protected.connect,
        routes.VALIDATE_POLICIES: resources.validate,
        routes.VALIDATE_NAMESPACES: resources.namespaces,
        routes.VALIDATE_CLAIMS: claims.validate,
        routes.VALIDATE_WORKLOADS: workloads.warn,
    }
