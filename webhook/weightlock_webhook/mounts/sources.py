"""Where a volume's bytes come from: every source of core/v1, and "unknown" for all others.

A source that this list lacks is refused, not ignored (A12): a newer API server may know ways to
mount storage that we do not. A test compares the list with the published schemas.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, TypeAlias

from weightlock.errors import Malformed
from weightlock.policy import volume_kinds
from weightlock.policy.paths import VolumePath
from weightlock.policy.volume_kinds import INLINE, INLINE_WITH_READ_ONLY
from weightlock_webhook.mounts.fields import Fields
from weightlock_webhook.mounts.paths import path_of
from weightlock_webhook.wording import quoted

CLAIM: Final = volume_kinds.CLAIM
EPHEMERAL: Final = volume_kinds.EPHEMERAL
HOST_PATH: Final = "hostPath"
IMAGE: Final = "image"
EMPTY_DIR: Final = "emptyDir"
PROJECTED: Final = "projected"
NFS: Final = "nfs"
CSI: Final = "csi"
UNKNOWN: Final = "unknown"

CONFIGURATION: Final = frozenset({"configMap", "secret", "downwardAPI", PROJECTED})
"""Sources that hold API objects of at most 1 MiB, not storage."""

KNOWN_SOURCES: Final = (
    frozenset({CLAIM, EPHEMERAL, HOST_PATH, IMAGE, EMPTY_DIR}) | CONFIGURATION | INLINE
)

KNOWN_PROJECTIONS: Final = frozenset(
    {
        "clusterTrustBundle",
        "configMap",
        "downwardAPI",
        "podCertificate",
        "secret",
        "serviceAccountToken",
    }
)
KNOWN_SOURCE_FIELDS: Final = {
    CLAIM: frozenset({"claimName", "readOnly"}),
    EPHEMERAL: frozenset({"volumeClaimTemplate"}),
    HOST_PATH: frozenset({"path", "type"}),
    IMAGE: frozenset({"reference", "pullPolicy"}),
    EMPTY_DIR: frozenset({"medium", "mode", "sizeLimit"}),
    PROJECTED: frozenset({"defaultMode", "defaultUser", "sources"}),
}
"""The fields of sources that are not compared as a whole; another field may mean other bytes."""

_PREFILLING: Final = ("dataSource", "dataSourceRef", "selector", "volumeName")
"""What makes a new claim start with somebody's bytes: a copy, or a volume that exists already."""

_DIGEST_MARK: Final = "@sha256:"
_DIGEST_HEX_DIGITS: Final = 64


@dataclass(frozen=True, slots=True)
class ClaimSource:
    """A persistent volume claim of the pod's namespace."""

    kind: ClassVar[str] = CLAIM

    claim: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class ClaimTemplateSource:
    """A generic ephemeral volume: a claim made for the pod, named after it (B05)."""

    kind: ClassVar[str] = EPHEMERAL

    storage_class: str
    prefilled_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HostPathSource:
    """A path of whatever node the pod lands on."""

    kind: ClassVar[str] = HOST_PATH

    path: VolumePath
    type: str


@dataclass(frozen=True, slots=True)
class ImageSource:
    """An OCI image; `digest` is "" unless the reference is by digest (B20)."""

    kind: ClassVar[str] = IMAGE

    reference: str
    digest: str


@dataclass(frozen=True, slots=True)
class InlineSource:
    """Storage that the pod describes: nfs, csi, iscsi, ...; `read_only` is None if it cannot be.

    `definition` is everything that the source says, except readOnly, in one canonical spelling.
    `server`, `path` and `driver` are what policies and checkpoints name; empty for other kinds.
    """

    kind: str
    definition: str
    read_only: bool | None
    server: str = ""
    path: VolumePath | None = None
    driver: str = ""


@dataclass(frozen=True, slots=True)
class ScratchSource:
    """An emptyDir: it holds nothing when the pod starts."""

    kind: ClassVar[str] = EMPTY_DIR


@dataclass(frozen=True, slots=True)
class ConfigurationSource:
    """API objects of at most 1 MiB shown as files."""

    kind: str
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UnknownSource:
    """A source that we do not know, or none at all."""

    kind: ClassVar[str] = UNKNOWN

    keys: tuple[str, ...]


VolumeSource: TypeAlias = (
    ClaimSource
    | ClaimTemplateSource
    | HostPathSource
    | ImageSource
    | InlineSource
    | ScratchSource
    | ConfigurationSource
    | UnknownSource
)


def source_of(volume: Fields) -> VolumeSource:
    """The source of one entry of `spec.volumes`.

    Raises:
        Malformed: if the entry names two sources, or a source's own fields have the wrong type.
    """
    keys = tuple(sorted(volume.members.keys() - {"name"}))
    if len(keys) > 1:
        raise Malformed(f"{quoted(volume.where)} names {len(keys)} sources, expected one")
    if not keys or keys[0] not in KNOWN_SOURCES:
        return UnknownSource(keys)
    kind, source = keys[0], volume.child(keys[0])
    unknown = source.unknown(KNOWN_SOURCE_FIELDS.get(kind, frozenset(source.members)))
    if unknown:
        return UnknownSource(tuple(f"{kind}.{key}" for key in unknown))
    return _known(kind, source)


def _known(kind: str, source: Fields) -> VolumeSource:
    if kind in INLINE:
        return _inline(kind, source)
    if kind in CONFIGURATION:
        return _configuration(kind, source)
    return _READERS[kind](source)


def _claim(source: Fields) -> ClaimSource:
    return ClaimSource(source.name("claimName"), source.flag("readOnly"))


def _claim_template(source: Fields) -> ClaimTemplateSource:
    spec = source.child("volumeClaimTemplate").child("spec")
    prefilled_by = tuple(key for key in _PREFILLING if key in spec.members)
    return ClaimTemplateSource(spec.text("storageClassName"), prefilled_by)


def _host_path(source: Fields) -> HostPathSource:
    return HostPathSource(path_of(source.name("path")), source.text("type"))


def _image(source: Fields) -> ImageSource:
    reference = source.text("reference")
    return ImageSource(reference, image_digest(reference))


_READERS: Final[Mapping[str, Callable[[Fields], VolumeSource]]] = {
    CLAIM: _claim,
    EPHEMERAL: _claim_template,
    HOST_PATH: _host_path,
    IMAGE: _image,
    EMPTY_DIR: lambda _: ScratchSource(),
}


def _inline(kind: str, source: Fields) -> InlineSource:
    read_only = source.flag("readOnly") if kind in INLINE_WITH_READ_ONLY else None
    definition = definition_of(source)
    if kind == NFS:
        path = path_of(source.name("path"))
        return InlineSource(kind, definition, read_only, server=source.name("server"), path=path)
    if kind == CSI:
        source.child("volumeAttributes")
        return InlineSource(kind, definition, read_only, driver=source.name("driver"))
    return InlineSource(kind, definition, read_only)


def definition_of(source: Fields) -> str:
    """Everything that a source says, except readOnly, in one canonical spelling.

    Raises:
        Malformed: for what JSON cannot say.
    """
    definition = {key: value for key, value in source.members.items() if key != "readOnly"}
    try:
        return json.dumps(definition, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise Malformed(f"{quoted(source.where)} is not plain JSON") from error


def _configuration(kind: str, source: Fields) -> ConfigurationSource | UnknownSource:
    if kind != PROJECTED:
        return ConfigurationSource(kind, (kind,))
    parts = [part for entry in source.children("sources") for part in entry.members]
    unknown = sorted(set(parts) - KNOWN_PROJECTIONS)
    if unknown:
        return UnknownSource(tuple(f"{kind}.{key}" for key in unknown))
    return ConfigurationSource(kind, tuple(parts))


def image_digest(reference: str) -> str:
    """The digest that ends a reference, as `sha256:<hex>`; "" for a tag or anything else."""
    name, mark, digits = reference.rpartition(_DIGEST_MARK)
    is_hex = len(digits) == _DIGEST_HEX_DIGITS and set(digits) <= set("0123456789abcdef")
    return f"sha256:{digits}" if name and mark and is_hex else ""
