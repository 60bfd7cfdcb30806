"""Where a persistent volume's bytes lie, and whether two volumes lead to the same ones (A28).

Two volumes may say the same thing differently, and whoever makes the second one chooses how. So a
place holds only as much of a source as finds the bytes: never how they are mounted (file system,
options, secrets, attributes), and rather too little than too much. What is too little refuses a pod
that nothing was wrong with; what is too much lets somebody write behind the back of a verdict.

1. a CSI volume is its driver and its handle
2. folders of one server, or of the nodes, are the same bytes wherever one holds the other
3. `local` volumes that are pinned to different nodes are different disks; host paths are taken for
   the same on every node
4. a path that has no normal form may be any on its server
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from weightlock.errors import Malformed
from weightlock.policy.paths import VolumePath
from weightlock.verdict.storage import source_kind
from weightlock_webhook.mounts import sources
from weightlock_webhook.mounts.fields import Fields
from weightlock_webhook.mounts.paths import ROOT, path_of, places_holding
from weightlock_webhook.mounts.placement import Nodes, nodes_of_selector

LOCAL: Final = "local"
NFS_DRIVER: Final = "nfs.csi.k8s.io"
"""Its handles are names that whoever writes the volume makes up; its attributes find the bytes."""

DEEPEST: Final = 64
"""Components of a path that are looked at; what lies deeper counts as the folder at this depth."""

_FINDING: Final[Mapping[str, tuple[str, ...]]] = {
    sources.CSI: ("driver", "volumeHandle"),
    "awsElasticBlockStore": ("volumeID",),
    "azureDisk": ("diskURI",),
    "azureFile": ("shareName",),
    "cinder": ("volumeID",),
    "fc": ("lun", "targetWWNs", "wwids"),
    "flocker": ("datasetName", "datasetUUID"),
    "gcePersistentDisk": ("pdName",),
    "iscsi": ("iqn", "lun"),
    "photonPersistentDisk": ("pdID",),
    "portworxVolume": ("volumeID",),
    "quobyte": ("volume",),
    "rbd": ("image", "pool"),
    "scaleIO": ("system", "volumeName"),
    "storageos": ("volumeName", "volumeNamespace"),
    "vsphereVolume": ("volumePath",),
}
"""What of a source finds the bytes. Portals, monitors and endpoints are left out: one cluster has
many addresses."""

_MOUNTING: Final = frozenset({"fsType", "readOnly", "secretRef"})
"""What of any other source does not."""


@dataclass(frozen=True, slots=True)
class Place:
    """A folder of some storage; `nodes` are those whose storage it is, None if any may be."""

    storage: str
    path: VolumePath = ROOT
    nodes: Nodes = None

    def overlaps(self, other: "Place") -> bool:
        """Whether some bytes may be in both."""
        return (
            self.storage == other.storage
            and self.path.overlaps(other.path)
            and (self.nodes is None or other.nodes is None or bool(self.nodes & other.nodes))
        )


def places_of(spec: Fields) -> tuple[Place, ...]:
    """Every place that the spec of a persistent volume leads to.

    Raises:
        Malformed: for what the API server would not have sent.
    """
    kind = source_kind(spec.members)
    source = spec.child(kind)
    match kind:
        case sources.NFS:
            return (_exported(source.text("server"), source.text("path")),)
        case sources.HOST_PATH:
            return (Place("node", _path(source.text("path"))),)
        case "local":  # (3)
            nodes = nodes_of_selector(spec.child("nodeAffinity").child("required"))
            return (Place("node", _path(source.text("path")), nodes),)
        case "cephfs" | "glusterfs":
            return (Place(kind, _path(source.text("path"))),)
        case sources.CSI if source.text("driver") == NFS_DRIVER:
            return (_found(kind, source), _exported_by_driver(source.child("volumeAttributes")))
    return (_found(kind, source),)


def _found(kind: str, source: Fields) -> Place:
    keys = _FINDING.get(kind) or sorted(source.members.keys() - _MOUNTING)
    parts = [[key, _unordered(source.members[key])] for key in keys if key in source.members]
    try:
        return Place(json.dumps([kind, parts], sort_keys=True, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise Malformed(f"{source.where} is not plain JSON") from error


def _unordered(value: object) -> object:
    return sorted(map(str, value)) if isinstance(value, list) else value


def _exported(server: str, path: str) -> Place:
    return Place(f"nfs {server.lower().rstrip('.')}", _path(path))


def _exported_by_driver(attributes: Fields) -> Place:
    said = {key.lower(): attributes.text(key) for key in attributes.members}
    return _exported(said.get("server", ""), f"{said.get('share', '')}/{said.get('subdir', '')}")


def _path(text: str) -> VolumePath:
    try:
        return VolumePath(path_of(text).components[:DEEPEST])
    except Malformed:  # (4)
        return ROOT


class Twins:
    """Which persistent volumes share bytes with another.

    Law: as if each place were compared with every other.
    """

    def __init__(self) -> None:
        self._places: dict[str, tuple[Place, ...]] = {}
        self._counts: dict[str, int] = {}
        """Of places in each storage; most disks are the only place of theirs."""

        self._at: dict[tuple[str, VolumePath], set[str]] = {}
        self._inside: dict[tuple[str, VolumePath], set[str]] = {}

    def put(self, name: str, places: tuple[Place, ...]) -> None:
        """A volume is new or leads somewhere else."""
        self.drop(name)
        self._places[name] = places
        for place in places:
            self._counts[place.storage] = self._counts.get(place.storage, 0) + 1
        for index, key in self._keys(places):
            index.setdefault(key, set()).add(name)

    def drop(self, name: str) -> None:
        """A volume is gone."""
        places = self._places.pop(name, ())
        for place in places:
            self._counts[place.storage] -= 1
            if not self._counts[place.storage]:
                del self._counts[place.storage]
        for index, key in self._keys(places):
            names = index.get(key, set())
            names.discard(name)
            if not names:
                index.pop(key, None)

    def has_twin(self, name: str, places: tuple[Place, ...]) -> bool:
        """Whether another volume leads to some of the bytes that lie at these places."""
        if self._places.get(name) == places and self._are_alone(places):
            return False
        return any(
            other != name and any(place.overlaps(theirs) for theirs in self._places[other])
            for place in places
            for other in self._near(place)
        )

    def _are_alone(self, places: tuple[Place, ...]) -> bool:
        """Whether nothing else lies in any storage of theirs: asked for every pod, and cheap."""
        return all(self._counts[place.storage] == 1 for place in places)

    def _near(self, place: Place) -> Iterator[str]:
        yield from self._inside.get((place.storage, place.path), ())
        for holding in places_holding(place.path):
            yield from self._at.get((place.storage, holding), ())

    def _keys(
        self, places: Iterable[Place]
    ) -> Iterator[tuple[dict[tuple[str, VolumePath], set[str]], tuple[str, VolumePath]]]:
        for place in places:
            *above, itself = places_holding(place.path)
            yield self._at, (place.storage, itself)
            yield from ((self._inside, (place.storage, each)) for each in above)
