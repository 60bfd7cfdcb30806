"""What identifies storage: the hash that a verdict records and that admission compares (A28).

Operator and webhook both compute it, so there is one place that says what goes into it: whatever
decides which bytes a source leads to, and nothing that does not.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from weightlock.errors import Malformed
from weightlock.policy.hashing import storage_hash
from weightlock.policy.sources import (
    ClaimSource,
    CsiSource,
    HostPathSource,
    NfsSource,
    Source,
)

PV_ATTRIBUTES: Final = frozenset(
    {
        "accessModes",
        "capacity",
        "claimRef",
        "mountOptions",
        "nodeAffinity",
        "persistentVolumeReclaimPolicy",
        "storageClassName",
        "volumeAttributesClassName",
        "volumeMode",
    }
)
"""What a persistent volume says besides its source; any other key is taken for the source."""

MOUNT_OPTIONS_ANNOTATION: Final = "volume.beta.kubernetes.io/mount-options"
"""What kubelets add to `mountOptions`, still."""

_BINDING: Final = ("mountOptions", "nodeAffinity", "volumeMode")
"""Which part of the storage is mounted (`subvol=`, `prefix`, `only-dir=`), of which nodes the bytes
are, and whether they are read as files."""

_DIGEST_MARK: Final = "@sha256:"


def source_kind(spec: Mapping[str, object]) -> str:
    """The key of a persistent volume's source, such as `csi`.

    Raises:
        Malformed: for no source, or two.
    """
    kinds = sorted(key for key in spec if key not in PV_ATTRIBUTES and spec[key] is not None)
    if len(kinds) != 1:
        raise Malformed(f"a persistent volume with {len(kinds)} sources, expected one")
    return kinds[0]


def persistent_volume_hash(
    spec: Mapping[str, object], annotations: Mapping[str, object] = MappingProxyType({})
) -> str:
    """The hash of a persistent volume: its source, its mount options, its nodes, its mode.

    Raises:
        Malformed: for a spec that is not a persistent volume's.
    """
    binding = {key: spec[key] for key in _BINDING if spec.get(key)}
    added = annotations.get(MOUNT_OPTIONS_ANNOTATION)
    if added:
        binding[MOUNT_OPTIONS_ANNOTATION] = added
    return storage_hash({**_source(spec), **binding})


def described_hash(source: Source) -> str:
    """The hash of storage that a checkpoint describes itself; "" for a claim, which has a volume.

    The same folder of another node is other bytes, so the node counts (A13). An image is its
    digest, wherever it is pulled from.
    """
    match source:
        case ClaimSource():
            return ""
        case HostPathSource(path=path, node_name=node):
            return storage_hash({"hostPath": {"path": str(path)}, "nodeName": node or ""})
        case NfsSource(server=server, path=path):
            return storage_hash({"nfs": {"server": server, "path": str(path)}})
        case CsiSource(driver=driver, attributes=attributes):
            says = {"driver": driver, "volumeAttributes": dict(attributes)}
            return storage_hash({"csi": says})
    return storage_hash({"image": {"digest": source.reference.partition(_DIGEST_MARK)[2]}})


def _source(spec: Mapping[str, object]) -> dict[str, object]:
    """The source, readOnly left out: that is about how it is mounted, not about the bytes."""
    kind = source_kind(spec)
    source = spec[kind]
    if not isinstance(source, Mapping):
        raise Malformed(f"a persistent volume whose {kind} is no object")
    return {kind: {key: value for key, value in source.items() if key != "readOnly"}}
