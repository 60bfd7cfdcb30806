"""What a bundle says a model is, whichever version wrote it. Plain values."""

from collections.abc import Sequence
from dataclasses import dataclass

from weightlock.digests import Digest, HashAlgorithm
from weightlock.oms.vocabulary import Form, Serialization


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes `start` to `end` of a file and their digest; an `end` of None is the file's end."""

    start: int
    end: int | None
    digest: Digest


@dataclass(frozen=True, slots=True)
class SignedFile:
    """A file as signed: either one piece without an end, or shards that tile it exactly."""

    name: str
    pieces: tuple[Piece, ...]

    @property
    def size(self) -> int | None:
        """The signed size; None in the `files` form, where the digest alone binds it."""
        return self.pieces[-1].end


@dataclass(frozen=True, slots=True)
class OmsManifest:
    """The files of a model with their digests, and how they were made.

    `subject` is the name of the folder at the signer's; it identifies nothing. `ignored_paths` is
    what the signer left out; `allow_symlinks` what the signer followed: both are shown to people
    and neither loosens anything (A20, A21).
    """

    form: Form
    serialization: Serialization
    algorithm: HashAlgorithm
    subject: str
    files: Sequence[SignedFile]
    ignored_paths: tuple[str, ...] = ()
    allow_symlinks: bool = False
    shard_bytes: int | None = None
