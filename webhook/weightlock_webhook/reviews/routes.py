"""Which path serves what: exactly this, and nothing else is ever allowed (A04)."""

from dataclasses import dataclass
from typing import Final

from weightlock.names import API_GROUP
from weightlock_webhook.documents import Request

ANY: Final = "*"

CREATE: Final = frozenset({"CREATE"})
UPDATE: Final = frozenset({"UPDATE"})
DELETE: Final = frozenset({"DELETE"})
CONNECT: Final = frozenset({"CONNECT"})
OUR_VERSIONS: Final = frozenset({"v1beta1"})
V1: Final = frozenset({"v1"})


@dataclass(frozen=True, slots=True)
class Served:
    """One kind of request."""

    group: str
    versions: frozenset[str]
    resource: str
    sub_resource: str
    operations: frozenset[str]
    kinds: frozenset[str]

    def covers(self, request: Request) -> bool:
        """Whether a request is of this kind, in every part."""
        asked = request.resource
        return (
            self.group in {ANY, asked.group}
            and (not self.versions or asked.version in self.versions)
            and self.resource in {ANY, asked.resource}
            and self.sub_resource == request.sub_resource
            and request.operation in self.operations
            and (not self.kinds or request.kind.kind in self.kinds)
        )


def _core(resource: str, sub: str, operations: frozenset[str], *kinds: str) -> Served:
    return Served("", V1, resource, sub, operations, frozenset(kinds))


def _jobs(sub: str, operations: frozenset[str]) -> Served:
    return Served("batch", V1, "jobs", sub, operations, frozenset({"Job"}))


def _ours(resource: str, sub: str, operations: frozenset[str], kind: str) -> Served:
    return Served(API_GROUP, OUR_VERSIONS, resource, sub, operations, frozenset({kind}))


OUR_KINDS: Final = {
    "modelpolicies": "ModelPolicy",
    "clustermodelpolicies": "ClusterModelPolicy",
    "modelcheckpoints": "ModelCheckpoint",
}

VALIDATE_PODS: Final = "/validate/pods"
MUTATE_PODS: Final = "/mutate/pods"
VALIDATE_BINDINGS: Final = "/validate/bindings"
VALIDATE_EPHEMERAL: Final = "/validate/ephemeralcontainers"
VALIDATE_PROTECTED: Final = "/validate/protected"
VALIDATE_CONNECTIONS: Final = "/validate/connections"
VALIDATE_POLICIES: Final = "/validate/policies"
VALIDATE_NAMESPACES: Final = "/validate/namespaces"
VALIDATE_CLAIMS: Final = "/validate/claims"
VALIDATE_WORKLOADS: Final = "/validate/workloads"

SERVED: Final[dict[str, tuple[Served, ...]]] = {
    VALIDATE_PODS: (_core("pods", "", CREATE | UPDATE, "Pod"),),
    MUTATE_PODS: (_core("pods", "", CREATE, "Pod"),),
    VALIDATE_BINDINGS: (
        _core("pods", "binding", CREATE, "Binding"),
        _core("bindings", "", CREATE, "Binding"),
    ),
    VALIDATE_EPHEMERAL: (
        _core("pods", "ephemeralcontainers", UPDATE, "Pod", "EphemeralContainers"),
    ),
    VALIDATE_PROTECTED: (
        _jobs("", CREATE | UPDATE | DELETE),
        _jobs("status", UPDATE),
        _core("pods", "", DELETE, "Pod"),
        _core("pods", "status", UPDATE, "Pod"),
        _core("pods", "resize", UPDATE, "Pod"),
    ),
    VALIDATE_CONNECTIONS: (
        _core("pods", "exec", CONNECT, "PodExecOptions"),
        _core("pods", "attach", CONNECT, "PodAttachOptions"),
        _core("pods", "portforward", CONNECT, "PodPortForwardOptions"),
    ),
    VALIDATE_POLICIES: tuple(
        _ours(resource, sub, operations, kind)
        for resource, kind in OUR_KINDS.items()
        for sub, operations in (("", CREATE | UPDATE), ("status", UPDATE))
    ),
    VALIDATE_NAMESPACES: (
        _core("namespaces", "", CREATE | UPDATE, "Namespace"),
        _core("namespaces", "status", UPDATE, "Namespace"),
        _core("namespaces", "finalize", UPDATE, "Namespace"),
    ),
    VALIDATE_CLAIMS: (
        _core("persistentvolumeclaims", "", UPDATE, "PersistentVolumeClaim"),
        _core("persistentvolumeclaims", "status", UPDATE, "PersistentVolumeClaim"),
    ),
    # Templates are found by their shape, so any kind may come.
    VALIDATE_WORKLOADS: (Served(ANY, frozenset(), ANY, "", CREATE | UPDATE, frozenset()),),
}


def is_served(path: str, request: Request) -> bool:
    """Whether this path answers this request."""
    return any(served.covers(request) for served in SERVED[path])
