"""What the operator may do on a cluster, one line per right, with what it needs it for.

manifests/base/operator/role.yaml says the same to the API server; a test holds the two together,
and another that the operator uses each of them and nothing else. At start each is asked for
(weightlock_operator.api.permissions), so a trimmed role is found before it hurts (E17).
"""

from dataclasses import dataclass
from typing import Final

from weightlock.cluster_names import (
    OPERATOR_ACCOUNT,
    SEAL_SECRET,
    STATE_CONFIG_MAP,
    VERSIONS_CONFIG_MAP,
)
from weightlock.names import API_GROUP


@dataclass(frozen=True, slots=True)
class Right:
    """Verbs on one resource."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    why: str
    names: tuple[str, ...] = ()
    """Only on objects of these names."""
    optional: bool = False
    """The operator works without; the resource may not even be served."""


FOLLOW: Final = ("list", "watch")
WATCH: Final = ("get", *FOLLOW)

CLUSTER_RIGHTS: Final = (
    Right(API_GROUP, "modelcheckpoints", (*WATCH, "create"), "watched; created by autoRegister"),
    Right(API_GROUP, "modelcheckpoints/status", ("update",), "the verdict"),
    Right(API_GROUP, "modelpolicies", FOLLOW, "watched"),
    Right(API_GROUP, "modelpolicies/status", ("update",), "Ready and the counts"),
    Right(API_GROUP, "clustermodelpolicies", FOLLOW, "watched"),
    Right(API_GROUP, "clustermodelpolicies/status", ("update",), "Ready and the counts"),
    Right("batch", "jobs", (*WATCH, "create", "delete"), "verification Jobs"),
    Right("", "pods", (*WATCH, "patch"), "reports, users, writers; held pods are let go"),
    Right("", "pods/eviction", ("create",), "onFailure: Evict"),
    Right("", "persistentvolumeclaims", WATCH, "the identity of storage"),
    Right("", "persistentvolumes", WATCH, "the identity of storage"),
    Right("storage.k8s.io", "storageclasses", ("get",), "whether a claim waits for its first pod"),
    Right("", "namespaces", FOLLOW, "which policies govern"),
    Right("", "events", ("list", "watch", "create", "patch"), "asked-for verifications; our own"),
    Right(
        "wgpolicyk8s.io",
        "policyreports",
        ("get", "create", "update", "delete"),
        "one report per namespace",
        optional=True,
    ),
    Right(
        "openreports.io",
        "reports",
        ("get", "create", "update", "delete"),
        "one report per namespace",
        optional=True,
    ),
)

OWN_RIGHTS: Final = (
    Right(
        "coordination.k8s.io",
        "leases",
        ("get", "update"),
        "leader election",
        names=(OPERATOR_ACCOUNT,),
    ),
    Right("coordination.k8s.io", "leases", ("create",), "leader election"),
    Right("", "secrets", ("get", "update"), "the seal's key", names=(SEAL_SECRET,)),
    Right("", "secrets", ("create",), "the seal's key, the first time"),
    Right(
        "",
        "configmaps",
        ("get", "update"),
        "the rollback floor; restores from a backup",
        names=(VERSIONS_CONFIG_MAP, STATE_CONFIG_MAP),
    ),
    Right("", "configmaps", ("create",), "both, the first time"),
)
"""In the operator's own namespace. `create` cannot be limited to a name, so it stands alone."""
