"""The lattice hash of what lies in a device's memory.

A block of threads adds up the elements of its leaves and writes one sum; the host adds the sums of
all blocks. So the CPU can look again at what was really added: it computes the elements of one
block from the bytes that were read, and compares their sum with the block's.
"""

import struct
from dataclasses import dataclass, replace
from functools import reduce
from random import Random
from typing import Final

from weightlock.engines.gpu.device import Device, Queue
from weightlock.engines.gpu.plan import Batch, Geometry, Piece
from weightlock.engines.gpu.recheck import ChosenLeaf, Fetch, Recheck, Sample, leaf_of
from weightlock.engines.gpu.table import PLACE, Table, leaf_of_thread
from weightlock.errors import EngineFault
from weightlock.formats.lthash import LANES, LtHash, element

MAX_THREADS: Final = 64
"""Of a block; kernels/lthash.cu is bound to the same number."""
SUM_BYTES: Final = 4 * LANES
"""Of a block: lanes of 32 bits, of which the low 16 count."""
BLOCK_BYTES: Final = 1024 * 1024
"""Blocks of longer leaves have fewer threads, so that the CPU can look at a whole block again."""
_SUM: Final = struct.Struct(f"<{LANES}I")
_LANES: Final = struct.Struct(f"<{LANES}H")
_SUMS_AT_ONCE: Final = 512
"""Lanes of so many blocks add up in 32 bits: 512 blocks of 64 elements, each lane below 2^16."""


def sums_bytes(geometry: Geometry) -> int:
    """The most that the sums of a batch need with as many threads as a block can have."""
    return -(-geometry.max_leaves // MAX_THREADS) * SUM_BYTES


@dataclass(frozen=True, slots=True)
class LatticeComputation:
    """Implements Computation: of each batch one sum, recorded with its first piece."""

    device: Device
    leaf_bytes: int
    geometry: Geometry
    capacity: int
    """The bytes that results may have."""
    recheck: Recheck

    def tables(self, batch: Batch, table: Table) -> bytes:
        """The table, then whose chunks the pieces hold."""
        places = b"".join(PLACE.pack(*self._place(piece)) for piece in batch.pieces)
        return table.data.ljust(table.places_offset, b"\0") + places

    def sample(self, batch: Batch, table: Table, random: Random) -> Sample:
        """All leaves of some random blocks."""
        threads = self._threads(table)
        blocks = {
            random.randrange(self._blocks(table)) for _ in range(self.recheck.leaves_per_batch)
        }
        chosen = []
        for block in sorted(blocks):
            for thread in range(block * threads, min((block + 1) * threads, table.leaves)):
                piece, leaf = leaf_of_thread(table, thread, self.leaf_bytes)
                chosen.append(replace(leaf_of(batch, self.leaf_bytes, piece, leaf), group=block))

        def lanes(leaf: ChosenLeaf, data: bytes) -> bytes:
            file, segment, first = self._place(batch.pieces[leaf.piece])
            return element(file, segment, first + leaf.leaf, data).lanes

        return Sample(chosen, lanes)

    def result_bytes(self, table: Table) -> int:
        """A sum for each block."""
        return self._blocks(table) * SUM_BYTES

    def launch(self, queue: Queue, table: Table, at: int, results: int) -> None:
        """One kernel."""
        queue.clear(results, self.result_bytes(table))
        self.device.lattice().sum_elements(
            queue, table, at, self.leaf_bytes, results, self._threads(table)
        )

    def results(self, batch: Batch, table: Table, fetch: Fetch, sample: Sample) -> list[bytes]:
        """The sum with the first piece; it stands for all of them."""
        self._check(table, fetch, sample)
        total = LtHash()
        blocks = self._blocks(table)
        for first in range(0, blocks, _SUMS_AT_ONCE):
            count = min(_SUMS_AT_ONCE, blocks - first)
            data = fetch(first * SUM_BYTES, count * SUM_BYTES)
            numbers = [data[at : at + SUM_BYTES] for at in range(0, len(data), SUM_BYTES)]
            added = sum(int.from_bytes(number, "little") for number in numbers)
            total = total.plus(_lanes_of(added.to_bytes(SUM_BYTES, "little")))
        return [total.lanes] + [LtHash().lanes] * (len(batch.pieces) - 1)

    def _check(self, table: Table, fetch: Fetch, sample: Sample) -> None:
        by_block: dict[int, list[LtHash]] = {}
        for leaf, lanes in sample.digests:
            by_block.setdefault(leaf.group, []).append(LtHash(lanes))
        for block, elements in by_block.items():
            found = _lanes_of(fetch(block * SUM_BYTES, SUM_BYTES))
            if reduce(LtHash.plus, elements) != found:
                raise EngineFault(
                    "the GPU computed a sum of the lattice hash that the CPU contradicts",
                    hint="take the GPU out of service and check its memory; sign with --engine cpu",
                )

    def _place(self, piece: Piece) -> tuple[int, int, int]:
        chunks = self.geometry.piece_bytes // self.leaf_bytes
        return piece.file, piece.segment, piece.number * chunks

    def _blocks(self, table: Table) -> int:
        return -(-table.leaves // self._threads(table))

    def _threads(self, table: Table) -> int:
        threads = max(1, min(MAX_THREADS, BLOCK_BYTES // self.leaf_bytes))
        while -(-table.leaves // threads) * SUM_BYTES > self.capacity:
            threads *= 2
        return threads


def _lanes_of(data: bytes) -> LtHash:
    return LtHash(_LANES.pack(*(number & 0xFFFF for number in _SUM.unpack(data))))
