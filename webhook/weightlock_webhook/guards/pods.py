"""Our keys on everybody's pods.

Nothing about what a pod may mount is ever read from them. They are guarded so that the operator,
which finds held pods by label, works for those whom the webhook held, and for nobody else.
"""

from typing import Final

from weightlock.cluster_names import (
    HELD_LABEL,
    NUDGED_AT_ANNOTATION,
    PREFIX,
    WAITS_FOR_ANNOTATION,
)
from weightlock.injection import injects
from weightlock_webhook.documents import Metadata, User
from weightlock_webhook.guards.keys import MARKS, changed_keys, is_marked
from weightlock_webhook.guards.refusals import GuardReason, Refusal
from weightlock_webhook.guards.users import Accounts, is_node, is_platform
from weightlock_webhook.wording import listed

HOLDING_KEYS: Final = frozenset({HELD_LABEL, WAITS_FOR_ANNOTATION, NUDGED_AT_ANNOTATION})
COPIED_KEYS: Final = frozenset({WAITS_FOR_ANNOTATION, NUDGED_AT_ANNOTATION})
"""What a copy of a pod brings along (`kubectl debug --copy-to`), and what means nothing by then."""

INJECTED_PREFIX: Final = "weightlock-verify-"
"""How containers that Inject puts into other people's pods are called."""

MIRROR_ANNOTATION: Final = "kubernetes.io/config.mirror"


def reserved_keys_set(metadata: Metadata, *, is_held: bool) -> Refusal | None:
    """A new pod brings keys of ours that nobody may set.

    `is_held` says that the answer to the pod is to hold it, so that the label is the webhook's own.
    """
    ours = changed_keys(None, metadata)
    if not ours:
        return None
    tolerated = HOLDING_KEYS if is_held else COPIED_KEYS
    found = tuple(key for key in ours if key not in tolerated)
    return _reserved(found) if found else None


def reserved_keys_bound(metadata: Metadata) -> Refusal | None:
    """A binding brings keys of ours: the API server writes them into the pod (A37)."""
    found = changed_keys(None, metadata)
    return _reserved(found) if found else None


def reserved_keys_changed(
    user: User, before: Metadata, after: Metadata, accounts: Accounts
) -> Refusal | None:
    """An update adds, changes or removes keys of ours."""
    found = changed_keys(before, after)
    if accounts.is_operator(user):
        found = tuple(key for key in found if key not in HOLDING_KEYS)
    return _reserved(found) if found else None


def injections_changed(before: Metadata, after: Metadata) -> bool:
    """Whether an update adds or changes what a container runtime puts into a pod (B21).

    It may not have put it in yet, or will do so again when a container is started anew.
    """
    known, found = before.annotations or {}, after.annotations or {}
    return any(injects(key) and known.get(key) != value for key, value in found.items())


def verification_pod_updated(
    user: User, before: Metadata, after: Metadata, accounts: Accounts
) -> Refusal | None:
    """Somebody edits a pod that reads a checkpoint for us (A07)."""
    if not (is_marked(before) or is_marked(after)):
        return None
    marks_changed = any(mark in changed_keys(before, after) for mark in MARKS)
    if not marks_changed and (accounts.is_operator(user) or is_platform(user) or is_node(user)):
        return None
    return protected("updated")


def verification_pod_deleted(user: User, before: Metadata, accounts: Accounts) -> Refusal | None:
    """Somebody deletes one, so that another can take its name."""
    if not is_marked(before):
        return None
    if accounts.is_operator(user) or is_platform(user) or is_node(user):
        return None
    return protected("deleted")


def protected(deed: str) -> Refusal:
    """The refusal for whatever was done to a verification's Job or pod."""
    return Refusal(
        GuardReason.PROTECTED_OBJECT,
        f"{GuardReason.PROTECTED_OBJECT}: Jobs and pods that verify checkpoints cannot be {deed}."
        " Delete the ModelCheckpoint to end its verification.",
    )


def is_mirror_of(user: User, metadata: Metadata, node: str) -> bool:
    """Whether a kubelet shows a static pod, which runs whatever is said here (B02)."""
    is_own = user.username == f"system:node:{node}"
    return (
        bool(node)
        and is_own
        and is_node(user)
        and MIRROR_ANNOTATION in (metadata.annotations or {})
    )


def _reserved(keys: tuple[str, ...]) -> Refusal:
    return Refusal(
        GuardReason.RESERVED_KEY,
        f"{GuardReason.RESERVED_KEY}: found the labels or annotations {listed(keys)}, expected none"
        f" that starts with {PREFIX}: they are Weightlock's own. Remove them from your change.",
    )
