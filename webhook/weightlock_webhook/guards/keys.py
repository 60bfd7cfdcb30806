"""Labels, annotations and finalizers under our prefixes: which of them a request changes."""

from typing import Final

from weightlock.cluster_names import CHECKPOINT_UID_LABEL, PREFIX, VERIFICATION_LABEL
from weightlock_webhook.documents import Metadata

OPERATOR_PREFIXES: Final = ("operator.weightlock.dev/", "kopf.zalando.org/", "kopf.dev/")
"""Where the operator's framework would keep what it remembers, were it to keep anything (A10)."""

MARKS: Final = frozenset({VERIFICATION_LABEL, CHECKPOINT_UID_LABEL})
"""The labels that make a Job or a pod one of ours."""


_NOTHING: Final = Metadata()


def is_marked(metadata: Metadata | None) -> bool:
    """Whether this carries a label of verification Jobs and their pods."""
    labels = metadata.labels if metadata is not None else None
    return labels is not None and not MARKS.isdisjoint(labels)


def changed_keys(before: Metadata | None, after: Metadata, *prefixes: str) -> tuple[str, ...]:
    """Labels and annotations under the prefixes that are added, changed or gone; sorted."""
    known = before or _NOTHING
    found = {
        key
        for old, new in (
            (known.labels or {}, after.labels or {}),
            (known.annotations or {}, after.annotations or {}),
        )
        for key in (*old, *new)
        if key.startswith(prefixes or PREFIX) and old.get(key) != new.get(key)
    }
    return tuple(sorted(found))


def added_finalizers(before: Metadata | None, after: Metadata, *prefixes: str) -> tuple[str, ...]:
    """Finalizers under the prefixes that were not there before."""
    known = (before or Metadata()).finalizers or ()
    found = set(after.finalizers or ()) - set(known)
    return tuple(sorted(name for name in found if name.startswith(prefixes)))
