"""The policies that govern a namespace, prepared once for all pods of it.

Policies change rarely and pods come by the thousand, so whatever depends on policies alone is done
here. Policies that look at volumes alike share one view, and its checks run once for all of them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol

from weightlock.policy.bounds import Denied
from weightlock.policy.objects import Placed, Policy, PolicyKind, policies_governing
from weightlock.policy.requirements import SignatureRequirements
from weightlock.policy.spec import Enforcement, ReadOnly
from weightlock.policy.unreadable import UnreadablePolicy
from weightlock.policy.volumes import VolumeAction, VolumeFacts, Volumes
from weightlock_webhook.mounts.sources import CONFIGURATION, EMPTY_DIR


@dataclass(frozen=True, slots=True)
class Demand:
    """A policy, and what it demands of signatures."""

    policy: Policy
    requirements: SignatureRequirements

    @property
    def origin(self) -> str:
        """How messages name the policy."""
        return self.requirements.origin


@dataclass(frozen=True, slots=True)
class Ageing:
    """Policies of one view for which verdicts count equally long."""

    max_age: timedelta
    demands: tuple[Demand, ...]


@dataclass(frozen=True, slots=True)
class View:
    """How some policies look at volumes, and what each of them demands."""

    volumes: Volumes
    only_rules: Volumes
    """The same without a default: for what no default is about."""

    read_only: ReadOnly
    ages: tuple[Ageing, ...]
    policies: tuple[Policy, ...]
    """The policies that look this way."""

    @property
    def demands(self) -> Iterator[Demand]:
        """What each of them demands."""
        return (demand for ageing in self.ages for demand in ageing.demands)


@dataclass(frozen=True, slots=True)
class Unread:
    """A policy that may govern the namespace and cannot be read."""

    policy: UnreadablePolicy
    view: View | None
    """How it looks at volumes; None if nobody can tell."""


@dataclass(frozen=True, slots=True)
class Governance:
    """Every policy that governs a namespace, in an order of its own."""

    policies: tuple[Policy, ...]
    views: tuple[View, ...]
    origins: tuple[str, ...]
    """How messages name the policies."""

    has_floor: bool
    """Whether an administrator has written any policy; a tenant's does not count (A14)."""

    leaves_plain_pods_alone: bool = False
    """Whether no rule names scratch space or configuration, so that a pod with nothing else is
    nobody's business."""

    unread: tuple[Unread, ...] = ()
    """Those that may govern it and cannot be read."""

    @property
    def enforcement(self) -> Enforcement | None:
        """How strictly the strictest of them answers a violation; None for none."""
        found = {policy.spec.enforcement for policy in self.policies}
        found |= {each.policy.enforcement for each in self.unread}
        return next((each for each in Enforcement if each in found), None)

    @classmethod
    def of(
        cls,
        policies: Iterable[Policy],
        namespace: str,
        labels: Mapping[str, str],
        unreadable: Iterable[UnreadablePolicy] = (),
    ) -> "Governance":
        """What all the policies of a cluster mean for one namespace."""
        known, unknown = tuple(policies), tuple(unreadable)
        governing = tuple(
            sorted(policies_governing(known, namespace, labels), key=lambda policy: policy.origin)
        )
        unread = tuple(
            Unread(policy, _view_of(policy))
            for policy in sorted(unknown, key=lambda policy: policy.origin)
            if policy.may_govern(namespace, labels)
        )
        views = _views(governing, unread)
        return cls(
            governing,
            views,
            (*(each.origin for each in governing), *(each.policy.origin for each in unread)),
            PolicyKind.CLUSTER_MODEL_POLICY in {*_kinds(known), *_kinds(unknown)},
            all(map(_leaves_plain_volumes_alone, (*views, *(each.view for each in unread)))),
            unread,
        )


def _kinds(policies: Iterable[Placed]) -> Iterator[PolicyKind]:
    return (policy.kind for policy in policies)


def _view_of(policy: UnreadablePolicy) -> View | None:
    volumes = policy.volumes
    if volumes is None:
        return None
    return View(volumes, _only_rules(volumes), ReadOnly.REQUIRED, (), ())


def _leaves_plain_volumes_alone(view: View | None) -> bool:
    return view is not None and all(
        view.only_rules.action_for(VolumeFacts(kind)) is VolumeAction.IGNORE
        for kind in sorted(CONFIGURATION | {EMPTY_DIR})
    )


def _views(policies: tuple[Policy, ...], unread: tuple[Unread, ...]) -> tuple[View, ...]:
    denied = _denied(policy.spec for policy in policies) | _denied(each.policy for each in unread)
    looks: dict[tuple[Volumes, ReadOnly], list[Demand]] = {}
    for policy in policies:
        demand = Demand(policy, _requirements(policy, denied))
        looks.setdefault((policy.spec.volumes, policy.spec.read_only), []).append(demand)
    return tuple(
        View(
            volumes,
            _only_rules(volumes),
            read_only,
            _ages(demands),
            tuple(demand.policy for demand in demands),
        )
        for (volumes, read_only), demands in looks.items()
    )


class _Denying(Protocol):
    @property
    def enforcement(self) -> Enforcement: ...

    @property
    def denied(self) -> Denied: ...


def _denied(policies: Iterable[_Denying]) -> frozenset[str]:
    return frozenset[str]().union(
        *(each.denied.keyids for each in policies if each.enforcement is Enforcement.ENFORCE)
    )


def _ages(demands: list[Demand]) -> tuple[Ageing, ...]:
    found: dict[timedelta, list[Demand]] = {}
    for demand in demands:
        found.setdefault(demand.policy.spec.max_age, []).append(demand)
    return tuple(Ageing(max_age, tuple(each)) for max_age, each in found.items())


def _requirements(policy: Policy, denied: frozenset[str]) -> SignatureRequirements:
    """What a policy demands. A key that one enforcing policy denies counts for none (A14)."""
    own = SignatureRequirements.of_policy(policy)
    return replace(own, denied=replace(own.denied, keyids=own.denied.keyids | denied))


def _only_rules(volumes: Volumes) -> Volumes:
    return replace(volumes, default=VolumeAction.IGNORE)
