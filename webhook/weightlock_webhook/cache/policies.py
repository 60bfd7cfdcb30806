"""The policies, each read once when it arrives, and what they mean for a namespace.

A policy that cannot be read was stored while nobody checked, or by a newer version. What it would
have said is unknown, so nothing that it may govern is let in until somebody mends it
(weightlock.policy.unreadable); everything else is judged without it. So it is with those that are
beyond the room of a namespace: what they say is unknown, to that namespace only.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from weightlock.errors import PolicyInvalid, WeightlockError
from weightlock.names import API_VERSION
from weightlock.policy.objects import NAMESPACE_NAME_LABEL, Metadata, Policy, PolicyKind
from weightlock.policy.unreadable import UnreadablePolicy
from weightlock_webhook.cache.errors import Stale
from weightlock_webhook.cache.objects import Item, Key, NamespaceItem, PolicyItem
from weightlock_webhook.cache.resources import MOST_POLICIES
from weightlock_webhook.cache.store import Store
from weightlock_webhook.decision.governance import Governance

MOST_NAMESPACES: Final = 10_000
"""Namespaces whose policies are remembered; beyond, they are worked out again."""


Identity = tuple[str, int, str]
"""The uid of a policy, and its generation: status and metadata change without changing it. A server
that counts no generations gives the resource version instead."""


@dataclass(frozen=True, slots=True)
class _Known:
    identity: Identity
    policy: Policy | UnreadablePolicy


@dataclass(frozen=True, slots=True)
class _Governed:
    version: int
    namespace: NamespaceItem | None
    is_crowded: bool
    governance: Governance


class Policies:
    """Reads policies as they come and remembers what they mean."""

    def __init__(
        self,
        namespaces: Store[NamespaceItem],
        is_crowded: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """`is_crowded` says of a namespace that not all of its policies are known."""
        self._namespaces = namespaces
        self._is_crowded = is_crowded
        self._policies: dict[tuple[PolicyKind, Key], _Known] = {}
        self._by_namespace: dict[str, _Governed] = {}
        self._by_policies: dict[tuple[object, ...], Governance] = {}
        self._identities: dict[str, frozenset[Identity]] = {}
        self._selecting: bool | None = None
        self.version = 0
        """Changes whenever any policy does."""

    def listener(self, kind: PolicyKind) -> "PolicyListener":
        """What a store of policies of that kind tells its changes to."""
        return PolicyListener(self, kind)

    def changed(
        self, kind: PolicyKind, before: PolicyItem | None, after: PolicyItem | None
    ) -> None:
        """A policy is new, different or gone."""
        if before is not None and after is not None and identity_of(before) == identity_of(after):
            return
        if before is not None:
            self._policies.pop((kind, before.metadata.key), None)
        if after is not None:
            known = _Known(identity_of(after), _read(kind, after))
            self._policies[kind, after.metadata.key] = known
        self.version += 1
        self._selecting = None
        self._by_policies.clear()
        self._identities.clear()

    @property
    def select_by_labels(self) -> bool:
        """Whether it hangs on a namespace's labels who governs it."""
        if self._selecting is None:
            self._selecting = any(
                each.key != NAMESPACE_NAME_LABEL
                for (kind, _), known in self._policies.items()
                if kind is PolicyKind.CLUSTER_MODEL_POLICY
                for each in known.policy.namespace_selector.expressions
            )
        return self._selecting

    def has_to_hear_of(self, namespace: str) -> bool:
        """Whether the labels of a namespace count and are not known: it may be a new one."""
        return self._namespaces.get(("", namespace)) is None and self.select_by_labels

    def labels(self, namespace: str) -> dict[str, str]:
        """The labels of a namespace, as they were last heard of."""
        return labels_of(self._namespaces.get(("", namespace)))

    def governing(self, namespace: str) -> Governance:
        """What all policies together mean for a namespace.

        Raises:
            Stale: if that hangs on the labels of a namespace that nobody has heard of yet.
        """
        item = self._namespaces.get(("", namespace))
        if item is None and self.select_by_labels:
            raise Stale(
                f"nothing was heard yet of the namespace {namespace}, and labels choose policies",
                hint="Try again.",
            )
        is_crowded = self._is_crowded(namespace)
        known = self._by_namespace.get(namespace)
        if (
            known is not None
            and known.version == self.version
            and known.namespace is item
            and known.is_crowded is is_crowded
        ):
            return known.governance
        governance = self._governing(namespace, labels_of(item), is_crowded=is_crowded)
        if len(self._by_namespace) >= MOST_NAMESPACES:
            self._by_namespace.clear()
        self._by_namespace[namespace] = _Governed(self.version, item, is_crowded, governance)
        return governance

    def identities(self, namespace: str) -> frozenset[Identity]:
        """Of all policies that may govern a namespace, those of other namespaces left out."""
        found = self._identities.get(namespace)
        if found is None:
            found = frozenset(known.identity for _, known in self._over(namespace))
            if len(self._identities) >= MOST_NAMESPACES:
                self._identities.clear()
            self._identities[namespace] = found
        return found

    def _over(self, namespace: str) -> Iterator[tuple[tuple[PolicyKind, Key], _Known]]:
        for key, known in self._policies.items():
            kind, (where, _) = key
            if kind is PolicyKind.CLUSTER_MODEL_POLICY or where == namespace:
                yield key, known

    def _governing(self, namespace: str, labels: dict[str, str], *, is_crowded: bool) -> Governance:
        over = [known.policy for _, known in self._over(namespace)]
        if is_crowded:
            over.append(_unknown(namespace))
        governance = Governance.of(
            (each for each in over if isinstance(each, Policy)),
            namespace,
            labels,
            (each for each in over if isinstance(each, UnreadablePolicy)),
        )
        # Namespaces under the same policies share everything that was prepared from them.
        same = (
            governance.has_floor,
            tuple((each.policy.kind, each.policy.metadata) for each in governance.unread),
            *((each.kind, each.metadata) for each in governance.policies),
        )
        return self._by_policies.setdefault(same, governance)


class PolicyListener:
    """Tells the policies of one kind."""

    def __init__(self, policies: Policies, kind: PolicyKind) -> None:
        self._policies = policies
        self._kind = kind

    def __call__(self, before: PolicyItem | None, after: PolicyItem | None) -> None:
        """A policy is new, different or gone."""
        self._policies.changed(self._kind, before, after)


def labels_of(item: NamespaceItem | None) -> dict[str, str]:
    """The labels of a namespace; none of one that does not exist."""
    return (item and item.metadata.labels) or {}


def identity_of(item: Item) -> Identity:
    """What tells whether a policy says the same as before."""
    metadata = item.metadata
    return (
        metadata.uid,
        metadata.generation,
        "" if metadata.generation else metadata.resourceVersion,
    )


def _unknown(namespace: str) -> UnreadablePolicy:
    """What stands for the policies of a namespace that are too many to be known."""
    trouble = PolicyInvalid(
        f"the namespace {namespace} has more ModelPolicies than the {MOST_POLICIES} that are read",
        hint="Delete some of them; a ClusterModelPolicy with a namespaceSelector governs as well.",
    )
    name = Metadata(f"(beyond {MOST_POLICIES})", namespace)
    return UnreadablePolicy(PolicyKind.MODEL_POLICY, name, trouble)


def _read(kind: PolicyKind, item: PolicyItem) -> Policy | UnreadablePolicy:
    known = item.metadata
    metadata: dict[str, object] = {
        "name": known.name,
        "uid": known.uid,
        "generation": known.generation,
    }
    if known.namespace:
        metadata["namespace"] = known.namespace
    document = {"apiVersion": API_VERSION, "kind": kind.value, "metadata": metadata}
    spec: object = None
    trouble: WeightlockError
    try:
        spec = msgspec.json.decode(item.spec)
        return Policy.from_object({**document, "spec": spec})
    except WeightlockError as error:
        trouble = error
    except (msgspec.MsgspecError, RecursionError):
        spec, trouble = None, PolicyInvalid("its spec is not plain JSON")
    identity = Metadata(known.name, known.namespace, known.uid, known.generation)
    return UnreadablePolicy.of(kind, identity, spec, trouble)
