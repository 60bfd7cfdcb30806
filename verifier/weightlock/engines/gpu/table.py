"""The tables that tell the kernels where leaves and nodes lie.

Plain Python lays them out: for the usual batch of a few big pieces that takes microseconds, for
100,000 tensors some 50 ms, and importing NumPy would take longer than either.
"""

import struct
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

PIECE: Final = struct.Struct("<QQII")
"""Address, bytes, full leaves before, leaves before; kernels/leaves.cuh has the same."""
GROUP: Final = struct.Struct("<II")
"""First node, number of nodes; kernels/tree.cuh has the same."""
PLACE: Final = struct.Struct("<QQQ")
"""File, segment, first chunk; kernels/lthash.cu has the same."""
PLACE_ALIGNMENT: Final = 8
FOLD_NODES: Final = 64
"""Nodes that one block folds; kernels/tree.cuh has the same number."""

_TAIL: Final = struct.Struct("<I")

Numbers = Sequence[int]


@dataclass(frozen=True, slots=True)
class Level:
    """Nodes of all pieces, piece after piece: level 0 has the leaves, the last one the roots."""

    offset: int
    firsts: Numbers
    counts: Numbers

    @property
    def size(self) -> int:
        """The number of nodes."""
        return self.firsts[-1] + self.counts[-1]


@dataclass(frozen=True, slots=True)
class Table:
    """Everything that the launches for one batch are told.

    `offsets` says where in `data` the tails (first) and the groups of each fold begin.
    """

    data: bytes
    offsets: Sequence[int]
    pieces: int
    full_leaves: int
    levels: Sequence[Level]

    @property
    def leaves(self) -> int:
        """The number of all leaves."""
        return self.levels[0].size

    @property
    def places_offset(self) -> int:
        """Where places lie, if they are put behind `data`."""
        return -(-len(self.data) // PLACE_ALIGNMENT) * PLACE_ALIGNMENT

    @property
    def nodes(self) -> int:
        """The number of all nodes, of all levels."""
        return self.levels[-1].offset + self.levels[-1].size


def table_of(addresses: Numbers, lengths: Numbers, leaf_bytes: int) -> Table:
    """The table for at least one piece at these device addresses; no length may be 0."""
    full = [length // leaf_bytes for length in lengths]
    level = _level(0, [-(-length // leaf_bytes) for length in lengths])
    pieces = map(PIECE.pack, addresses, lengths, _starts(full), level.firsts)
    parts = [b"".join(pieces), _tails([length % leaf_bytes for length in lengths])]
    levels = [level]
    while max(level.counts) > 1:
        parts.append(_groups_of(level))
        above = [-(-count // FOLD_NODES) for count in level.counts]
        level = _level(level.offset + level.size, above)
        levels.append(level)
    offsets = list(accumulate(len(part) for part in parts))[:-1]
    return Table(b"".join(parts), offsets, len(lengths), sum(full), levels)


def leaf_of_thread(table: Table, thread: int, leaf_bytes: int) -> tuple[int, int]:
    """The piece whose leaf a thread has, and the leaf's number in it; as in kernels/leaves.cuh."""
    if thread >= table.full_leaves:
        (piece,) = _TAIL.unpack_from(
            table.data, table.offsets[0] + (thread - table.full_leaves) * _TAIL.size
        )
        length: int = PIECE.unpack_from(table.data, piece * PIECE.size)[1]
        return piece, length // leaf_bytes

    def full_before(piece: int) -> int:
        before: int = PIECE.unpack_from(table.data, piece * PIECE.size)[2]
        return before

    piece = bisect_right(range(table.pieces), thread, key=full_before) - 1
    return piece, thread - full_before(piece)


def table_bytes(max_leaves: int, max_pieces: int) -> int:
    """An upper bound for len(Table.data), with a place for each piece behind it."""
    per_piece = PIECE.size + _TAIL.size + PLACE.size
    groups = _folds(max_leaves) * _most_groups(max_leaves, max_pieces)
    return max_pieces * per_piece + groups * GROUP.size + PLACE_ALIGNMENT


def node_count(max_leaves: int, max_pieces: int) -> int:
    """An upper bound for Table.nodes."""
    return max_leaves + _folds(max_leaves) * _most_groups(max_leaves, max_pieces)


def _level(offset: int, counts: Numbers) -> Level:
    return Level(offset, _starts(counts), counts)


def _starts(counts: Numbers) -> Numbers:
    return list(accumulate(counts, initial=0))[:-1]


def _tails(rests: Numbers) -> bytes:
    """The pieces that end in a shorter leaf, the longest first: equal work for neighbours."""
    tails = [piece for piece, rest in enumerate(rests) if rest]
    tails.sort(key=rests.__getitem__, reverse=True)
    return array("I", tails).tobytes()


def _groups_of(below: Level) -> bytes:
    groups = array("I")
    for first, count in zip(below.firsts, below.counts, strict=True):
        for place in range(0, count, FOLD_NODES):
            groups.append(first + place)
            groups.append(min(FOLD_NODES, count - place))
    return groups.tobytes()


def _folds(max_leaves: int) -> int:
    folds = 1
    while FOLD_NODES**folds < max_leaves:
        folds += 1
    return folds


def _most_groups(max_leaves: int, max_pieces: int) -> int:
    return max_leaves // FOLD_NODES + max_pieces
