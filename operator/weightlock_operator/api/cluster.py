"""What the operator asks of a cluster, as a Protocol: objects are plain JSON.

The implementation on a real API server is weightlock_operator.api.rest; tests have one in memory.
Every answer is a deep copy that belongs to the caller.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from weightlock.names import API_GROUP

Json = dict[str, Any]
"""An object of the API. Untyped on purpose: whoever reads one checks what it reads."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object, as paths of the API have it."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As objects have it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The path below the server's address."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, subresource) if part]
        return "/" + "/".join(parts)


CHECKPOINTS: Final = Resource(API_GROUP, "v1beta1", "modelcheckpoints", "ModelCheckpoint")
POLICIES: Final = Resource(API_GROUP, "v1beta1", "modelpolicies", "ModelPolicy")
CLUSTER_POLICIES: Final = Resource(
    API_GROUP, "v1beta1", "clustermodelpolicies", "ClusterModelPolicy", namespaced=False
)
JOBS: Final = Resource("batch", "v1", "jobs", "Job")
PODS: Final = Resource("", "v1", "pods", "Pod")
CLAIMS: Final = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
VOLUMES: Final = Resource("", "v1", "persistentvolumes", "PersistentVolume", namespaced=False)
NAMESPACES: Final = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
NODES: Final = Resource("", "v1", "nodes", "Node", namespaced=False)
EVENTS: Final = Resource("", "v1", "events", "Event")
SECRETS: Final = Resource("", "v1", "secrets", "Secret")
CONFIG_MAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")
STORAGE_CLASSES: Final = Resource(
    "storage.k8s.io", "v1", "storageclasses", "StorageClass", namespaced=False
)
ACCESS_REVIEWS: Final = Resource(
    "authorization.k8s.io",
    "v1",
    "selfsubjectaccessreviews",
    "SelfSubjectAccessReview",
    namespaced=False,
)


@dataclass(frozen=True, slots=True)
class Precondition:
    """What must still be so for a delete to happen; empty fields ask nothing."""

    uid: str = ""
    resource_version: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """All pages of a list, and the version that it shows."""

    items: list[Json]
    resource_version: str


class Cluster(Protocol):
    """Reads and writes objects.

    Every method raises ClusterTrouble (weightlock_operator.api.cluster_errors) and nothing else.
    """

    async def get(self, resource: Resource, namespace: str, name: str) -> Json:
        """The live object (a quorum read)."""
        ...

    async def list(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> Listing:
        """All objects, live, page by page."""
        ...

    async def some(self, resource: Resource, namespace: str, *, fields: str, most: int) -> Listing:
        """The first objects of a list that may be longer than anybody wants to know."""
        ...

    async def create(
        self, resource: Resource, namespace: str, body: Json, *, dry_run: bool = False
    ) -> Json:
        """A new object; with a dry run only what it would have been."""
        ...

    async def replace(
        self, resource: Resource, namespace: str, body: Json, *, subresource: str = ""
    ) -> Json:
        """Write a whole object; with its `metadata.resourceVersion` only if nobody wrote since."""
        ...

    async def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        change: Json,
        *,
        subresource: str = "",
    ) -> Json:
        """A merge patch; with a `metadata.resourceVersion` in it only if nobody wrote since."""
        ...

    async def delete(
        self, resource: Resource, namespace: str, name: str, *, only_if: Precondition
    ) -> None:
        """Delete in the background what is still the same object."""
        ...

    async def evict(self, namespace: str, pod: str, *, only_if: Precondition) -> None:
        """Ask for a pod's eviction; its disruption budget may refuse (Throttled)."""
        ...

    async def document(self, path: str) -> Json:
        """What the server answers to GET of any path, e.g. `/version` or discovery."""
        ...


def texts(value: object) -> Mapping[str, str]:
    """The texts of a map such as `metadata.labels`; whatever is no text is left out."""
    if not isinstance(value, Mapping):
        return {}
    return {
        key: text for key, text in value.items() if isinstance(key, str) and isinstance(text, str)
    }
