"""Which in-tree source leads to the bytes of a CSI volume, for drivers that took over such sources.

Kubelets hand `awsElasticBlockStore` and its kin to a CSI driver ("CSI migration"), so a volume of
either spelling is the same disk. This goes the way back, from the driver's handle and attributes to
the source, as far as they say it: a driver that names a disk by an identifier of its own says
nothing.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

InTree: TypeAlias = tuple[str, Mapping[str, object]]
"""A source's kind and what it says."""

Texts: TypeAlias = Mapping[str, str]

_RBD: Final = "rbd.csi.ceph.com"
_CEPHFS: Final = "cephfs.csi.ceph.com"
_DYNAMIC_IMAGE: Final = "csi-vol-"
_UUID_LENGTH: Final = 36


def in_tree_of(driver: str, handle: str, attributes: Mapping[str, str]) -> InTree | None:
    """The in-tree source of a CSI volume; None if it has none, or none that can be told."""
    find = _BY_DRIVER.get(driver) or _of_operator(driver)
    found = find(handle, {key.lower(): text for key, text in attributes.items()}) if find else None
    return found if found and all(found[1].values()) else None


def _of_operator(driver: str) -> "Callable[[str, Texts], InTree] | None":
    """Rook puts its namespace before the names of Ceph's drivers."""
    known = (name for name in (_RBD, _CEPHFS) if driver.endswith(f".{name}"))
    return next((_BY_DRIVER[name] for name in known), None)


def _gce(handle: str, _: Texts) -> InTree:
    """`projects/p/zones/z/disks/name`; in the tree only the name is said."""
    return "gcePersistentDisk", {"pdName": handle.rpartition("/")[2]}


def _azure_file(handle: str, attributes: Texts) -> InTree:
    """`group#account#share#...`, unless an attribute says the share; a folder may follow."""
    _, _, share, *_ = [*handle.split("#"), "", "", ""]
    share = attributes.get("sharename", "") or share
    folder = attributes.get("foldername", "")
    return "azureFile", {"shareName": f"{share}/{folder}" if share else ""}


def _vsphere(handle: str, attributes: Texts) -> InTree:
    """Disks that the driver made for an in-tree class say where; others have a made-up handle."""
    return "vsphereVolume", {"volumePath": attributes.get("initialvolumefilepath", "") or handle}


def _rbd(handle: str, attributes: Texts) -> InTree:
    """The image is said, or is the handle itself, or is named after the handle's last part."""
    is_static = attributes.get("staticvolume", "").lower() == "true"
    named = handle if is_static else _DYNAMIC_IMAGE + handle[-_UUID_LENGTH:]
    image = attributes.get("imagename", "") or named
    return "rbd", {"pool": attributes.get("pool", "") or "rbd", "image": image}


def _cephfs(_: str, attributes: Texts) -> InTree:
    path = attributes.get("subvolumepath", "") or attributes.get("rootpath", "") or "/"
    return "cephfs", {"path": path}


def _same(kind: str, field: str) -> "Callable[[str, Texts], InTree]":
    return lambda handle, _: (kind, {field: handle})


_BY_DRIVER: Final[Mapping[str, Callable[[str, Texts], InTree]]] = {
    "ebs.csi.aws.com": _same("awsElasticBlockStore", "volumeID"),
    "disk.csi.azure.com": _same("azureDisk", "diskURI"),
    "file.csi.azure.com": _azure_file,
    "pd.csi.storage.gke.io": _gce,
    "cinder.csi.openstack.org": _same("cinder", "volumeID"),
    "csi.vsphere.vmware.com": _vsphere,
    "pxd.portworx.com": _same("portworxVolume", "volumeID"),
    _RBD: _rbd,
    _CEPHFS: _cephfs,
}
