"""Labels of namespaces that decide who is governed (A30)."""

from weightlock.policy.objects import NAMESPACE_NAME_LABEL
from weightlock_webhook.documents import Metadata
from weightlock_webhook.guards.keys import changed_keys
from weightlock_webhook.guards.refusals import GuardReason, Refusal
from weightlock_webhook.wording import listed, quoted


def name_label_forged(name: str, after: Metadata) -> Refusal | None:
    """A namespace calls itself by another's name, to be exempt where servers do not set the label.

    Servers from 1.21 on keep the label right by themselves.
    """
    label = (after.labels or {}).get(NAMESPACE_NAME_LABEL)
    if label is None or label == name:
        return None
    return Refusal(
        GuardReason.NAMESPACE_NAME,
        f"{GuardReason.NAMESPACE_NAME}: found the label {NAMESPACE_NAME_LABEL}: {quoted(label)},"
        f" expected {quoted(name)}. Remove the label.",
    )


def labels_changed(before: Metadata | None, after: Metadata) -> tuple[str, ...]:
    """Our keys that change; whoever changes them must be allowed to write cluster policies."""
    return changed_keys(before, after)


def labels_refused(keys: tuple[str, ...]) -> Refusal:
    """The refusal for whoever is not."""
    return Refusal(
        GuardReason.RESERVED_KEY,
        f"{GuardReason.RESERVED_KEY}: the keys {listed(keys)} decide which policies govern a"
        " namespace. Only who may update ClusterModelPolicies may change them.",
    )
