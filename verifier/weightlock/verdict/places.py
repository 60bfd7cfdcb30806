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
5. a CSI volume is also what the in-tree source says that its driver took over; that says less, so
   it leads to every handle of that name, and two handles stay two
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from weightlock.errors import Malformed
from weightlock.policy.paths import VolumePath
from weightlock.verdict.migration import in_tree_of
from weightlock.verdict.storage import source_kind

Nodes = frozenset[str] | None
"""The only nodes that are possible, or handles; None if any is."""

ROOT: Final = VolumePath()
NODE: Final = "node"
"""The storage of nodes' own folders."""

LOCAL: Final = "local"
NFS_DRIVER: Final = "nfs.csi.k8s.io"
"""Its handles are names that whoever writes the volume makes up; its attributes find the bytes."""

_HOST_NAME: Final = "kubernetes.io/hostname"
_NODE_NAME: Final = "metadata.name"

DEEPEST: Final = 64
"""Components of a path that are looked at; what lies deeper counts as the folder at this depth."""

_FINDING: Final[Mapping[str, tuple[str, ...]]] = {
    "csi": ("driver", "volumeHandle"),
    "awsElasticBlockStore": ("volumeID",),
    "azureDisk": ("diskURI",),
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
    "storageos": ("volumeName",),
    "vsphereVolume": ("volumePath",),
}
"""What of a source finds the bytes. Portals, monitors and endpoints are left out: one cluster has
many addresses. So are namespaces that pods and persistent volumes fill in differently."""

_SPELT: Final[Mapping[str, Callable[[str], str]]] = {
    "awsElasticBlockStore": lambda text: text.rpartition("/")[2],  # `aws://zone/vol-1`
    "azureDisk": str.lower,
    "vsphereVolume": lambda text: " ".join(text.split()).removesuffix(".vmdk"),
}
"""One spelling for what has several."""

_MOUNTING: Final = frozenset({"fsType", "readOnly", "secretRef"})
"""What of any other source does not."""


@dataclass(frozen=True, slots=True)
class Place:
    """A folder of some storage; `nodes` are those whose storage it is, None if any may be.

    For a CSI volume under an in-tree name, its handle stands in for the node.
    """

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


def places_of(spec: Mapping[str, object]) -> tuple[Place, ...]:
    """Every place that the spec of a persistent volume leads to.

    Raises:
        Malformed: for what the API server would not have sent.
    """
    kind = source_kind(spec)
    source = _child(spec, kind)
    match kind:
        case "hostPath":
            return (on_nodes(_text(source, "path")),)
        case "local":  # (3)
            required = _child(_child(spec, "nodeAffinity"), "required")
            return (on_nodes(_text(source, "path"), _nodes_of_selector(required)),)
        case "csi":
            return (place_of_source(kind, source), *_by_attributes(source))
    return (place_of_source(kind, source),)


def place_of_source(kind: str, source: Mapping[str, object]) -> Place:
    """Where a source lies that says so itself: of a persistent volume, or of a pod.

    Raises:
        Malformed: for what the API server would not have sent.
    """
    match kind:
        case "nfs":
            return exported(_text(source, "server"), _text(source, "path"))
        case "cephfs" | "glusterfs":
            return Place(kind, _path(_text(source, "path")))
        case "azureFile":
            share, _, folder = _text(source, "shareName").strip("/").partition("/")
            return Place(f"{kind} {share.lower()}", _path(folder))
    return _found(kind, source)


def _by_attributes(source: Mapping[str, object]) -> Iterator[Place]:
    """What a CSI volume is besides its handle."""
    driver, handle = _text(source, "driver"), _text(source, "volumeHandle")
    attributes = _child(source, "volumeAttributes")
    if driver == NFS_DRIVER:
        yield exported_by_driver(attributes)
    texts = {key: _text(attributes, key) for key in attributes}
    replaced = in_tree_of(driver, handle, texts)
    if replaced is not None:  # (5)
        yield replace(place_of_source(*replaced), nodes=frozenset({handle}))


def exported(server: str, path: str) -> Place:
    """A folder that a server exports."""
    return Place(f"nfs {server.lower().rstrip('.')}", _path(path))


def exported_by_driver(attributes: Mapping[str, object]) -> Place:
    """The same, as the NFS driver is told; it reads keys in any case."""
    said = {key.lower(): _text(attributes, key) for key in attributes}
    return exported(said.get("server", ""), f"{said.get('share', '')}/{said.get('subdir', '')}")


def on_nodes(path: str, nodes: Nodes = None) -> Place:
    """A folder of nodes."""
    return Place(NODE, _path(path), nodes)


def _found(kind: str, source: Mapping[str, object]) -> Place:
    keys = _FINDING.get(kind) or sorted(source.keys() - _MOUNTING)
    spelt = _SPELT.get(kind, str)
    try:
        parts = [[key, _unordered(source[key], spelt)] for key in keys if key in source]
        return Place(json.dumps([kind, parts], sort_keys=True, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise Malformed(f"the {kind} of a persistent volume is not plain JSON") from error


def _unordered(value: object, spelt: Callable[[str], str]) -> object:
    if isinstance(value, str):
        return spelt(value)
    return sorted(map(str, value)) if isinstance(value, list) else value


def _path(text: str) -> VolumePath:
    """The folder that a spelling names: `a//b`, `./a/b` and `/a/b/` are all `/a/b`."""
    components = tuple(part for part in text.split("/") if part not in ("", "."))
    if "\0" in text or ".." in components:  # (4)
        return ROOT
    return VolumePath(components[:DEEPEST])


def _nodes_of_selector(selector: Mapping[str, object]) -> Nodes:
    """The nodes of a node selector: any of its terms may hold, so one open term opens all."""
    terms = [_nodes_of_term(term) for term in _children(selector, "nodeSelectorTerms")]
    pinned = [nodes for nodes in terms if nodes is not None]
    if not terms or len(pinned) < len(terms):
        return None
    return frozenset().union(*pinned)


def _nodes_of_term(term: Mapping[str, object]) -> Nodes:
    nodes: Nodes = None
    for key, field in (("matchExpressions", _HOST_NAME), ("matchFields", _NODE_NAME)):
        for requirement in _children(term, key):
            if (_text(requirement, "key"), _text(requirement, "operator")) == (field, "In"):
                values = requirement.get("values")
                found = frozenset(map(str, values)) if isinstance(values, list) else frozenset()
                nodes = found if nodes is None else nodes & found
    return nodes


def _text(fields: Mapping[str, object], key: str) -> str:
    value = fields.get(key)
    if value is not None and not isinstance(value, str):
        raise Malformed(f"{key} of a persistent volume is no text")
    return value or ""


def _child(fields: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = fields.get(key)
    if value is not None and not isinstance(value, Mapping):
        raise Malformed(f"{key} of a persistent volume is no object")
    return value or {}


def _children(fields: Mapping[str, object], key: str) -> list[Mapping[str, object]]:
    value = fields.get(key)
    if value is not None and not isinstance(value, list):
        raise Malformed(f"{key} of a persistent volume is no list")
    return [_child({key: each}, key) for each in value or []]


def _holding(path: VolumePath) -> tuple[VolumePath, ...]:
    """Every folder that covers the path, the root first and the path itself last."""
    return tuple(VolumePath(path.components[:end]) for end in range(len(path.components) + 1))


class Neighbours:
    """What shares bytes with what: volumes, pods, by a name of each.

    Law: as if each place were compared with every other.
    """

    def __init__(self) -> None:
        self._places: dict[str, tuple[Place, ...]] = {}
        self._counts: dict[str, int] = {}
        """Of places in each storage; most disks are the only place of theirs."""

        self._at: dict[tuple[str, VolumePath], set[str]] = {}
        self._inside: dict[tuple[str, VolumePath], set[str]] = {}

    def put(self, name: str, places: tuple[Place, ...]) -> None:
        """One is new or leads somewhere else."""
        self.drop(name)
        self._places[name] = places
        for place in places:
            self._counts[place.storage] = self._counts.get(place.storage, 0) + 1
        for index, key in self._keys(places):
            index.setdefault(key, set()).add(name)

    def drop(self, name: str) -> None:
        """One is gone."""
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

    def of(self, places: Iterable[Place]) -> frozenset[str]:
        """Those that lead to some of the bytes that lie at these places."""
        return frozenset(
            name
            for place in places
            for name in self._near(place)
            if any(place.overlaps(theirs) for theirs in self._places[name])
        )

    def any_but(self, name: str, places: tuple[Place, ...]) -> bool:
        """Whether any but that one leads to some of the bytes that lie at these places."""
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
        for holding in _holding(place.path):
            yield from self._at.get((place.storage, holding), ())

    def _keys(
        self, places: Iterable[Place]
    ) -> Iterator[tuple[dict[tuple[str, VolumePath], set[str]], tuple[str, VolumePath]]]:
        for place in places:
            *above, itself = _holding(place.path)
            yield self._at, (place.storage, itself)
            yield from ((self._inside, (place.storage, each)) for each in above)
