"""Where the bytes of checkpoints and of pods' own volumes lie, beside those of persistent volumes.

Most inline CSI volumes are made for each pod, and some show every pod the same bucket or share.
What finds the bytes is in attributes that each driver names as it likes. Of the drivers that are
known the attribute counts; of any other all inline volumes may be the same bytes.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from weightlock.errors import Malformed
from weightlock.policy.paths import VolumePath
from weightlock.policy.sources import CsiSource, HostPathSource, NfsSource, Source
from weightlock.policy.volume_kinds import CLAIMED, may_be_shared
from weightlock.verdict.places import (
    NFS_DRIVER,
    ROOT,
    Place,
    exported,
    exported_by_driver,
    on_nodes,
    place_of_source,
    places_of,
)

_AZURE_FILE: Final = "file.csi.azure.com"
_FINDING: Final[Mapping[str, str]] = {
    "blob.csi.azure.com": "containername",
    _AZURE_FILE: "sharename",
    "gcsfuse.csi.storage.gke.io": "bucketname",
    "smb.csi.k8s.io": "source",
}
"""The attribute that finds the bytes, in lower case: drivers read keys in any case."""

_BY_DRIVER: Final = ("csi ", "flexVolume ")
_ELSEWHERE: Final = CLAIMED | {"hostPath", "csi"}
_ANY_BUCKET: Final = "_"
"""How the driver for buckets is told to mount all that it may see; a handle names one as well."""


def places_of_source(source: Source) -> tuple[Place, ...]:
    """Where a source lies that describes itself; nowhere for a claim, which has a volume."""
    match source:
        case HostPathSource(path=path, node_name=str(node)):
            return (on_nodes(str(path), frozenset({node})),)
        case NfsSource(server=server, path=path):
            return (exported(server, str(path)),)
        case CsiSource(driver=driver, attributes=attributes):
            return (_of_driver(driver, _texts(dict(attributes))),)
    return ()


def places_of_volume(spec: Mapping[str, object]) -> tuple[Place, ...]:
    """Where a persistent volume lies; nowhere if it cannot be read, or mounted."""
    try:
        found = places_of(spec)
    except Malformed:
        return ()
    return (*found, *(place for place in shown_to_pods(spec) if place.path != ROOT))


def shown_to_pods(spec: Mapping[str, object]) -> tuple[Place, ...]:
    """Where inline volumes lie that the driver of a persistent volume may make of the same bytes.

    Not for the comparison of two persistent volumes: of most drivers it is everywhere.
    """
    match spec:
        case {"csi": {"driver": str(driver), "volumeHandle": str(handle), **more}}:
            said = {"bucketname": handle, **_texts(more.get("volumeAttributes"))}
            return (_of_driver(driver, said),)
        case {"azureFile": {"shareName": str(share)}}:
            return (_of_driver(_AZURE_FILE, {"sharename": share}),)
        case {"flexVolume": {"driver": str(driver)}}:
            return (_by_script(driver),)
    return ()


def places_of_inline(volume: Mapping[str, object], node: str) -> tuple[Place, ...]:
    """Where a volume lies that a pod on this node describes itself."""
    match volume:
        case {"hostPath": {"path": str(path)}} if node:
            return (on_nodes(path, frozenset({node})),)
        case {"csi": {"driver": str(driver), **more}}:
            return (_of_driver(driver, _texts(more.get("volumeAttributes"))),)
        case {"flexVolume": {"driver": str(driver)}}:
            return (_by_script(driver),)
    return tuple(_described(volume))


def kinds_of(volume: Mapping[str, object]) -> tuple[str, ...]:
    """The sources of a pod's volume that may hold what others see; the server takes only one."""
    return tuple(
        kind
        for kind, source in volume.items()
        if kind != "name" and source is not None and may_be_shared(kind)
    )


def _described(volume: Mapping[str, object]) -> Iterator[Place]:
    for kind in kinds_of(volume):
        source = volume[kind]
        if kind not in _ELSEWHERE and isinstance(source, Mapping):
            try:
                yield place_of_source(kind, source)
            except Malformed:
                return  # no API server sends that, and no kubelet mounts it


def is_whole(place: Place) -> bool:
    """Whether nobody knows which folder of it a volume shows: drivers have options for that."""
    return place.storage.startswith(_BY_DRIVER)


def _of_driver(driver: str, attributes: Mapping[str, str]) -> Place:
    if driver == NFS_DRIVER:
        return exported_by_driver(attributes)
    parts = tuple(attributes.get(_FINDING.get(driver, ""), "").lower().split("/"))
    path = VolumePath(tuple(part for part in parts if part not in ("", ".", _ANY_BUCKET)))
    return Place(f"csi {driver}", ROOT if ".." in parts else path)


def _by_script(driver: str) -> Place:
    """All that a FlexVolume driver has: a script on the nodes, with options as it likes."""
    return Place(f"flexVolume {driver}")


def _texts(value: object) -> Mapping[str, str]:
    found = value if isinstance(value, Mapping) else {}
    return {key.lower(): text for key, text in found.items() if isinstance(text, str)}
