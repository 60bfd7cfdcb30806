"""Live reads for reviews: what a request is about but does not carry."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import msgspec

from weightlock.errors import Unanswerable
from weightlock.names import API_GROUP
from weightlock_webhook import documents
from weightlock_webhook.documents import Metadata, Pod, User
from weightlock_webhook.live.lanes import Lanes
from weightlock_webhook.reviews.collaborators import Cluster

NOT_FOUND: Final = 404
_GOOD: Final = frozenset({200, 201})


class Job(msgspec.Struct, frozen=True):
    """A Job, as far as its pods are concerned."""

    metadata: Metadata
    spec: dict[str, object]


class _Verdict(msgspec.Struct, frozen=True):
    allowed: bool = False


class _AccessReview(msgspec.Struct, frozen=True):
    status: _Verdict = _Verdict()


_JOB: Final = msgspec.json.Decoder(Job)
_ACCESS: Final = msgspec.json.Decoder(_AccessReview)


class Reading:
    """Reads with the process's own client; an unexpected answer is no answer."""

    def __init__(self, cluster: Cluster, lanes: Lanes) -> None:
        self._cluster = cluster
        self._lanes = lanes

    async def pod(self, namespace: str, name: str, deadline: float) -> Pod | None:
        """A pod; None if there is none."""
        path = f"/api/v1/{_in(namespace)}/pods/{_segment(name)}"
        body = await self._get(namespace, path, deadline)
        return None if body is None else documents.decoded(body, documents.POD, "pod")

    async def job(self, namespace: str, name: str, deadline: float) -> Job | None:
        """A Job; None if there is none."""
        path = f"/apis/batch/v1/{_in(namespace)}/jobs/{_segment(name)}"
        body = await self._get(namespace, path, deadline)
        return None if body is None else documents.decoded(body, _JOB, "job")

    async def may_write_cluster_policies(self, user: User, deadline: float) -> bool:
        """Whether RBAC lets somebody update ClusterModelPolicies."""
        spec = {
            "user": user.username,
            "uid": user.uid,
            "groups": user.groups or [],
            "extra": user.extra or {},
            "resourceAttributes": {
                "group": API_GROUP,
                "resource": "clustermodelpolicies",
                "verb": "update",
            },
        }
        document: Mapping[str, object] = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": spec,
        }
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        reply = await self._cluster.call("POST", path, document, deadline=deadline)
        if reply.status not in _GOOD:
            raise Unanswerable(f"the API server answered {reply.status} to who may write policies")
        return documents.decoded(reply.body, _ACCESS, "access review").status.allowed

    async def _get(self, namespace: str, path: str, deadline: float) -> bytes | None:
        reply = await self._lanes.within(
            namespace, deadline, lambda: self._cluster.call("GET", path, deadline=deadline)
        )
        if reply.status == NOT_FOUND:
            return None
        if reply.status not in _GOOD:
            raise Unanswerable(f"the API server answered {reply.status} to a live read")
        return reply.body


def _in(namespace: str) -> str:
    return f"namespaces/{_segment(namespace)}"


def _segment(name: str) -> str:
    """One segment of a path, whatever a request calls itself."""
    if name in {"", ".", ".."}:
        raise Unanswerable("the request names no object")
    return quote(name, safe="")
