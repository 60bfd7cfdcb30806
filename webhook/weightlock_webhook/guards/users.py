"""Who may touch what is ours: the operator, and the controllers that look after every object.

Nobody is ever let past a pod's own judgement for who they are: controllers make everybody's pods
(A15, B04). These names only open the doors to our own objects.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from weightlock.cluster_names import JOB_CONTROLLER_USER
from weightlock_webhook.documents import User

_CONTROLLER: Final = "system:serviceaccount:kube-system:"

CLEANERS: Final = frozenset(
    _CONTROLLER + name
    for name in (
        "daemon-set-controller",
        "disruption-controller",
        "generic-garbage-collector",
        "job-controller",
        "namespace-controller",
        "node-controller",
        "pod-garbage-collector",
        "taint-eviction-controller",
        "ttl-after-finished-controller",
    )
)
"""Controllers that delete pods and Jobs, or write why a pod ended."""

NODES: Final = "system:nodes"
NODE_PREFIX: Final = "system:node:"
SCHEDULER: Final = "system:kube-scheduler"
CONTROLLER_MANAGER: Final = "system:kube-controller-manager"
"""Who all the controllers are where each has no account of its own."""


@dataclass(frozen=True, slots=True)
class Accounts:
    """The users that this installation knows."""

    operator: str
    job_managers: frozenset[str] = frozenset()
    """Users that may update verification Jobs besides: a queue such as Kueue that starts them."""

    def is_operator(self, user: User) -> bool:
        """Whether the operator asks."""
        return user.username == self.operator

    def may_manage_jobs(self, user: User) -> bool:
        """Whether verification Jobs are theirs to update."""
        return self.is_operator(user) or user.username in self.job_managers | _PLATFORM


_PLATFORM: Final = CLEANERS | {CONTROLLER_MANAGER}


def is_platform(user: User) -> bool:
    """Whether a controller of the control plane asks."""
    return user.username in _PLATFORM


def is_job_controller(user: User) -> bool:
    """Whether the one controller that makes pods of Jobs asks."""
    return user.username in {JOB_CONTROLLER_USER, CONTROLLER_MANAGER}


def is_node(user: User) -> bool:
    """Whether a kubelet asks."""
    return user.username.startswith(NODE_PREFIX) and NODES in user.in_groups


def listed_users(users: Iterable[str]) -> frozenset[str]:
    """Users as a setting lists them."""
    return frozenset(user.strip() for user in users if user.strip())
