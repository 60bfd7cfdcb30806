"""The CPU's second look, so that a faulty GPU can cause a false alarm but never a false pass (C14).

What a verdict rests on is a comparison of roots with signed ones. A device that computed something
else cannot hit a signed root by accident; it could only repeat one that it holds from before. So:

1. Staging and nodes are zeroed before each use: there is nothing to repeat.
2. Of each batch some leaves are chosen at random. The CPU hashes them from the bytes that were
   read, and hashes every group of nodes on their way up to their piece's root.
3. Everything above the pieces, the seal with length, leaf size and algorithm included, is always
   computed by the CPU, by the oracle's functions.

With `every_node` step 2 covers all nodes above the leaves, which costs the CPU about a microsecond
for each leaf.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random

from weightlock.digests import HashAlgorithm
from weightlock.engines.gpu.plan import Batch, Part
from weightlock.engines.gpu.table import FOLD_NODES, Level, Table
from weightlock.errors import EngineFault
from weightlock.formats.tree import merkle_tree_hash

Fetch = Callable[[int, int], bytes]
"""The bytes of nodes, from an offset on, as the device computed them."""


@dataclass(frozen=True, slots=True)
class Recheck:
    """How much the CPU looks at again."""

    leaves_per_batch: int = 1
    every_node: bool = False


@dataclass(frozen=True, slots=True)
class ChosenLeaf:
    """A leaf that the CPU hashes too: its piece's number in the batch and its own in the piece."""

    piece: int
    leaf: int
    parts: tuple[Part, ...]
    """Where its bytes come from."""
    group: int = 0
    """Of leaves that can be compared only together."""


Digest = Callable[[ChosenLeaf, bytes], bytes]
"""What the CPU makes of a leaf's bytes."""


class Sample:
    """Leaves that were chosen; their bytes come with the reads of a batch, in any order."""

    def __init__(self, chosen: Sequence[ChosenLeaf], digest: Digest) -> None:
        self.digests: list[tuple[ChosenLeaf, bytes]] = []
        self._digest = digest
        self._missing = {leaf: dict.fromkeys(leaf.parts, b"") for leaf in dict.fromkeys(chosen)}
        self._reads = frozenset(part.read for leaf in chosen for part in leaf.parts)

    def take(self, number: int, content: Callable[[int, int], bytes]) -> None:
        """Take what it needs of a read; `content` gives bytes of it by start and length."""
        if number not in self._reads:
            return
        for leaf in [leaf for leaf in self._missing if any(p.read == number for p in leaf.parts)]:
            parts = self._missing[leaf]
            for part in leaf.parts:
                if part.read == number:
                    parts[part] = content(part.start, part.length)
            if all(parts.values()):
                del self._missing[leaf]
                self.digests.append((leaf, self._digest(leaf, b"".join(parts.values()))))


def choose_leaves(
    batch: Batch, leaf_bytes: int, count: int, random: Random
) -> Sequence[ChosenLeaf]:
    """Random leaves of a batch, each from a random piece."""
    return [_random_leaf(batch, leaf_bytes, random) for _ in range(count)]


def _random_leaf(batch: Batch, leaf_bytes: int, random: Random) -> ChosenLeaf:
    number = random.randrange(len(batch.pieces))
    leaf = random.randrange(-(-batch.pieces[number].length // leaf_bytes))
    return leaf_of(batch, leaf_bytes, number, leaf)


def leaf_of(batch: Batch, leaf_bytes: int, piece: int, leaf: int) -> ChosenLeaf:
    """A leaf by its piece's number in the batch and its own in the piece."""
    before = leaf * leaf_bytes
    length = min(leaf_bytes, batch.pieces[piece].length - before)
    return ChosenLeaf(piece, leaf, batch.parts_at(batch.starts[piece] + before, length))


class Nodes:
    """The nodes of a batch as the device computed them, and what the CPU says to them."""

    def __init__(self, algorithm: HashAlgorithm, table: Table, fetch: Fetch) -> None:
        self._algorithm = algorithm
        self._table = table
        self._fetch = fetch

    def roots(self) -> list[bytes]:
        """The roots of the pieces."""
        return self._nodes(self._table.levels[-1].offset, self._table.pieces)

    def check_leaf(self, piece: int, leaf: int, digest: bytes) -> None:
        """Compare one leaf with the CPU's hash of it, and all groups above it.

        Raises:
            EngineFault: if the device's answer is wrong.
        """
        levels = self._table.levels
        if self._nodes(levels[0].firsts[piece] + leaf, 1) != [digest]:
            raise _fault("leaf")
        place = leaf
        for below, above in pairwise(levels):
            place //= FOLD_NODES
            self._check_group(below, above, piece, place)

    def check_every_group(self) -> None:
        """Hash all nodes above the leaves again.

        Raises:
            EngineFault: if the device's answer is wrong.
        """
        levels = self._table.levels
        for below, above in pairwise(levels):
            for piece in range(self._table.pieces):
                for place in range(above.counts[piece]):
                    self._check_group(below, above, piece, place)

    def _check_group(self, below: Level, above: Level, piece: int, place: int) -> None:
        first = place * FOLD_NODES
        count = min(FOLD_NODES, below.counts[piece] - first)
        group = self._nodes(below.offset + below.firsts[piece] + first, count)
        folded = self._nodes(above.offset + above.firsts[piece] + place, 1)
        if [merkle_tree_hash(self._algorithm, group)] != folded:
            raise _fault("node")

    def _nodes(self, first: int, count: int) -> list[bytes]:
        size = self._algorithm.digest_bytes
        data = self._fetch(first * size, count * size)
        return [data[start : start + size] for start in range(0, len(data), size)]


def check(nodes: Nodes, digests: Iterable[tuple[ChosenLeaf, bytes]], recheck: Recheck) -> None:
    """Compare what the CPU hashed of a batch with the device's nodes.

    Raises:
        EngineFault: if they differ.
    """
    for leaf, digest in digests:
        nodes.check_leaf(leaf.piece, leaf.leaf, digest)
    if recheck.every_node:
        nodes.check_every_group()


def _fault(what: str) -> EngineFault:
    return EngineFault(
        f"the GPU computed a {what} of the tree that the CPU contradicts",
        hint="take the GPU out of service and check its memory; verify with --engine cpu",
    )
