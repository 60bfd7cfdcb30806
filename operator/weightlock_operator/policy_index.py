"""The policies and whom they govern."""

from collections.abc import Mapping
from dataclasses import dataclass

from weightlock.policy.objects import Policy, PolicyKind, policies_governing
from weightlock_operator.api.cluster import CLUSTER_POLICIES, POLICIES, Json, Resource
from weightlock_operator.api.parsing import lightened
from weightlock_operator.decision.policies import Invalid, read_policy


@dataclass(slots=True)
class PolicyEntry:
    """A policy object: what it says, and what its status said when it was last seen."""

    resource: Resource
    body: Json
    found: Policy | Invalid


class PolicyIndex:
    """For one event loop."""

    def __init__(self) -> None:
        self.entries: dict[str, PolicyEntry] = {}
        """By uid."""

    def take(self, body: Json, *, deleted: bool) -> bool:
        """Take one as it is now, or its end; whether more than its status is news."""
        uid = body["metadata"]["uid"]
        before = self.entries.pop(uid, None)
        if deleted:
            return True
        cluster = body.get("kind") == PolicyKind.CLUSTER_MODEL_POLICY
        resource = CLUSTER_POLICIES if cluster else POLICIES
        self.entries[uid] = PolicyEntry(resource, lightened(body), read_policy(body))
        generation = body["metadata"].get("generation")
        return before is None or before.body["metadata"].get("generation") != generation

    def governing(
        self, namespace: str, labels: Mapping[str, str]
    ) -> tuple[tuple[Policy, ...], tuple[str, ...]]:
        """The policies of a namespace, and the names of those that might be and cannot be read."""
        found = self.entries.values()
        usable = [each.found for each in found if isinstance(each.found, Policy)]
        invalid = tuple(
            each.found.name
            for each in found
            if isinstance(each.found, Invalid)
            and each.body["metadata"].get("namespace", namespace) == namespace
        )
        return policies_governing(usable, namespace, labels), invalid

    def known(self, resource: Resource) -> list[tuple[str, Json]]:
        """Uid and body of each of a kind."""
        return [(uid, each.body) for uid, each in self.entries.items() if each.resource is resource]
