"""Several policies at once.

Laws, for non-empty sets: more policies never allow more; their order never matters; the same policy
twice is the same policy.

A volume is fine only if every policy that governs it is satisfied (A14). No policy at all is not
"all satisfied" but the strictest answer to every question (A31).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import reduce
from typing import TypeVar

from weightlock.policy.objects import Policy, PolicyKind
from weightlock.policy.requirements import SignatureRequirements
from weightlock.policy.spec import Enforcement, OnFailure, OnUnverified, ReadOnly
from weightlock.policy.verification import Limits, Verification
from weightlock.policy.volumes import VolumeAction, VolumeFacts, strictest_action

_Word = TypeVar("_Word", bound=StrEnum)


def _strictest(words: Iterable[_Word], vocabulary: type[_Word]) -> _Word:
    """The strictest of the words, which their enum lists from strict to lax."""
    order = list(vocabulary)
    return min(words, key=order.index, default=order[0])


@dataclass(frozen=True, slots=True)
class Composition:
    """The policies that govern one place, in an order of their own."""

    policies: tuple[Policy, ...]

    @classmethod
    def of(cls, policies: Iterable[Policy]) -> "Composition":
        """Compose policies given in any order."""
        return cls(tuple(sorted(set(policies), key=_rank)))

    @property
    def enforcement(self) -> Enforcement:
        """The strictest of all. For one violation, `enforcement_of` those that are violated."""
        return enforcement_of(self.policies)

    @property
    def binding(self) -> "Composition":
        """The policies that decide: those as strict as the strictest. Laxer ones only watch.

        A checkpoint's verdict is reached under these, or a policy that is being tried out in Audit
        could take the verdict away that an enforcing one rests on.
        """
        strictest = self.enforcement
        return Composition(
            tuple(policy for policy in self.policies if policy.spec.enforcement is strictest)
        )

    @property
    def on_unverified(self) -> OnUnverified:
        """The strictest of all."""
        return on_unverified_of(self.policies)

    @property
    def on_failure(self) -> OnFailure:
        """The strictest of all."""
        return _strictest((policy.spec.on_failure for policy in self.policies), OnFailure)

    @property
    def read_only(self) -> ReadOnly:
        """The strictest of all."""
        return _strictest((policy.spec.read_only for policy in self.policies), ReadOnly)

    @property
    def max_age(self) -> timedelta:
        """The shortest of all; none at all for no policy."""
        return min((policy.spec.max_age for policy in self.policies), default=timedelta(0))

    @property
    def auto_register(self) -> bool:
        """Whether any policy wants checkpoints registered that a pod asked for."""
        return any(policy.spec.auto_register for policy in self.policies)

    @property
    def requirements(self) -> tuple[SignatureRequirements, ...]:
        """What the judge needs of every policy."""
        return tuple(SignatureRequirements.of_policy(policy) for policy in self.policies)

    @property
    def limits(self) -> Limits:
        """The smallest of each limit; the defaults for no policy."""
        limits = [policy.spec.verification.limits for policy in self.policies]
        return reduce(Limits.narrowed, limits) if limits else Limits()

    @property
    def verification(self) -> Verification:
        """How to verify, except for limits: as the first policy says.

        Cluster policies come first, so a namespaced one takes no priority, queue or node for itself
        that its administrator did not give.
        """
        return self.policies[0].spec.verification if self.policies else Verification()

    def action_for(self, volume: VolumeFacts) -> VolumeAction:
        """The strictest action of all; Forbid without any policy."""
        return strictest_action(policy.spec.volumes.action_for(volume) for policy in self.policies)

    def expires(self, verified_at: datetime) -> datetime:
        """When a verdict of that instant stops counting."""
        return verified_at + self.max_age


def enforcement_of(policies: Iterable[Policy]) -> Enforcement:
    """How strictly a violation of these policies is answered; Enforce for none (A31)."""
    return _strictest((policy.spec.enforcement for policy in policies), Enforcement)


def on_unverified_of(policies: Iterable[Policy]) -> OnUnverified:
    """What becomes of a pod under these policies whose verdict is missing; Deny for none (A31)."""
    return _strictest((policy.spec.on_unverified for policy in policies), OnUnverified)


def _rank(policy: Policy) -> tuple[bool, str, str, str, int]:
    metadata = policy.metadata
    return (
        policy.kind is not PolicyKind.CLUSTER_MODEL_POLICY,
        metadata.namespace,
        metadata.name,
        metadata.uid,
        metadata.generation,
    )
