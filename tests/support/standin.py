"""A device on the CPU behind the engine's own seam: slow, obviously right, and lazy.

What is queued is done only when somebody waits for it, so that whoever forgets to wait, or reuses
memory too early, gets wrong roots here as on a real device. Kernels read the same tables as the
real ones and compute with the oracle.
"""

import ctypes
import mmap
import os
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from weightlock.digests import HashAlgorithm
from weightlock.engines.gpu.device import Queue
from weightlock.engines.gpu.table import GROUP, PIECE, PLACE, Table, leaf_of_thread
from weightlock.errors import EngineUnavailable
from weightlock.formats.lthash import LANES, element
from weightlock.formats.tree import chunks, leaf_hash, merkle_tree_hash


class Lost(Exception):
    """What a driver might raise."""


class StandInMemory:
    """Memory of device and host at once."""

    def __init__(self, owner: "StandInDevice", size: int, *, of_host: bool = False) -> None:
        self._owner = owner
        self._of_host = of_host
        self.size = size
        self.view = memoryview(mmap.mmap(-1, max(size, 1)))[:size]  # on a page, as pinned memory is
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.view))

    def clear(self, size: int) -> None:
        ctypes.memset(self.address, 0, size)

    def free(self) -> None:
        reachable = self._of_host or not self._owner.is_lost
        self._owner.freed.append(bytes(self.view) if reachable else b"")


class StandInQueue:
    def __init__(self, owner: "StandInDevice") -> None:
        self._owner = owner
        self._waiting: list[Callable[[], None]] = []
        self._lock = threading.RLock()
        self._done = 0

    @property
    def length(self) -> int:
        with self._lock:
            return self._done + len(self._waiting)

    def add(self, work: Callable[[], None]) -> None:
        with self._lock:
            self._waiting.append(work)

    def upload(self, target: int, source: int, size: int) -> None:
        self.add(lambda: _move(target, source, size))

    def download(self, target: int, source: int, size: int) -> None:
        self.add(lambda: _move(target, source, size))

    def clear(self, target: int, size: int) -> None:
        self.add(lambda: _zero(target, size))

    def finish(self) -> None:
        self.work_off(self.length)

    def work_off(self, length: int) -> None:
        self._owner.check()
        with self._lock:
            while self._done < length:
                self._waiting.pop(0)()
                self._done += 1


class StandInMark:
    def __init__(self) -> None:
        self._place: tuple[StandInQueue, int] | None = None

    def put(self, queue: Queue) -> None:
        assert isinstance(queue, StandInQueue)
        self._place = (queue, queue.length)

    def wait(self) -> None:
        if self._place is not None:
            self._place[0].work_off(self._place[1])


class StandInKernels:
    def __init__(self, device: "StandInDevice", algorithm: HashAlgorithm) -> None:
        self._device = device
        self._algorithm = algorithm

    def hash_leaves(self, queue: Queue, table: Table, at: int, leaf_bytes: int, nodes: int) -> None:
        assert isinstance(queue, StandInQueue)
        queue.add(lambda: self._hash_leaves(table, at, leaf_bytes, nodes))

    def _hash_leaves(self, table: Table, at: int, leaf_bytes: int, nodes: int) -> None:
        self._device.launched()
        if self._device.idle:
            return
        pieces = PIECE.iter_unpack(_bytes(at, table.pieces * PIECE.size))
        for address, length, _, first_node in pieces:
            data = _bytes(address, length)
            for number, chunk in enumerate(chunks(data, leaf_bytes)):
                digest = leaf_hash(self._algorithm, chunk)
                self._put(nodes, first_node + number, self._device.spoilt(digest))

    def fold_groups(self, queue: Queue, groups: int, count: int, nodes: int, folded: int) -> None:
        assert isinstance(queue, StandInQueue)
        queue.add(lambda: self._fold_groups(groups, count, nodes, folded))

    def _fold_groups(self, groups: int, count: int, nodes: int, folded: int) -> None:
        if self._device.idle:
            return
        size = self._algorithm.digest_bytes
        table = GROUP.iter_unpack(_bytes(groups, count * GROUP.size))
        for number, (first, length) in enumerate(table):
            below = [_bytes(nodes + (first + place) * size, size) for place in range(length)]
            node = merkle_tree_hash(self._algorithm, below)
            self._put(folded, number, self._device.spoilt_node(node))

    def _put(self, nodes: int, number: int, digest: bytes) -> None:
        ctypes.memmove(nodes + number * len(digest), digest, len(digest))


class StandInLattice:
    def __init__(self, device: "StandInDevice") -> None:
        self._device = device

    def sum_elements(
        self, queue: Queue, table: Table, at: int, leaf_bytes: int, sums: int, threads: int
    ) -> None:
        assert isinstance(queue, StandInQueue)
        queue.add(lambda: self._sum(table, at, leaf_bytes, sums, threads))

    def _sum(self, table: Table, at: int, leaf_bytes: int, sums: int, threads: int) -> None:
        self._device.launched()
        if self._device.idle:
            return
        pieces = list(PIECE.iter_unpack(_bytes(at, table.pieces * PIECE.size)))
        places = at + table.places_offset
        for block in range(-(-table.leaves // threads)):
            lanes = [0] * LANES
            for thread in range(block * threads, min((block + 1) * threads, table.leaves)):
                piece, leaf = leaf_of_thread(table, thread, leaf_bytes)
                address, length, _, _ = pieces[piece]
                file, segment, first = PLACE.unpack(_bytes(places + piece * PLACE.size, PLACE.size))
                start = leaf * leaf_bytes
                data = _bytes(address + start, min(leaf_bytes, length - start))
                found = struct.unpack(
                    f"<{LANES}H", element(file, segment, first + leaf, data).lanes
                )
                lanes = [one + other for one, other in zip(lanes, found, strict=True)]
            packed = self._device.spoilt(struct.pack(f"<{LANES}I", *lanes))
            ctypes.memmove(sums + block * len(packed), packed, len(packed))


class StandInDevice:
    """Implements Device; the attributes let a test break it."""

    def __init__(self, memory_bytes: int = 1 << 34) -> None:
        self.name = "stand-in"
        self.freed: list[bytes] = []
        self.spoilt: Callable[[bytes], bytes] = lambda digest: digest
        self.spoilt_node: Callable[[bytes], bytes] = lambda digest: digest
        self.lost_after_launches = -1
        self.idle = False
        self.settled = 0
        self._registered: dict[int, int] = {}
        self.is_lost = False
        self._left = memory_bytes

    def use(self) -> None:
        self.check()

    def settle(self) -> None:
        self.settled += 1

    def allocate(self, size: int) -> StandInMemory:
        self._left -= size
        if self._left < 0:
            raise Lost("out of memory")
        return StandInMemory(self, size)

    def pin(self, size: int) -> StandInMemory:
        return StandInMemory(self, size, of_host=True)

    def register(self, address: int, size: int) -> None:
        self._registered[address] = size

    def unregister(self, address: int) -> None:
        self.freed.append(_bytes(address, self._registered.pop(address)))

    def queue(self) -> StandInQueue:
        return StandInQueue(self)

    def mark(self) -> StandInMark:
        return StandInMark()

    def kernels(self, algorithm: HashAlgorithm) -> StandInKernels:
        return StandInKernels(self, algorithm)

    def lattice(self) -> StandInLattice:
        return StandInLattice(self)

    def launched(self) -> None:
        if self.lost_after_launches == 0:
            self.is_lost = True
        self.check()
        self.lost_after_launches -= 1

    def check(self) -> None:
        """Once lost, always lost: whatever is asked of a driver then fails."""
        if self.is_lost:
            raise Lost("the device is gone")

    @contextmanager
    def translated(self) -> Iterator[None]:
        try:
            yield
        except Lost as error:
            raise EngineUnavailable(f"the GPU cannot be used: {error}") from error


def _move(target: int, source: int, size: int) -> None:
    ctypes.memmove(target, source, size)


def _zero(target: int, size: int) -> None:
    ctypes.memset(target, 0, size)


def _bytes(address: int, size: int) -> bytes:
    return ctypes.string_at(address, size)


def numbered(number: int) -> StandInDevice:
    """A device for a process of its own; `tests.support.standin:numbered` names it."""
    device = StandInDevice()
    device.name = f"stand-in {number}"
    return device


def absent(number: int) -> StandInDevice:
    raise EngineUnavailable(f"there is no stand-in {number}", hint="buy one")


def broken(number: int) -> StandInDevice:
    raise RuntimeError(f"stand-in {number} smokes")


def soon_lost(number: int) -> StandInDevice:
    device = numbered(number)
    device.lost_after_launches = 1
    return device


def wrong(number: int) -> StandInDevice:
    device = numbered(number)
    device.spoilt = lambda digest: bytes(len(digest))
    return device


def raising(number: int) -> StandInDevice:
    def fail(_: bytes) -> bytes:
        raise RuntimeError("nobody foresaw this")

    device = numbered(number)
    device.spoilt = fail
    return device


def ending(number: int) -> StandInDevice:
    device = numbered(number)
    device.spoilt = lambda _: os._exit(9)
    return device


class _Tattler(list[bytes]):
    def append(self, memory: bytes) -> None:
        print("marked" if MARKER in memory else "clean", file=sys.stderr, flush=True)  # noqa: T201


MARKER = b"MARKER OF 32 BYTES, NOT TO STAY!"


def tattling(number: int) -> StandInDevice:
    """Says on standard error what is in memory that it gets back."""
    device = numbered(number)
    device.freed = _Tattler()
    return device


def tattling_and_lost(number: int) -> StandInDevice:
    device = tattling(number)
    device.lost_after_launches = 1
    return device
