"""What is read live, typed as the cache types it."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, TypeVar

import msgspec

from weightlock_webhook.cache import resources
from weightlock_webhook.cache.errors import Unreachable
from weightlock_webhook.cache.objects import (
    CheckpointItem,
    ClaimItem,
    Item,
    Key,
    NamespaceItem,
    Page,
    VolumeItem,
)
from weightlock_webhook.cache.policies import Identity, identity_of
from weightlock_webhook.live.sharing import SharedReads
from weightlock_webhook.reviews.collaborators import Cluster, Reply

_Item = TypeVar("_Item", bound=Item)

READ_SECONDS: Final = 3.0
"""After which a read is given up, below the webhook's own deadline."""

POLICIES_SECONDS: Final = 0.25
"""How old the look at the policies may be that confirms them. Their watch brings a change within
milliseconds; this bounds it where the watch lags (A23 allows a second)."""

LOOK_SECONDS: Final = 0.5
"""How often the same object is looked at for the sake of pods that are refused."""

MOST_LISTED: Final = 500


class LiveReads:
    """Reads of single objects, shared between pods that ask at the same time.

    `observed` hears the resource and the result of each, for metrics.
    """

    def __init__(
        self, cluster: Cluster, observed: Callable[[str, str], None] = lambda *_: None
    ) -> None:
        self._cluster = cluster
        self._observed = observed
        self._shared: SharedReads[Reply] = SharedReads(self._fetch)
        self._claims = msgspec.json.Decoder(ClaimItem)
        self._volumes = msgspec.json.Decoder(VolumeItem)
        self._checkpoints = msgspec.json.Decoder(CheckpointItem)
        self._namespaces = msgspec.json.Decoder(NamespaceItem)
        self._pages = msgspec.json.Decoder(Page[Item])
        self._checkpoint_pages = msgspec.json.Decoder(Page[CheckpointItem])

    async def claim(self, key: Key, deadline: float, max_age: float = 0.0) -> ClaimItem | None:
        """A claim; None if there is none."""
        path = f"/api/v1/namespaces/{key[0]}/persistentvolumeclaims/{key[1]}"
        return await self._one(path, self._claims, deadline, max_age)

    async def volume(self, name: str, deadline: float, max_age: float = 0.0) -> VolumeItem | None:
        """A persistent volume; None if there is none."""
        path = f"/api/v1/persistentvolumes/{name}"
        return await self._one(path, self._volumes, deadline, max_age)

    async def checkpoint(
        self, key: Key, deadline: float, max_age: float = 0.0
    ) -> CheckpointItem | None:
        """A checkpoint; None if there is none."""
        path = f"{resources.GROUP_PATH}/namespaces/{key[0]}/{resources.CHECKPOINTS}/{key[1]}"
        return await self._one(path, self._checkpoints, deadline, max_age)

    async def checkpoints(self, namespace: str, deadline: float) -> list[CheckpointItem]:
        """The checkpoints of a namespace, as they were a moment ago; so many of them at most."""
        path = f"{resources.GROUP_PATH}/namespaces/{namespace}/{resources.CHECKPOINTS}"
        reply = await self._shared.read(
            f"{path}?limit={MOST_LISTED}", deadline=deadline, max_age_seconds=LOOK_SECONDS
        )
        return list(_decoded(reply, self._checkpoint_pages).items or ())

    async def policies(self, namespace: str, deadline: float) -> frozenset[Identity]:
        """Which policies there are that may govern a namespace, and which state of each."""
        pages = await asyncio.gather(
            self._versions(f"{resources.GROUP_PATH}/{resources.CLUSTER_POLICIES}", deadline),
            self._versions(
                f"{resources.GROUP_PATH}/namespaces/{namespace}/{resources.POLICIES}", deadline
            ),
        )
        return frozenset().union(*pages)

    async def _versions(self, path: str, deadline: float) -> frozenset[Identity]:
        reply = await self._shared.read(path, deadline=deadline, max_age_seconds=POLICIES_SECONDS)
        items = _decoded(reply, self._pages).items or ()
        return frozenset(identity_of(item) for item in items)

    async def _one(
        self, path: str, decoder: msgspec.json.Decoder[_Item], deadline: float, max_age: float
    ) -> _Item | None:
        reply = await self._shared.read(path, deadline=deadline, max_age_seconds=max_age)
        return None if reply.status == HTTPStatus.NOT_FOUND else _decoded(reply, decoder)

    async def _fetch(self, path: str) -> Reply:
        """One GET. Without a resource version it is answered from etcd, not from a watch cache."""
        resource = _resource_of(path)
        try:
            deadline = asyncio.get_running_loop().time() + READ_SECONDS
            reply = await self._cluster.call("GET", path, deadline=deadline)
        except BaseException:
            self._observed(resource, "error")
            raise
        self._observed(resource, "found" if reply.status == HTTPStatus.OK else str(reply.status))
        return reply


_Decoded = TypeVar("_Decoded")


def _decoded(reply: Reply, decoder: msgspec.json.Decoder[_Decoded]) -> _Decoded:
    if reply.status != HTTPStatus.OK:
        raise Unreachable(f"the API server answered a read with {reply.status}")
    try:
        return decoder.decode(reply.body)
    except msgspec.MsgspecError as error:
        raise Unreachable("the API server's answer cannot be read") from error


def _resource_of(path: str) -> str:
    """The plural in a path, which bounds the labels of a metric."""
    known = ("persistentvolumeclaims", "persistentvolumes", *_OURS)
    return next((each for each in known if f"/{each}" in path), "other")


_OURS: Final = (resources.CHECKPOINTS, resources.CLUSTER_POLICIES, resources.POLICIES)
