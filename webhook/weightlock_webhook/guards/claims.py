"""What keeps a claim in its place while a pod uses it (A28).

Kubernetes does: a claim that is deleted stays until the last pod that was given a node and names it
has gone, as long as it carries a finalizer. Whoever may change claims may take that finalizer away,
delete the claim and make another under its name, which the kubelet would mount in its place.
"""

from typing import Final

from weightlock_webhook.documents import Metadata, User
from weightlock_webhook.guards.refusals import GuardReason, Refusal
from weightlock_webhook.guards.users import CONTROLLER_MANAGER
from weightlock_webhook.wording import quoted

PROTECTION: Final = "kubernetes.io/pvc-protection"
PROTECTORS: Final = frozenset(
    {"system:serviceaccount:kube-system:pvc-protection-controller", CONTROLLER_MANAGER}
)
"""Who takes it away once no pod needs the claim, and puts it back where it is missing."""


def protection_removed(user: User, before: Metadata, after: Metadata) -> Refusal | None:
    """Somebody else takes away what keeps the claim."""
    is_removed = PROTECTION in (before.finalizers or ()) and PROTECTION not in (
        after.finalizers or ()
    )
    if not is_removed or user.username in PROTECTORS:
        return None
    return Refusal(
        GuardReason.PROTECTION_REMOVED,
        f"{GuardReason.PROTECTION_REMOVED}: found a change of the claim {quoted(before.name or '')}"
        f" that removes the finalizer {PROTECTION}, expected only Kubernetes' own controller to do"
        " that: without it another claim could take its place under a pod. Leave it in your change."
        " To be rid of the claim, delete it: it goes by itself once no pod uses it.",
    )
