"""Our own kinds at apply: what they say, who owns them, who writes their status."""

from collections.abc import Mapping

from weightlock.cluster_names import PREFIX
from weightlock.errors import WeightlockError
from weightlock.policy import checkpoints
from weightlock.policy.checkpoints import Checkpoint
from weightlock.policy.objects import NAMESPACE_NAME_LABEL, Policy
from weightlock_webhook.documents import Metadata, User
from weightlock_webhook.guards.keys import OPERATOR_PREFIXES, added_finalizers, changed_keys
from weightlock_webhook.guards.refusals import GuardReason, Refusal
from weightlock_webhook.guards.users import Accounts, is_platform
from weightlock_webhook.wording import listed, quoted

PLACEHOLDER_NAME = "generated"
"""Stands for a name that the API server has still to generate (B05)."""


def spec_invalid(value: Mapping[str, object], namespace: str) -> Refusal | None:
    """The object says nothing that can be decided upon; the message is the reader's own."""
    document = _readable(value)
    try:
        if document.get("kind") == checkpoints.KIND:
            Checkpoint.from_object(document, namespace)
        else:
            Policy.from_object(document, namespace)
    except WeightlockError as error:
        hint = f" {error.hint}" if error.hint else ""
        return Refusal(error.reason, f"{error.reason}: {error.message}{hint}", 422)
    return None


def spec_changed(before: Mapping[str, object] | None, after: Mapping[str, object]) -> bool:
    """Whether there is something to validate: a finalizer must go even from an invalid object."""
    return before is None or before.get("spec") != after.get("spec")


def selector_unguarded(value: Mapping[str, object]) -> tuple[str, ...]:
    """A valid policy selects namespaces by labels that nobody guards, as a warning."""
    if value.get("kind") == checkpoints.KIND:
        return ()
    policy = Policy.from_object(_readable(value))
    keys = {each.key for each in policy.namespace_selector.expressions}
    loose = {key for key in keys if key != NAMESPACE_NAME_LABEL and not key.startswith(PREFIX)}
    if not loose:
        return ()
    return (
        f"namespaceSelector: found {listed(tuple(sorted(loose)))}; whoever may label a namespace"
        f" decides whether this governs it. Guarded: {PREFIX}*, {NAMESPACE_NAME_LABEL}.",
    )


def status_written(user: User, accounts: Accounts) -> Refusal | None:
    """Somebody else says what the operator found (A10)."""
    if accounts.is_operator(user):
        return None
    return Refusal(
        GuardReason.NOT_THE_OPERATOR,
        f"{GuardReason.NOT_THE_OPERATOR}: only Weightlock's operator writes this status;"
        f" found {quoted(user.username)}.",
    )


def keys_set(
    user: User, before: Metadata | None, after: Metadata, accounts: Accounts
) -> Refusal | None:
    """Somebody else leaves notes for the operator: annotations, labels or finalizers (A10)."""
    if accounts.is_operator(user):
        return None
    prefixes = ("weightlock.dev/", *OPERATOR_PREFIXES)
    found = changed_keys(before, after, *prefixes) + added_finalizers(before, after, *prefixes)
    if not found:
        return None
    return Refusal(
        GuardReason.RESERVED_KEY,
        f"{GuardReason.RESERVED_KEY}: found {listed(found)} among annotations, labels or"
        " finalizers, expected none of Weightlock's own. Remove them from your change.",
    )


def owner_added(
    user: User, before: Metadata | None, after: Metadata, accounts: Accounts
) -> Refusal | None:
    """An owner that does not exist makes the garbage collector delete the object (B25)."""
    if accounts.is_operator(user) or is_platform(user):
        return None
    known = {owner.uid for owner in (before or Metadata()).owner_references or ()}
    added = [owner for owner in after.owner_references or () if owner.uid not in known]
    if not added:
        return None
    names = tuple(f"{owner.kind} {owner.name}" for owner in added)
    return Refusal(
        GuardReason.FOREIGN_OWNER,
        f"{GuardReason.FOREIGN_OWNER}: found the owners {listed(names)}, expected none: whoever"
        " deletes the owner would delete this object. Remove metadata.ownerReferences.",
    )


def _readable(value: Mapping[str, object]) -> dict[str, object]:
    """The object without its status, which the API server drops here, and with a name."""
    found = {key: member for key, member in value.items() if key != "status"}
    metadata = found.get("metadata")
    if isinstance(metadata, Mapping) and not metadata.get("name"):
        found["metadata"] = {**metadata, "name": PLACEHOLDER_NAME}
    return found
