"""What is read live, typed as the cache types it."""

import asyncio
import re
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, Final, TypeAlias
from urllib.parse import quote

import msgspec

from weightlock_webhook.cache import resources
from weightlock_webhook.cache.decoding import decoded
from weightlock_webhook.cache.errors import Unreachable
from weightlock_webhook.cache.objects import (
    CheckpointItem,
    ClaimItem,
    DeviceClaimItem,
    Item,
    Key,
    NamespaceItem,
    Page,
    PodDevices,
    VolumeItem,
)
from weightlock_webhook.cache.policies import Identity, identity_of
from weightlock_webhook.live.lanes import CLUSTER, Lanes
from weightlock_webhook.live.sharing import SharedReads
from weightlock_webhook.reviews.collaborators import Cluster

DEVICE_CLAIMS: Final = "resourceclaims"
DEVICE_CLAIM_TEMPLATES: Final = "resourceclaimtemplates"

JSON: Final = "application/json"

POLICIES_SECONDS: Final = 0.25
"""How old the look at the policies may be that confirms them. Their watch brings a change within
milliseconds; this bounds it where the watch lags (A23 allows a second)."""

LOOK_SECONDS: Final = 0.5
"""How often the same object is looked at for the sake of pods that are refused."""

MOST_LISTED: Final = 500

ONLY_METADATA: Final = (
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"
)
"""Which policies there are is told by their metadata; their specs, with their keys, stay where they
are. A server that cannot leave them out sends them all the same."""

Read: TypeAlias = "asyncio.Future[Any]"
"""A read that is under way, or done."""

NAMESPACES: Final = "namespaces"
CLAIMS: Final = "persistentvolumeclaims"
VOLUMES: Final = "persistentvolumes"
PODS: Final = "pods"
CHECKPOINTS: Final = resources.CHECKPOINTS
"""Plurals in paths, and words of a metric."""

_IS_SIMPLE: Final = re.compile(r"[A-Za-z0-9][-A-Za-z0-9.]*").fullmatch

_NAMESPACE: Final = msgspec.json.Decoder(NamespaceItem)
_CLAIM: Final = msgspec.json.Decoder(ClaimItem)
_VOLUME: Final = msgspec.json.Decoder(VolumeItem)
_CHECKPOINT: Final = msgspec.json.Decoder(CheckpointItem)
_DEVICE_CLAIM: Final = msgspec.json.Decoder(DeviceClaimItem)
_POD_DEVICES: Final = msgspec.json.Decoder(PodDevices)
_POLICIES: Final = msgspec.json.Decoder(Page[Item])
_CHECKPOINTS: Final = msgspec.json.Decoder(Page[CheckpointItem])


class LiveReads:
    """Reads of single objects, shared between pods that ask at the same time.

    `lanes` gives them their turn; `observed` hears the resource and the result of each, for
    metrics.
    """

    def __init__(
        self,
        cluster: Cluster,
        lanes: Lanes,
        observed: Callable[[str, str], None] = lambda *_: None,
    ) -> None:
        self._cluster = cluster
        self._observed = observed
        self._shared: SharedReads[Any] = SharedReads(lanes)

    def namespace(self, name: str, max_age_seconds: float = 0.0) -> Read:
        """A NamespaceItem; None if there is none."""
        path = f"/api/v1/namespaces/{_segment(name)}"
        return self._object(name, path, NAMESPACES, _NAMESPACE, max_age_seconds)

    def claim(self, key: Key, max_age_seconds: float = 0.0) -> Read:
        """A ClaimItem; None if there is none."""
        path = f"/api/v1/{_in(key[0])}/{CLAIMS}/{_segment(key[1])}"
        return self._object(key[0], path, CLAIMS, _CLAIM, max_age_seconds)

    def volume(self, name: str, namespace: str, max_age_seconds: float = 0.0) -> Read:
        """A VolumeItem, for a pod of a namespace; None if there is none."""
        path = f"/api/v1/{VOLUMES}/{_segment(name)}"
        return self._object(namespace, path, VOLUMES, _VOLUME, max_age_seconds)

    def checkpoint(self, key: Key, max_age_seconds: float = 0.0) -> Read:
        """A CheckpointItem; None if there is none."""
        where = f"{resources.GROUP_PATH}/{_in(key[0])}"
        path = f"{where}/{CHECKPOINTS}/{_segment(key[1])}"
        return self._object(key[0], path, CHECKPOINTS, _CHECKPOINT, max_age_seconds)

    def checkpoints(self, namespace: str) -> Read:
        """A list of CheckpointItem, as they were a moment ago; so many of them at most."""
        path = f"{resources.GROUP_PATH}/{_in(namespace)}/{CHECKPOINTS}?limit={MOST_LISTED}"
        return self._shared.begin(
            namespace, path, lambda deadline: self._listed(path, deadline), LOOK_SECONDS
        )

    def policies(self, namespace: str) -> tuple[Read, Read]:
        """Which cluster policies there are, and which of the namespace: sets of identities."""
        of_cluster = f"{resources.GROUP_PATH}/{resources.CLUSTER_POLICIES}"
        own = f"{resources.GROUP_PATH}/{_in(namespace)}/{resources.POLICIES}"
        return (
            self._policies(CLUSTER, of_cluster, resources.CLUSTER_POLICIES),
            self._policies(namespace, own, resources.POLICIES),
        )

    def device_claim(self, api: str, plural: str, key: Key) -> Read:
        """The spec of a ResourceClaim or ResourceClaimTemplate; None if there is none."""
        path = f"/apis/resource.k8s.io/{api}/{_in(key[0])}/{plural}/{_segment(key[1])}"
        return self._object(key[0], path, plural, _DEVICE_CLAIM)

    def claimed_devices(self, key: Key) -> Read:
        """A PodDevices; None if there is no such pod."""
        path = f"/api/v1/{_in(key[0])}/{PODS}/{_segment(key[1])}"
        return self._object(key[0], path, PODS, _POD_DEVICES)

    def _object(
        self,
        namespace: str,
        path: str,
        resource: str,
        decoder: Any,
        max_age_seconds: float = 0.0,
    ) -> Read:
        return self._shared.begin(
            namespace,
            path,
            lambda deadline: self._one(path, resource, decoder, deadline),
            max_age_seconds,
        )

    def _policies(self, namespace: str, path: str, resource: str) -> Read:
        return self._shared.begin(
            namespace,
            path,
            lambda deadline: self._identities(path, resource, deadline),
            POLICIES_SECONDS,
        )

    async def _one(self, path: str, resource: str, decoder: Any, deadline: float) -> Any:
        body = await self._body(path, resource, deadline)
        return None if body is None else _decoded(body, decoder)

    async def _listed(self, path: str, deadline: float) -> list[CheckpointItem]:
        body = await self._body(path, CHECKPOINTS, deadline)
        return list(_page(body, _CHECKPOINTS).items or ())

    async def _identities(self, path: str, resource: str, deadline: float) -> frozenset[Identity]:
        body = await self._body(path, resource, deadline, ONLY_METADATA)
        return frozenset(map(identity_of, _page(body, _POLICIES).items or ()))

    async def _body(
        self, path: str, resource: str, deadline: float, accept: str = JSON
    ) -> bytes | None:
        """One GET. Without a resource version it is answered from etcd, not from a watch cache."""
        try:
            reply = await self._cluster.call("GET", path, deadline=deadline, accept=accept)
        except BaseException:
            self._observed(resource, "error")
            raise
        self._observed(resource, _result(reply.status))
        if reply.status == HTTPStatus.NOT_FOUND:
            return None
        if reply.status != HTTPStatus.OK:
            raise Unreachable(f"the API server answered a read with {reply.status}")
        return reply.body


async def arrived(reads: Iterable[Read], deadline: float) -> None:
    """Wait until all of them are done; whoever gives up takes nothing from others who wait.

    Raises:
        Unreachable: if one of them was not by the deadline.
    """
    waiting = {read for read in reads if not read.done()}
    if not waiting:
        return
    seconds = deadline - asyncio.get_running_loop().time()
    _, late = await asyncio.wait(waiting, timeout=max(0.0, seconds))
    if late:
        raise Unreachable("the API server did not answer in time")


def _in(namespace: str) -> str:
    return f"namespaces/{_segment(namespace)}"


def _segment(name: str) -> str:
    """One segment of a path, whatever a pod calls its claim; that names no object then."""
    if _IS_SIMPLE(name):
        return name
    if name in {"", ".", ".."}:
        raise Unreachable("this can be no object's name")
    return quote(name, safe="")


def _page(body: bytes | None, decoder: Any) -> Any:
    if body is None:
        raise Unreachable("the API server has no such list")
    return _decoded(body, decoder)


def _decoded(body: bytes, decoder: Any) -> Any:
    try:
        return decoded(decoder, body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unreachable("the API server's answer cannot be read") from error


def _result(status: int) -> str:
    return _RESULTS.get(status, "error")


_RESULTS: Final = {200: "found", 404: "missing"}
