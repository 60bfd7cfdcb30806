"""The manifest: what the signers say a checkpoint is. Values only; see statement.py for JSON."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from weightlock.algorithms import SignatureAlgorithm
from weightlock.digests import Digest, HashAlgorithm
from weightlock.errors import Malformed
from weightlock.formats import tree
from weightlock.formats.lthash import LtHash

MAX_MODEL_NAME_CHARACTERS: Final = 253
_MODEL_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """What the signed payload says of itself."""

    name: str
    version: int


@dataclass(frozen=True, slots=True)
class Signer:
    """One of the signers that the signed payload says must all be present (A11)."""

    algorithm: SignatureAlgorithm
    keyid: str


@dataclass(frozen=True, slots=True)
class UpstreamSigner:
    """Who had signed the model classically before it was notarised.

    `identity` is the key's identifier or the certificate's subject, `payload_sha256` the SHA-256 of
    the upstream payload.
    """

    method: str
    algorithm: str
    identity: str
    issuer: str
    predicate_type: str
    payload_sha256: str


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """One segment: its length and its root."""

    length: int
    root: bytes


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file: its name, its size, its segments in order and the root over them."""

    name: str
    size: int
    root: bytes
    segments: tuple[SegmentEntry, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """A checkpoint as signed; the files are in the order of the bytes of their names."""

    model: ModelIdentity
    created_at: str
    parameters: tree.TreeParameters
    root: bytes
    files: tuple[FileEntry, ...]
    signers: tuple[Signer, ...]
    lthash: LtHash | None = None
    upstream: UpstreamSigner | None = None

    @property
    def digest(self) -> Digest:
        """The model's root with its algorithm: the identity of the content."""
        return Digest(self.parameters.algorithm, self.root)

    @property
    def total_bytes(self) -> int:
        """The bytes of all files."""
        return sum(file.size for file in self.files)


def file_entry(algorithm: HashAlgorithm, name: str, segments: Sequence[SegmentEntry]) -> FileEntry:
    """A file's entry from its segments."""
    size = sum(segment.length for segment in segments)
    root = tree.file_root(algorithm, size, [segment.root for segment in segments])
    return FileEntry(name, size, root, tuple(segments))


def model_root(algorithm: HashAlgorithm, files: Sequence[FileEntry]) -> bytes:
    """The model's root from the entries of its files."""
    leaves = [tree.FileLeaf(file.name.encode(), file.size, file.root) for file in files]
    return tree.model_root(algorithm, leaves)


def in_order(files: Sequence[FileEntry]) -> tuple[FileEntry, ...]:
    """Files in the order that a manifest has them: by the bytes of their names (C16)."""
    return tuple(sorted(files, key=lambda file: file.name.encode()))


def check_model_name(name: str) -> None:
    """Refuse a model name that could not be a policy's pattern or be shown safely.

    Raises:
        Malformed: saying which characters a name may have.
    """
    if len(name) > MAX_MODEL_NAME_CHARACTERS or not _MODEL_NAME.fullmatch(name):
        raise Malformed(
            f"the model name {name!r:.80} is not one; expected up to {MAX_MODEL_NAME_CHARACTERS}"
            " letters, digits, '.', '_', '-' and '/', with a letter or digit at both ends",
            hint="choose one with --name",
        )
