"""Measures one GPU: copies, the hashes alone, and trees over data in its memory.

Every tree that is timed is compared with the oracle.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from itertools import accumulate
from typing import Final

from weightlock.digests import HashAlgorithm
from weightlock.engines.gpu.compiling import tree_source
from weightlock.engines.gpu.cupy_device import LEAF_THREADS, CupyDevice, Module
from weightlock.engines.gpu.folding import TreeLauncher
from weightlock.engines.gpu.slots import address_of
from weightlock.engines.gpu.table import table_of
from weightlock.engines.measuring import BLOCK_BYTES, leaves_root, rate
from weightlock.errors import EngineFault
from weightlock.formats.tree import TreeParameters

COPY_BYTES: Final = 256 * 1024 * 1024
CEILING_THREADS: Final = 1 << 20
CEILING_BLOCKS: Final = 256
"""Blocks that each thread hashes: 16 KiB of SHA-256."""
TENSORS_CHECKED: Final = 64
CHECKED_BYTES: Final = 1024 * 1024
_MESSAGE_BYTES: Final = {
    HashAlgorithm.SHA256: 64,
    HashAlgorithm.SHA384: 128,
    HashAlgorithm.SHA512: 128,
    HashAlgorithm.SHA3_256: 136,
    HashAlgorithm.SHA3_384: 104,
    HashAlgorithm.SHA3_512: 72,
}


class DeviceBench:
    """`size` bytes of a device's memory, a power of two of blocks, full of a repeated block."""

    def __init__(self, device: CupyDevice, block: bytes, size: int) -> None:
        self._device = device
        self._block = block
        self._size = size
        self._queue = device.queue()
        self._owned = ExitStack()
        self._memory = device.allocate(size)
        self._owned.callback(self._memory.free)
        self._queue.upload(self._memory.address, address_of(block), len(block))
        done = len(block)
        while done < size:
            self._queue.copy(self._memory.address + done, self._memory.address, done)
            done *= 2
        self._queue.finish()

    def close(self) -> None:
        """Give the memory back."""
        self._owned.close()

    def copy_rate(self) -> float:
        """Bytes read and bytes written, in the device's memory; the data stays what it is."""
        half = self._size // 2
        address = self._memory.address

        def copy() -> None:
            self._queue.copy(address + half, address, half)
            self._queue.finish()

        return rate(2 * half, copy)

    def upload_rate(self) -> float:
        """From pinned host memory."""
        pinned = self._device.pin(COPY_BYTES)
        target = self._device.allocate(COPY_BYTES)
        try:

            def upload() -> None:
                self._queue.upload(target.address, pinned.address, COPY_BYTES)
                self._queue.finish()

            return rate(COPY_BYTES, upload)
        finally:
            target.free()
            pinned.free()

    def ceiling_rate(self, algorithm: HashAlgorithm) -> float:
        """Of a hash whose data never leaves the registers."""
        module: Module = self._device.module(tree_source(algorithm, bench=True))
        results = self._device.allocate(4 * CEILING_THREADS)

        def compute() -> None:
            arguments = (CEILING_THREADS, CEILING_BLOCKS, results.address)
            blocks = CEILING_THREADS // LEAF_THREADS
            module.launch("hash_nothing", self._queue, blocks, LEAF_THREADS, arguments)
            self._queue.finish()

        try:
            size = CEILING_THREADS * CEILING_BLOCKS * _MESSAGE_BYTES[algorithm]
            return rate(size, compute)
        finally:
            results.free()

    def tree_rate(self, parameters: TreeParameters, lengths: Sequence[int]) -> float:
        """Of trees over tensors of these lengths, side by side; all levels below the seals.

        Raises:
            EngineFault: if some of a random choice of roots are not the oracle's.
        """
        *starts, size = accumulate(lengths, initial=0)
        addresses = [self._memory.address + start for start in starts]
        launcher = TreeLauncher(self._device, parameters)
        table = table_of(addresses, lengths, parameters.leaf_bytes)
        tables = self._device.allocate(len(table.data))
        nodes = self._device.allocate(launcher.nodes_bytes(table))
        self._queue.upload(tables.address, address_of(table.data), len(table.data))

        def hash_all() -> None:
            launcher.launch(self._queue, table, tables.address, nodes.address)
            self._queue.finish()

        try:
            found = rate(size, hash_all)
            last = table.levels[-1]
            at = nodes.address + last.offset * parameters.algorithm.digest_bytes
            self._check(parameters, starts, lengths, at)
        finally:
            nodes.free()
            tables.free()
        return found

    def _check(
        self, parameters: TreeParameters, starts: Sequence[int], lengths: Sequence[int], at: int
    ) -> None:
        size = parameters.algorithm.digest_bytes
        pinned = self._device.pin(size)
        step = -(-len(lengths) // TENSORS_CHECKED)
        try:
            for number in range(0, len(lengths), step):
                expected = self._expected(parameters, starts[number], lengths[number])
                self._queue.download(pinned.address, at + number * size, size)
                self._queue.finish()
                if expected is not None and bytes(pinned.view) != expected:
                    raise EngineFault("the GPU computed another root than the oracle")
        finally:
            pinned.free()

    def _expected(self, parameters: TreeParameters, start: int, length: int) -> bytes | None:
        """None for tensors on which the oracle would take too long."""
        times, rest = divmod(length, BLOCK_BYTES)
        place = start % BLOCK_BYTES
        if times and not rest and not place:
            return leaves_root(parameters, self._block, times)
        if length > CHECKED_BYTES:
            return None
        return leaves_root(parameters, (self._block[place : place + length] + self._block)[:length])
