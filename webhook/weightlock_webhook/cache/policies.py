"""The policies, each read once when it arrives, and what they mean for a namespace.

A policy that cannot be read was stored while nobody checked, or by a newer version. What it would
have said is unknown, so nothing that it may govern is let in until somebody mends it
(weightlock.policy.unreadable); everything else is judged without it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from weightlock.errors import PolicyInvalid, WeightlockError
from weightlock.names import API_VERSION
from weightlock.policy.objects import Metadata, Policy, PolicyKind
from weightlock.policy.unreadable import UnreadablePolicy
from weightlock_webhook.cache.objects import Item, Key, NamespaceItem, PolicyItem
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
    governance: Governance


class Policies:
    """Reads policies as they come and remembers what they mean."""

    def __init__(self, namespaces: Store[NamespaceItem]) -> None:
        self._namespaces = namespaces
        self._policies: dict[tuple[PolicyKind, Key], _Known] = {}
        self._by_namespace: dict[str, _Governed] = {}
        self._by_policies: dict[tuple[object, ...], Governance] = {}
        self._identities: dict[str, frozenset[Identity]] = {}
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
        self._by_policies.clear()
        self._identities.clear()

    def governing(self, namespace: str) -> Governance:
        """What all policies together mean for a namespace."""
        item = self._namespaces.get(("", namespace))
        known = self._by_namespace.get(namespace)
        if known is not None and known.version == self.version and known.namespace is item:
            return known.governance
        governance = self._governing(namespace, (item and item.metadata.labels) or {})
        if len(self._by_namespace) >= MOST_NAMESPACES:
            self._by_namespace.clear()
        self._by_namespace[namespace] = _Governed(self.version, item, governance)
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

    def _governing(self, namespace: str, labels: dict[str, str]) -> Governance:
        over = [known.policy for _, known in self._over(namespace)]
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


def identity_of(item: Item) -> Identity:
    """What tells whether a policy says the same as before."""
    metadata = item.metadata
    return (
        metadata.uid,
        metadata.generation,
        "" if metadata.generation else metadata.resourceVersion,
    )


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
