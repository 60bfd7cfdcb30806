"""What is read into which place of a batch: pure arithmetic, the same for every device.

A span is cut into pieces, perfect subtrees of the RFC 6962 shape but for the last, so that a piece
can be hashed by itself wherever there is room. Pieces fill batches; what lies side by side in a
file lies side by side in a batch and is read in big runs, however small the tensors are.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

from weightlock.engines.engine import Span
from weightlock.formats.tree import MAX_LEAF_BYTES, MIN_LEAF_BYTES

EXTENT_ALIGNMENT: Final = 256
"""Where runs start in a batch: a whole number of any granule that a kernel reads."""
SLACK_BYTES: Final = 64 * 1024
"""What a batch may hold beyond its nominal size, for alignment."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """How big things are; see docs/performance.md for how the defaults were measured."""

    batch_bytes: int = 256 * 1024 * 1024
    """Hashed in one launch. Fewer bytes leave the device idle, more delay the last verdict."""
    piece_bytes: int = 64 * 1024 * 1024
    """A power of two of at least the largest leaf, and at most a batch."""
    read_bytes: int = 4 * 1024 * 1024
    """Read and copied at once: below, calls cost too much; above, caches overflow."""
    max_pieces: int = 8192
    """Of one batch; bounds its tables."""
    alignment: int = 1
    """Of file offsets and lengths; direct reads need that of the device's blocks."""

    def __post_init__(self) -> None:
        power_of_two = self.piece_bytes & (self.piece_bytes - 1) == 0
        if not power_of_two or not MAX_LEAF_BYTES <= self.piece_bytes <= self.batch_bytes:
            raise ValueError("piece_bytes must be a power of two from 1 MiB to batch_bytes")
        if self.alignment < 1 or self.read_bytes % self.alignment:
            raise ValueError("read_bytes must be a multiple of the alignment")

    @property
    def is_direct(self) -> bool:
        """Whether files are read past the page cache."""
        return self.alignment > 1

    @property
    def capacity(self) -> int:
        """The bytes of device memory that one batch may need for data."""
        return self.batch_bytes + SLACK_BYTES + 2 * self.alignment

    @property
    def max_leaves(self) -> int:
        """The most leaves that a batch can have."""
        return self.batch_bytes // MIN_LEAF_BYTES + self.max_pieces


class Piece(NamedTuple):
    """Part number `number` of span number `span`, and where its file has it."""

    span: int
    number: int
    file: int
    offset: int
    length: int
    segment: int = 0
    """Which one of its file's it belongs to; only the lattice hash asks."""


class Read(NamedTuple):
    """A run of a file that goes to `start` of the batch.

    `length` bytes are asked for; at least `needed` of them must be there.
    """

    file: int
    offset: int
    start: int
    length: int
    needed: int


class Part(NamedTuple):
    """`length` bytes from `start` of read number `read` on."""

    read: int
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What is hashed in one launch: pieces, where each starts in the batch, and the reads."""

    pieces: Sequence[Piece]
    starts: Sequence[int]
    reads: Sequence[Read]

    def parts_at(self, start: int, length: int) -> tuple["Part", ...]:
        """Where these bytes of one piece come from; several reads if a boundary cuts them."""
        number = bisect_right(self.reads, start, key=lambda read: read.start) - 1
        parts = []
        while length > 0:
            read = self.reads[number]
            inside = start - read.start
            part = Part(number, inside, min(length, read.needed - inside))
            parts.append(part)
            start, length, number = start + part.length, length - part.length, number + 1
        return tuple(parts)


def pieces_of(spans: Sequence[Span], piece_bytes: int) -> Iterator[Piece]:
    """The pieces of all spans, in their order; none for an empty span."""
    for index, span in enumerate(spans):
        for number, start in enumerate(range(0, span.length, piece_bytes)):
            length = min(piece_bytes, span.length - start)
            yield Piece(index, number, span.file, span.offset + start, length)


def shares(pieces: Sequence[Piece], count: int) -> list[Sequence[Piece]]:
    """The pieces dealt out to `count` devices in runs of about equal bytes."""
    total = sum(piece.length for piece in pieces)
    cuts = [0]
    seen = 0
    for number, piece in enumerate(pieces):
        seen += piece.length
        while len(cuts) < count and seen * count >= total * len(cuts):
            cuts.append(number + 1)
    cuts += [len(pieces)] * (count + 1 - len(cuts))
    return [pieces[begin:end] for begin, end in pairwise(cuts)]


def batches(pieces: Iterable[Piece], geometry: Geometry) -> Iterator[Batch]:
    """The pieces, which must not be longer than geometry.piece_bytes, in batches."""
    draft = _Draft(geometry)
    for piece in pieces:
        if not draft.has_room_for(piece):
            yield draft.finished()
            draft = _Draft(geometry)
        draft.add(piece)
    if draft.pieces:
        yield draft.finished()


@dataclass(slots=True)
class _Extent:
    """Bytes that are side by side both in a file and in the batch."""

    file: int
    begin: int
    end: int
    start: int


class _Draft:
    """A batch that is being filled."""

    def __init__(self, geometry: Geometry) -> None:
        self.pieces: list[Piece] = []
        self._starts: list[int] = []
        self._extents: list[_Extent] = []
        self._geometry = geometry
        self._used = 0

    def has_room_for(self, piece: Piece) -> bool:
        geometry = self._geometry
        overhead = EXTENT_ALIGNMENT + 2 * geometry.alignment
        fits = self._used + overhead + piece.length <= geometry.capacity
        return not self.pieces or (fits and len(self.pieces) < geometry.max_pieces)

    def add(self, piece: Piece) -> None:
        extent = self._extents[-1] if self._extents else None
        if extent is None or (extent.file, extent.end) != (piece.file, piece.offset):
            extent = _Extent(
                piece.file,
                _rounded_down(piece.offset, self._geometry.alignment),
                piece.offset,
                _rounded_up(self._used, EXTENT_ALIGNMENT),
            )
            self._extents.append(extent)
        extent.end = piece.offset + piece.length
        self.pieces.append(piece)
        self._starts.append(extent.start + piece.offset - extent.begin)
        end = _rounded_up(extent.end, self._geometry.alignment)
        self._used = extent.start + end - extent.begin

    def finished(self) -> Batch:
        reads = [read for extent in self._extents for read in self._reads(extent)]
        return Batch(self.pieces, self._starts, reads)

    def _reads(self, extent: _Extent) -> Iterator[Read]:
        size = self._geometry.read_bytes
        for offset in range(extent.begin, extent.end, size):
            needed = min(size, extent.end - offset)
            length = _rounded_up(needed, self._geometry.alignment)
            yield Read(extent.file, offset, extent.start + offset - extent.begin, length, needed)


def _rounded_down(number: int, multiple: int) -> int:
    return number // multiple * multiple


def _rounded_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
