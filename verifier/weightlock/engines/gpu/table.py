"""The tables that tell the kernels where leaves and nodes lie.

NumPy lays them out, because a checkpoint may have 100,000 tensors; it comes with the GPU extras, so
only modules that already need a device import this one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

PIECE: Final = np.dtype(
    [("address", "<u8"), ("bytes", "<u8"), ("full_before", "<u4"), ("first_node", "<u4")]
)
GROUP: Final = np.dtype([("first", "<u4"), ("nodes", "<u4")])
FOLD_NODES: Final = 64
"""Nodes that one block folds; kernels/tree.cuh has the same number."""

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Level:
    """Nodes of all pieces, piece after piece: level 0 has the leaves, the last one the roots."""

    offset: int
    firsts: Numbers
    counts: Numbers

    @property
    def size(self) -> int:
        """The number of nodes."""
        return int(self.counts.sum())


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
    def nodes(self) -> int:
        """The number of all nodes, of all levels."""
        return self.levels[-1].offset + self.levels[-1].size


def table_of(addresses: Numbers, lengths: Numbers, leaf_bytes: int) -> Table:
    """The table for pieces at these device addresses; no length may be 0."""
    full, rest = np.divmod(lengths, leaf_bytes)
    counts = full + (rest > 0)
    pieces = np.zeros(len(lengths), dtype=PIECE)
    pieces["address"] = addresses
    pieces["bytes"] = lengths
    pieces["full_before"] = _starts(full)
    pieces["first_node"] = _starts(counts)
    levels = [Level(0, _starts(counts), counts)]
    parts = [pieces.tobytes(), _tails(rest).tobytes()]
    while int(levels[-1].counts.max()) > 1:
        groups, level = _folded(levels[-1])
        parts.append(groups.tobytes())
        levels.append(level)
    offsets = np.cumsum([len(part) for part in parts[:-1]]).tolist()
    return Table(b"".join(parts), offsets, len(lengths), int(full.sum()), levels)


def table_bytes(max_leaves: int, max_pieces: int) -> int:
    """An upper bound for len(Table.data)."""
    per_piece = PIECE.itemsize + 4
    return max_pieces * per_piece + _folds(max_leaves) * _groups(max_leaves, max_pieces) * 8


def node_count(max_leaves: int, max_pieces: int) -> int:
    """An upper bound for Table.nodes."""
    return max_leaves + _folds(max_leaves) * _groups(max_leaves, max_pieces)


def _starts(counts: Numbers) -> Numbers:
    starts: Numbers = np.cumsum(counts) - counts
    return starts


def _tails(rest: Numbers) -> NDArray[np.uint32]:
    """The pieces that end in a shorter leaf, the longest first: equal work for neighbours."""
    tails = np.flatnonzero(rest)
    return tails[np.argsort(-rest[tails], kind="stable")].astype(np.uint32)


def _folded(below: Level) -> tuple[NDArray[Any], Level]:
    per_piece = -(-below.counts // FOLD_NODES)
    above = Level(below.offset + below.size, _starts(per_piece), per_piece)
    piece = np.repeat(np.arange(len(per_piece)), per_piece)
    place = (np.arange(len(piece)) - above.firsts[piece]) * FOLD_NODES
    groups = np.zeros(len(piece), dtype=GROUP)
    groups["first"] = below.firsts[piece] + place
    groups["nodes"] = np.minimum(FOLD_NODES, below.counts[piece] - place)
    return groups, above


def _folds(max_leaves: int) -> int:
    folds = 1
    while FOLD_NODES**folds < max_leaves:
        folds += 1
    return folds


def _groups(max_leaves: int, max_pieces: int) -> int:
    return max_leaves // FOLD_NODES + max_pieces
