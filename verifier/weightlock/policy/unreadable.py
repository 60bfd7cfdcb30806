"""A stored policy that cannot be read, as far as it can be told whom it may govern.

What it demands is unknown, so whatever it may govern is refused; nothing else is, or one poisonous
policy would stop a cluster. It was stored while nobody checked, or by a newer version.

1. a field beside those that are known may say anything, also where the policy governs: then no part
   of it is believed
2. each part is read by itself; one that cannot be read is the widest and strictest that it could be
3. a key that an enforcing policy denies counts under no other policy either, so where the denied
   keys cannot be read, no volume is left alone
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from weightlock.errors import WeightlockError
from weightlock.policy.bounds import DENIED_FIELDS, Denied
from weightlock.policy.fields import Fields
from weightlock.policy.objects import Metadata, PolicyKind, governs, origin_of
from weightlock.policy.selectors import SELECTOR_FIELDS, LabelSelector
from weightlock.policy.spec import SPEC_FIELDS, Enforcement
from weightlock.policy.volumes import VOLUMES_FIELDS, Volumes

_Part = TypeVar("_Part")


@dataclass(frozen=True, slots=True)
class UnreadablePolicy:
    """What is known of a policy that cannot be read; by default, nothing.

    `volumes` None: any volume of any kind may be its business.
    """

    kind: PolicyKind
    metadata: Metadata
    trouble: WeightlockError = field(compare=False)
    namespace_selector: LabelSelector = field(default_factory=LabelSelector)
    enforcement: Enforcement = Enforcement.ENFORCE
    volumes: Volumes | None = None
    denied: Denied = field(default_factory=Denied)

    @classmethod
    def of(
        cls, kind: PolicyKind, metadata: Metadata, spec: object, trouble: WeightlockError
    ) -> "UnreadablePolicy":
        """Read what can be read of a spec; never raises."""
        try:
            fields = Fields(spec, "spec", SPEC_FIELDS)
        except WeightlockError:  # (1)
            return cls(kind, metadata, trouble)
        denied = _part(lambda: Denied.from_fields(fields.section("denied", DENIED_FIELDS)))
        volumes = _part(lambda: Volumes.from_fields(fields.section("volumes", VOLUMES_FIELDS)))
        return cls(
            kind,
            metadata,
            trouble,
            _part(lambda: _selector(fields)) or LabelSelector(),
            _part(lambda: _enforcement(fields)) or Enforcement.ENFORCE,
            volumes if denied is not None else None,  # (3)
            denied or Denied(),
        )

    @property
    def origin(self) -> str:
        """How messages name the policy."""
        return origin_of(self.kind, self.metadata)

    def may_govern(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Whether pods of a namespace may be its business."""
        return governs(self, namespace, labels)


def _part(read: Callable[[], _Part]) -> _Part | None:
    """(2)."""
    try:
        return read()
    except WeightlockError:
        return None


def _selector(fields: Fields) -> LabelSelector:
    return LabelSelector.from_fields(fields.section("namespaceSelector", SELECTOR_FIELDS))


def _enforcement(fields: Fields) -> Enforcement:
    return fields.choice_or("enforcement", Enforcement, Enforcement.ENFORCE)
