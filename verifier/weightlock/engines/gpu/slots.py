"""The memory of the engine: taken once, within a stated budget, zeroed after every use (F12, F13).

A slot holds one batch on its way through the device. With the default geometry a device lends
5 slots, 1.3 GiB of its memory, and the host pins 8 MiB for each reading process and 7 MiB for
each slot.
"""

import ctypes
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from weightlock.engines.gpu.device import Device, HostMemory, Mark, Memory, Queue
from weightlock.engines.gpu.lattice import sums_bytes
from weightlock.engines.gpu.plan import Geometry
from weightlock.engines.gpu.readers import Reader
from weightlock.engines.gpu.shared import ReadingProcess
from weightlock.engines.gpu.table import node_count, table_bytes

MAX_DIGEST_BYTES: Final = 64
SLOTS: Final = 5
"""Enough that reading need not wait for a batch whose last run is late."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Memory for one batch in flight, with a queue of its own."""

    queue: Queue
    done: Mark
    staging: Memory
    tables: Memory
    results: Memory
    fetched: HostMemory

    def fetch(self, start: int, size: int) -> bytes:
        """Results that were downloaded."""
        return bytes(self.fetched.view[start : start + size])

    def clear(self) -> None:
        """Zero all that held content or came from it."""
        self.queue.clear(self.staging.address, self.staging.size)
        self.queue.clear(self.results.address, self.results.size)
        self.queue.clear(self.tables.address, self.tables.size)
        self.queue.finish()


class Pool:
    """All memory of one device's engine."""

    def __init__(
        self, device: Device, geometry: Geometry, processes: Sequence[ReadingProcess]
    ) -> None:
        self._owned = ExitStack()
        for process in processes:
            self._owned.callback(process.close)
        try:
            self.slots = [self._slot(device, geometry) for _ in range(SLOTS)]
            self.readers = [self._reader(device, process) for process in processes]
        except BaseException:
            self._owned.close()
            raise

    def free(self) -> None:
        """Give everything back."""
        self._owned.close()

    def _slot(self, device: Device, geometry: Geometry) -> Slot:
        leaves, pieces = geometry.max_leaves, geometry.max_pieces
        results = results_bytes(geometry)
        return Slot(
            queue=device.queue(),
            done=device.mark(),
            staging=self._own(device.allocate(geometry.capacity)),
            results=self._own(device.allocate(results)),
            tables=self._own(device.allocate(table_bytes(leaves, pieces))),
            fetched=self._pinned(device, results),
        )

    def _reader(self, device: Device, process: ReadingProcess) -> Reader:
        reader = Reader(device, process)
        self._owned.callback(reader.release)
        return reader

    def _own(self, memory: Memory) -> Memory:
        self._owned.callback(memory.free)
        return memory

    def _pinned(self, device: Device, size: int) -> HostMemory:
        memory = device.pin(size)
        self._owned.callback(memory.free)
        return memory


def results_bytes(geometry: Geometry) -> int:
    """What the kernels may write for a batch: all nodes of a tree, or the lattice hash's sums."""
    nodes = node_count(geometry.max_leaves, geometry.max_pieces) * MAX_DIGEST_BYTES
    return max(nodes, sums_bytes(geometry))


def address_of(data: bytes) -> int:
    """Where the bytes lie; they must be kept alive while it is used."""
    return ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0
