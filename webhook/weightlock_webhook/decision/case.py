"""One pod as some policies view it: what every check looks at."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from weightlock.policy.volumes import VolumeAction
from weightlock_webhook.decision.answers import Problem
from weightlock_webhook.decision.facts import Facts
from weightlock_webhook.decision.governance import View
from weightlock_webhook.decision.governing import GovernedVolume, governed_volumes
from weightlock_webhook.mounts.containers import Mount
from weightlock_webhook.mounts.pods import Pod


@dataclass(frozen=True, slots=True)
class Case:
    """A pod, the facts, and what the policies of one view want of each volume.

    `governed` are the volumes that must be verified, `governed_mounts` every way to one of them.
    """

    pod: Pod
    facts: Facts
    view: View
    volumes: Mapping[str, GovernedVolume]
    governed: tuple[GovernedVolume, ...]
    governed_mounts: tuple[Mount, ...]

    @classmethod
    def of(cls, pod: Pod, facts: Facts, view: View) -> "Case":
        """Look at a pod as the policies of one view do."""
        volumes = governed_volumes(pod, view, facts.storage)
        governed = {
            name: each for name, each in volumes.items() if each.action is VolumeAction.VERIFY
        }
        mounts = tuple(mount for mount in pod.mounts if mount.volume in governed)
        return cls(pod, facts, view, volumes, tuple(governed.values()), mounts)

    @property
    def is_governed(self) -> bool:
        """Whether any volume of the pod must be verified."""
        return bool(self.governed)


Check = Callable[[Case], Iterator[Problem]]
