"""What is read live, typed as the cache types it."""

import asyncio
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
from weightlock_webhook.live.sharing import SharedReads
from weightlock_webhook.reviews.collaborators import Cluster

DEVICE_CLAIMS: Final = "resourceclaims"
DEVICE_CLAIM_TEMPLATES: Final = "resourceclaimtemplates"

READ_SECONDS: Final = 3.0
"""After which a read is given up, below the webhook's own deadline."""

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

    `observed` hears the resource and the result of each, for metrics.
    """

    def __init__(
        self, cluster: Cluster, observed: Callable[[str, str], None] = lambda *_: None
    ) -> None:
        self._cluster = cluster
        self._observed = observed
        self._shared: SharedReads[Any] = SharedReads()

    def namespace(self, name: str, max_age_seconds: float = 0.0) -> Read:
        """A NamespaceItem; None if there is none."""
        path = f"/api/v1/namespaces/{_segment(name)}"
        return self._shared.begin(path, lambda: self._one(path, _NAMESPACE), max_age_seconds)

    def claim(self, key: Key, max_age_seconds: float = 0.0) -> Read:
        """A ClaimItem; None if there is none."""
        path = f"{_in(key)}/persistentvolumeclaims/{_segment(key[1])}"
        return self._shared.begin(path, lambda: self._one(path, _CLAIM), max_age_seconds)

    def volume(self, name: str, max_age_seconds: float = 0.0) -> Read:
        """A VolumeItem; None if there is none."""
        path = f"/api/v1/persistentvolumes/{_segment(name)}"
        return self._shared.begin(path, lambda: self._one(path, _VOLUME), max_age_seconds)

    def checkpoint(self, key: Key, max_age_seconds: float = 0.0) -> Read:
        """A CheckpointItem; None if there is none."""
        path = f"{_in(key, resources.GROUP_PATH)}/{resources.CHECKPOINTS}/{_segment(key[1])}"
        return self._shared.begin(path, lambda: self._one(path, _CHECKPOINT), max_age_seconds)

    def checkpoints(self, namespace: str) -> Read:
        """A list of CheckpointItem, as they were a moment ago; so many of them at most."""
        path = (
            f"{_in((namespace, ''), resources.GROUP_PATH)}/{resources.CHECKPOINTS}"
            f"?limit={MOST_LISTED}"
        )
        return self._shared.begin(path, lambda: self._listed(path), LOOK_SECONDS)

    def policies(self, namespace: str) -> tuple[Read, Read]:
        """Which cluster policies there are, and which of the namespace: sets of identities."""
        of_cluster = f"{resources.GROUP_PATH}/{resources.CLUSTER_POLICIES}"
        own = f"{_in((namespace, ''), resources.GROUP_PATH)}/{resources.POLICIES}"
        begin = self._shared.begin
        return (
            begin(of_cluster, lambda: self._identities(of_cluster), POLICIES_SECONDS),
            begin(own, lambda: self._identities(own), POLICIES_SECONDS),
        )

    def device_claim(self, api: str, plural: str, key: Key) -> Read:
        """The spec of a ResourceClaim or ResourceClaimTemplate; None if there is none."""
        path = f"{_in(key, f'/apis/resource.k8s.io/{api}')}/{plural}/{_segment(key[1])}"
        return self._shared.begin(path, lambda: self._one(path, _DEVICE_CLAIM))

    def claimed_devices(self, key: Key) -> Read:
        """A PodDevices; None if there is no such pod."""
        path = f"{_in(key)}/pods/{_segment(key[1])}"
        return self._shared.begin(path, lambda: self._one(path, _POD_DEVICES))

    async def _one(self, path: str, decoder: Any) -> Any:
        body = await self._body(path)
        return None if body is None else _decoded(body, decoder)

    async def _listed(self, path: str) -> list[CheckpointItem]:
        return list((await self._page(path, _CHECKPOINTS)).items or ())

    async def _identities(self, path: str) -> frozenset[Identity]:
        found = await self._page(path, _POLICIES, ONLY_METADATA)
        return frozenset(map(identity_of, found.items or ()))

    async def _page(self, path: str, decoder: Any, accept: str = JSON) -> Any:
        body = await self._body(path, accept)
        if body is None:
            raise Unreachable("the API server has no such list")
        return _decoded(body, decoder)

    async def _body(self, path: str, accept: str = JSON) -> bytes | None:
        """One GET. Without a resource version it is answered from etcd, not from a watch cache."""
        deadline = asyncio.get_running_loop().time() + READ_SECONDS
        resource = _resource_of(path)
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


def _in(key: Key, root: str = "/api/v1") -> str:
    return f"{root}/namespaces/{_segment(key[0])}"


def _segment(name: str) -> str:
    """One segment of a path, whatever a pod that no API server has looked at calls things (A40)."""
    if name in _NO_NAMES:
        raise Unreachable("the pod names what no API server has")
    return quote(name, safe="")


def _decoded(body: bytes, decoder: Any) -> Any:
    try:
        return decoded(decoder, body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unreachable("the API server's answer cannot be read") from error


def _resource_of(path: str) -> str:
    """The plural in a path, which bounds the labels of a metric."""
    known = ("persistentvolumeclaims", "persistentvolumes", *_OURS, *_DEVICES)
    return next((each for each in known if f"/{each}" in path), "other")


def _result(status: int) -> str:
    return {200: "found", 404: "missing"}.get(status, "error")


_NO_NAMES: Final = frozenset({"", ".", ".."})
_OURS: Final = (resources.CHECKPOINTS, resources.CLUSTER_POLICIES, resources.POLICIES)
_DEVICES: Final = (DEVICE_CLAIMS, DEVICE_CLAIM_TEMPLATES, "pods")
