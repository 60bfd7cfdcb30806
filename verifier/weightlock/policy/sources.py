"""Where a checkpoint lies: one volume source and a path on it."""

from dataclasses import dataclass
from typing import Final

from weightlock.errors import Malformed
from weightlock.policy import scalars
from weightlock.policy.fields import Fields
from weightlock.policy.paths import VolumePath
from weightlock.policy.sizes import LONGEST_ATTRIBUTE, MOST_ATTRIBUTES

CLAIM_FIELDS: Final = ("claimName",)
HOST_PATH_FIELDS: Final = ("path", "nodeName")
NFS_FIELDS: Final = ("server", "path")
CSI_FIELDS: Final = ("driver", "volumeAttributes")
IMAGE_FIELDS: Final = ("reference",)

_DIGEST_MARK: Final = "@sha256:"


@dataclass(frozen=True, slots=True)
class ClaimSource:
    """A PersistentVolumeClaim of the checkpoint's namespace."""

    claim_name: str


@dataclass(frozen=True, slots=True)
class HostPathSource:
    """A folder of one node; other nodes may hold other bytes there (A13)."""

    path: VolumePath
    node_name: str | None = None


@dataclass(frozen=True, slots=True)
class NfsSource:
    """An export of a server."""

    server: str
    path: VolumePath


@dataclass(frozen=True, slots=True)
class CsiSource:
    """An inline CSI volume; driver and attributes are its identity (B19)."""

    driver: str
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ImageSource:
    """An image volume, by digest (B20)."""

    reference: str


Source = ClaimSource | HostPathSource | NfsSource | CsiSource | ImageSource

SOURCE_KINDS: Final = ("persistentVolumeClaim", "hostPath", "nfs", "csi", "image")


def source_of(fields: Fields) -> Source:
    """The one source that `spec.source` names beside its path."""
    kinds = fields.present(SOURCE_KINDS)
    if len(kinds) != 1:
        found = " and ".join(kinds) or "none"
        raise fields.wrong("", f"found {found}, expected one of: {', '.join(SOURCE_KINDS)}")
    match kinds[0]:
        case "persistentVolumeClaim":
            return ClaimSource(
                fields.section(kinds[0], CLAIM_FIELDS).text("claimName", scalars.name)
            )
        case "hostPath":
            return _host_path(fields.section(kinds[0], HOST_PATH_FIELDS))
        case "nfs":
            section = fields.section(kinds[0], NFS_FIELDS)
            return NfsSource(section.text("server", server), section.text("path", VolumePath.parse))
        case "csi":
            return _csi(fields.section(kinds[0], CSI_FIELDS))
        case _:
            section = fields.section(kinds[0], IMAGE_FIELDS)
            return ImageSource(section.text("reference", pinned_reference))


def _host_path(fields: Fields) -> HostPathSource:
    node_name = fields.optional_text("nodeName", scalars.name)
    return HostPathSource(fields.text("path", VolumePath.parse), node_name)


def _csi(fields: Fields) -> CsiSource:
    attributes = fields.mapping_of_texts("volumeAttributes", attribute, MOST_ATTRIBUTES)
    if any(len(key) > LONGEST_ATTRIBUTE for key in attributes):
        raise fields.wrong(
            "volumeAttributes", f"found a key of more than {LONGEST_ATTRIBUTE} characters"
        )
    return CsiSource(fields.text("driver", scalars.name), tuple(sorted(attributes.items())))


def server(text: str) -> str:
    """A host name or address."""
    if not scalars.line(text) or " " in text or "/" in text:
        raise Malformed(f"found {scalars.shown(text)}, expected a host name or an address")
    return text


def attribute(text: str) -> str:
    """What a driver is handed: kept for every checkpoint, so nobody may fill memories with it."""
    if len(text) > LONGEST_ATTRIBUTE:
        raise Malformed(f"found {len(text)} characters, expected at most {LONGEST_ATTRIBUTE}")
    return text


def pinned_reference(text: str) -> str:
    """An image reference that ends in a digest, so that nobody can move it."""
    reference, mark, digest = scalars.line(text).partition(_DIGEST_MARK)
    if not mark or not reference or " " in reference:
        raise Malformed(
            f"found {scalars.shown(text)}, expected an image reference with @sha256:..."
        )
    scalars.keyid(digest)
    return text
