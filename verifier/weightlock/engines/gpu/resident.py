"""Hashes what already lies in a GPU's memory, where it lies: nothing is copied but roots.

This is the check that leaves no window between check and use: the bytes that were compared with
signed roots are the bytes that the model computes with.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from random import Random
from typing import Final, NamedTuple

from weightlock.engines.gpu.device import Device, HostMemory, Queue
from weightlock.engines.gpu.folding import TreeLauncher
from weightlock.engines.gpu.recheck import Nodes, Recheck
from weightlock.engines.gpu.slots import address_of
from weightlock.engines.gpu.table import Table, table_of
from weightlock.formats.tree import (
    TreeParameters,
    leaf_hash,
    merkle_tree_hash,
    sealed_segment_root,
)

PIECE_LEAVES: Final = 1 << 20
"""Of a piece, which must be a perfect subtree: a power of two."""
BATCH_LEAVES: Final = 1 << 21
"""Hashed in one launch; their nodes take 65 MiB with digests of 32 bytes."""
READ_BYTES: Final = 64 * 1024 * 1024
"""Brought to the host at once when memory is read out."""


class Region(NamedTuple):
    """Bytes in the device's memory, contiguous, at any address."""

    address: int
    length: int


class _Piece(NamedTuple):
    region: int
    address: int
    length: int


@dataclass(frozen=True, slots=True)
class ResidentHasher:
    """Hashes regions of one device's memory."""

    device: Device
    parameters: TreeParameters
    recheck: Recheck
    random: Random

    def segment_roots(self, regions: Sequence[Region]) -> list[bytes]:
        """The root of each region as a segment.

        Raises:
            EngineUnavailable: if the device cannot be used.
            EngineFault: if it computed wrongly.
        """
        parts: list[list[bytes]] = [[] for _ in regions]
        with self.device.translated():
            self.device.use()
            self.device.settle()  # whoever writes this memory must have finished
            launcher = TreeLauncher(self.device, self.parameters)
            for batch in _batches(regions, self.parameters.leaf_bytes):
                for piece, root in zip(batch, self._roots(launcher, batch), strict=True):
                    parts[piece.region].append(root)
        algorithm = self.parameters.algorithm
        return [
            sealed_segment_root(self.parameters, region.length, merkle_tree_hash(algorithm, roots))
            for region, roots in zip(regions, parts, strict=True)
        ]

    def _roots(self, launcher: TreeLauncher, batch: Sequence[_Piece]) -> list[bytes]:
        addresses = [piece.address for piece in batch]
        lengths = [piece.length for piece in batch]
        table = table_of(addresses, lengths, self.parameters.leaf_bytes)
        run = _Run(self.device, launcher, table, self._scratch_bytes(table))
        try:
            run.launch()
            nodes = Nodes(self.parameters.algorithm, table, run.nodes_at)
            for _ in range(self.recheck.leaves_per_batch):
                self._check_one(nodes, batch, run)
            if self.recheck.every_node:
                nodes.check_every_group()
            return nodes.roots()
        finally:
            run.free()

    def _check_one(self, nodes: Nodes, batch: Sequence[_Piece], run: "_Run") -> None:
        leaf_bytes = self.parameters.leaf_bytes
        number = self.random.randrange(len(batch))
        piece = batch[number]
        leaf = self.random.randrange(-(-piece.length // leaf_bytes))
        start = leaf * leaf_bytes
        chunk = run.bytes_at(piece.address + start, min(leaf_bytes, piece.length - start))
        nodes.check_leaf(number, leaf, leaf_hash(self.parameters.algorithm, chunk))

    def _scratch_bytes(self, table: Table) -> int:
        roots = table.pieces * self.parameters.algorithm.digest_bytes
        return max(self.parameters.leaf_bytes, roots)


def read_region(device: Device, region: Region, write: Callable[[memoryview], object]) -> None:
    """Hand a region's bytes to a function, in their order.

    Raises:
        EngineUnavailable: if the device cannot be used.
    """
    with device.translated(), ExitStack() as owned:
        device.use()
        device.settle()  # whoever writes this memory must have finished
        queue = device.queue()
        pinned = device.pin(max(1, min(READ_BYTES, region.length)))
        owned.callback(pinned.free)
        for start in range(0, region.length, READ_BYTES):
            size = min(READ_BYTES, region.length - start)
            queue.download(pinned.address, region.address + start, size)
            queue.finish()
            write(pinned.view[:size])


class _Run:
    """The memory of one launch."""

    def __init__(
        self, device: Device, launcher: TreeLauncher, table: Table, scratch_bytes: int
    ) -> None:
        self._launcher = launcher
        self._table = table
        self._queue: Queue = device.queue()
        with ExitStack() as owned:
            self._scratch: HostMemory = device.pin(scratch_bytes)
            owned.callback(self._scratch.free)
            self._tables = device.allocate(len(table.data))
            owned.callback(self._tables.free)
            self._nodes = device.allocate(launcher.nodes_bytes(table))
            owned.callback(self._nodes.free)
            self._owned = owned.pop_all()

    def launch(self) -> None:
        data = self._table.data
        self._queue.upload(self._tables.address, address_of(data), len(data))
        self._launcher.launch(self._queue, self._table, self._tables.address, self._nodes.address)

    def nodes_at(self, start: int, size: int) -> bytes:
        """Nodes, once they are computed."""
        return self.bytes_at(self._nodes.address + start, size)

    def bytes_at(self, address: int, size: int) -> bytes:
        """Bytes of the device's memory."""
        self._scratch.clear(size)
        self._queue.download(self._scratch.address, address, size)
        self._queue.finish()
        return bytes(self._scratch.view[:size])

    def free(self) -> None:
        self._owned.close()


def _batches(regions: Sequence[Region], leaf_bytes: int) -> Iterator[list[_Piece]]:
    batch: list[_Piece] = []
    leaves = 0
    for number, region in enumerate(regions):
        for start in range(0, region.length, PIECE_LEAVES * leaf_bytes):
            length = min(PIECE_LEAVES * leaf_bytes, region.length - start)
            more = -(-length // leaf_bytes)
            if batch and leaves + more > BATCH_LEAVES:
                yield batch
                batch, leaves = [], 0
            batch.append(_Piece(number, region.address + start, length))
            leaves += more
    if batch:
        yield batch
