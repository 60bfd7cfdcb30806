"""One pod under one policy: what every check looks at."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from weightlock.policy.objects import Policy
from weightlock.policy.spec import Enforcement
from weightlock.policy.volumes import VolumeAction
from weightlock_webhook.decision.answers import Problem
from weightlock_webhook.decision.facts import Facts
from weightlock_webhook.decision.governing import GovernedVolume, governed_volumes
from weightlock_webhook.mounts.containers import Mount
from weightlock_webhook.mounts.pods import Pod


@dataclass(frozen=True, slots=True)
class Case:
    """A pod, the facts, one policy, and what that policy wants of each volume."""

    pod: Pod
    facts: Facts
    policy: Policy
    volumes: Mapping[str, GovernedVolume]
    denied_keyids: frozenset[str] = frozenset()
    """The keys that any enforcing policy denies: they count for none (A14)."""

    @classmethod
    def each(cls, pod: Pod, facts: Facts, policies: Iterable[Policy]) -> "Iterator[Case]":
        """The pod as each of the policies sees it."""
        governing = tuple(policies)
        denied = frozenset().union(
            *(
                policy.spec.denied.keyids
                for policy in governing
                if policy.spec.enforcement is Enforcement.ENFORCE
            )
        )
        for policy in governing:
            yield cls(pod, facts, policy, governed_volumes(pod, policy, facts.storage), denied)

    def with_action(self, action: VolumeAction) -> tuple[GovernedVolume, ...]:
        """The volumes that the policy wants this done with."""
        return tuple(each for each in self.volumes.values() if each.action is action)

    @property
    def is_governed(self) -> bool:
        """Whether the policy wants any volume of the pod verified."""
        return any(each.action is VolumeAction.VERIFY for each in self.volumes.values())

    @property
    def governed_mounts(self) -> tuple[Mount, ...]:
        """Every way to a volume that the policy wants verified."""
        return tuple(
            mount
            for mount in self.pod.mounts
            if self.volumes[mount.volume].action is VolumeAction.VERIFY
        )


Check = Callable[[Case], Iterator[Problem]]
