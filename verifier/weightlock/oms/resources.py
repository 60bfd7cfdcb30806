"""From the flat list of signed resources to files: unique safe names, shards that tile each file.

Names are compared as they are spelled: the specification orders resources by their names' code
points, the reference implementation by path components; any other order is refused (C16).
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from weightlock.digests import Digest
from weightlock.errors import Malformed, UnsafeName
from weightlock.formats import filenames
from weightlock.formats.filenames import printable
from weightlock.oms.manifest import Piece, SignedFile

if TYPE_CHECKING:
    from typing import Any

    from _typeshed import SupportsDunderLT

SINGLE_FILE: Final = "."
"""What model-signing calls the file when the model is one file."""

_SHARD: Final = re.compile(r"(.+):(0|[1-9][0-9]{0,18}):([1-9][0-9]{0,18})", re.ASCII | re.DOTALL)

_Entry = tuple[str, Piece]


def files(
    named: Sequence[tuple[str, Digest]], subject: str, shard_bytes: int | None
) -> tuple[SignedFile, ...]:
    """The files of signed resources; each resource is a whole file if shard_bytes is None.

    Raises:
        Malformed: for names out of order, repeated, or shards that do not tile a file.
        UnsafeName: for a name that must not be used.
    """
    if shard_bytes is None:
        entries = [(name, Piece(0, None, digest)) for name, digest in named]
        _check_order([name for name, _ in named], entries)
        found = [SignedFile(name, (piece,)) for name, piece in entries]
    else:
        entries = [_shard(name, digest) for name, digest in named]
        _check_order([name for name, _ in named], entries)
        found = [
            SignedFile(name, _tiling(name, pieces, shard_bytes))
            for name, pieces in _by_file(entries).items()
        ]
    found = _with_single_file_named(found, subject)
    filenames.check_all(file.name for file in found)
    return tuple(found)


def _check_order(names: Sequence[str], entries: Sequence[_Entry]) -> None:
    # Strictly ascending: a name that appears twice is out of order too.
    by_components = [(name.split("/"), piece.start) for name, piece in entries]
    if not (_ascending(names) or _ascending(by_components)):
        raise Malformed("the signed resources are not in the order of their names, each once")


def _by_file(entries: Sequence[_Entry]) -> dict[str, list[Piece]]:
    pieces: dict[str, list[Piece]] = {}
    for name, piece in entries:
        pieces.setdefault(name, []).append(piece)
    return pieces


def _shard(name: str, digest: Digest) -> _Entry:
    # The last two components, as the specification says: a file's name may hold colons (C09).
    match = _SHARD.fullmatch(name)
    if match is None:
        raise Malformed(f"the shard {printable(name)}; expected `name:start:end` in plain decimal")
    return match.group(1), Piece(int(match.group(2)), int(match.group(3)), digest)


def _tiling(name: str, unordered: Sequence[Piece], shard_bytes: int) -> tuple[Piece, ...]:
    pieces = sorted(unordered, key=lambda piece: piece.start)
    ends = [piece.end or 0 for piece in pieces]
    starts = [piece.start for piece in pieces]
    last = len(pieces) - 1
    expected = [index * shard_bytes for index in range(len(pieces))]
    full = [start + shard_bytes for start in expected[:last]]
    short = 0 < ends[last] - expected[last] <= shard_bytes
    if starts != expected or ends[:last] != full or not short:
        raise Malformed(
            f"the shards of {printable(name)} have a gap, an overlap or a wrong length; expected"
            f" pieces of {shard_bytes} bytes from 0 on, only the last one shorter"
        )
    return tuple(pieces)


def _with_single_file_named(found: list[SignedFile], subject: str) -> list[SignedFile]:
    # A model that is one file is called "."; the only signed name that it has is the subject's.
    if len(found) != 1 or found[0].name != SINGLE_FILE:
        return found
    if "/" in subject:
        raise UnsafeName(f"the model is one file named {printable(subject)}; expected no folder")
    return [SignedFile(subject, found[0].pieces)]


def _ascending(keys: "Sequence[SupportsDunderLT[Any]]") -> bool:
    return all(first < second for first, second in pairwise(keys))
