"""What the webhook watches, and what it keeps of each object."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from weightlock.cluster_names import SEAL_SECRET, STATE_CONFIG_MAP, VERSIONS_CONFIG_MAP
from weightlock.names import API_VERSION
from weightlock_webhook.cache.objects import (
    CheckpointItem,
    ClaimItem,
    ConfigMapItem,
    Known,
    NamespaceItem,
    PolicyItem,
    SecretItem,
    VolumeItem,
)
from weightlock_webhook.cache.pods import PodItem, Writer, writer_of
from weightlock_webhook.cache.rooms import KeptType, Room

_Whole = TypeVar("_Whole")

GROUP_PATH: Final = f"/apis/{API_VERSION}"
CLUSTER_POLICIES: Final = "clustermodelpolicies"
POLICIES: Final = "modelpolicies"
CHECKPOINTS: Final = "modelcheckpoints"

LONGEST_NAME: Final = 253
LONGEST_OWNERS: Final = 4096
"""The uids of all owners of a claim together, in characters."""


@dataclass(frozen=True, slots=True)
class Resource(Generic[Known, KeptType]):
    """A list to watch: where it is, what an item is decoded into, what of that is kept.

    `room` bounds what is kept of each namespace. `most` is for what only administrators make:
    beyond it the cache gives up and says so, it never forgets quietly.
    """

    name: str
    path: str
    item: type[Known]
    keep: Callable[[Known], KeptType | None]
    field_selector: str = ""
    most: int | None = None
    room: Room[KeptType] | None = None


def _as_it_is(item: _Whole) -> _Whole:
    return item


def _checkpoint(item: CheckpointItem) -> CheckpointItem:
    # A copy, or one object would keep the bytes of its whole page alive.
    return CheckpointItem(item.metadata, item.spec.copy(), item.status.copy())


def _claim(item: ClaimItem) -> ClaimItem:
    """Whoever makes a claim makes up its owners and the name of its volume.

    What no object can be called counts as missing: the claim is then bound to nothing, and is
    nobody's ephemeral volume.
    """
    owners, volume = item.metadata.ownerReferences, item.spec.volumeName
    if volume is not None and len(volume) > LONGEST_NAME:
        item.spec.volumeName = None
    if owners and sum(len(owner.uid) for owner in owners) > LONGEST_OWNERS:
        item.metadata.ownerReferences = None
    return item


def _policy(item: PolicyItem) -> PolicyItem:
    return PolicyItem(item.metadata, item.spec.copy())


def _volume(item: VolumeItem) -> VolumeItem:
    return VolumeItem(item.metadata, item.spec.copy())


MOST_POLICIES: Final = 64
"""ModelPolicies of one namespace; each of them judges every pod there."""

MOST_CHECKPOINTS: Final = 20_000
"""ModelCheckpoints of one namespace."""

MOST_SIZE: Final = 64 << 20
"""What the ModelCheckpoints of one namespace may come to, or its ModelPolicies, in bytes."""


def _bytes_of_checkpoint(item: CheckpointItem) -> int:
    return len(item.spec) + len(item.status)


def _bytes_of_policy(item: PolicyItem) -> int:
    return len(item.spec)


NAMESPACES: Final = Resource(
    "namespaces", "/api/v1/namespaces", NamespaceItem, _as_it_is, most=200_000
)
CLUSTER_MODEL_POLICIES: Final = Resource(
    CLUSTER_POLICIES, f"{GROUP_PATH}/{CLUSTER_POLICIES}", PolicyItem, _policy, most=10_000
)
MODEL_POLICIES: Final = Resource(
    POLICIES,
    f"{GROUP_PATH}/{POLICIES}",
    PolicyItem,
    _policy,
    room=Room(MOST_POLICIES, MOST_SIZE, _bytes_of_policy),
)
MODEL_CHECKPOINTS: Final = Resource(
    CHECKPOINTS,
    f"{GROUP_PATH}/{CHECKPOINTS}",
    CheckpointItem,
    _checkpoint,
    room=Room(MOST_CHECKPOINTS, MOST_SIZE, _bytes_of_checkpoint),
)
CLAIMS: Final = Resource(
    "persistentvolumeclaims", "/api/v1/persistentvolumeclaims", ClaimItem, _claim
)
VOLUMES: Final = Resource(
    "persistentvolumes", "/api/v1/persistentvolumes", VolumeItem, _volume, most=200_000
)
WRITERS: Final[Resource[PodItem, Writer]] = Resource(
    "pods",
    "/api/v1/pods",
    PodItem,
    writer_of,
    # A pod that has ended writes no more; that it leaves the selection is when it was last seen.
    field_selector="status.phase!=Succeeded,status.phase!=Failed",
)


def seal_secret(namespace: str) -> Resource[SecretItem, SecretItem]:
    """The keys that verdicts are sealed with, and no other Secret."""
    return _single(namespace, "secrets", SEAL_SECRET, SecretItem)


def versions_config_map(namespace: str) -> Resource[ConfigMapItem, ConfigMapItem]:
    """The highest version seen of each model."""
    return _single(namespace, "configmaps", VERSIONS_CONFIG_MAP, ConfigMapItem)


def state_config_map(namespace: str) -> Resource[ConfigMapItem, ConfigMapItem]:
    """What the operator knows of restores."""
    return _single(namespace, "configmaps", STATE_CONFIG_MAP, ConfigMapItem)


def _single(namespace: str, kind: str, name: str, item: type[Known]) -> Resource[Known, Known]:
    # A server that does not honour the selector must not put another Secret in its place.
    return Resource(
        name,
        f"/api/v1/namespaces/{namespace}/{kind}",
        item,
        lambda found: found if found.metadata.name == name else None,
        field_selector=f"metadata.name={name}",
        most=1,
    )
