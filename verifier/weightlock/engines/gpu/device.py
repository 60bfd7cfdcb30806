"""The seam to the hardware: what the engine needs of a device, and nothing more.

cupy_device.py implements it for CUDA and HIP; the tests have a stand-in on the CPU, so that all
host logic runs where there is no GPU. Addresses are plain numbers; the engine owns what lies there.
"""

from contextlib import AbstractContextManager
from typing import Protocol

from weightlock.digests import HashAlgorithm
from weightlock.engines.gpu.table import Table


class Memory(Protocol):
    """Memory of the device, zeroed before it is given back (F12)."""

    @property
    def address(self) -> int:
        """Of its first byte."""
        ...

    @property
    def size(self) -> int:
        """In bytes."""
        ...

    def free(self) -> None:
        """Give it back."""
        ...


class HostMemory(Memory, Protocol):
    """Memory of the host that the device can read and write while the host does other things."""

    @property
    def view(self) -> memoryview:
        """Its bytes."""
        ...

    def clear(self, size: int) -> None:
        """Zero its first bytes."""
        ...


class Queue(Protocol):
    """Work that the device does in order, while the caller goes on."""

    def upload(self, target: int, source: int, size: int) -> None:
        """Copy host memory to the device."""
        ...

    def download(self, target: int, source: int, size: int) -> None:
        """Copy device memory to the host."""
        ...

    def clear(self, target: int, size: int) -> None:
        """Zero device memory."""
        ...

    def finish(self) -> None:
        """Wait for all of it."""
        ...


class Mark(Protocol):
    """A place in a queue that can be waited for."""

    def put(self, queue: Queue) -> None:
        """Behind what is in the queue now; it was elsewhere before."""
        ...

    def wait(self) -> None:
        """Until the device has come here; at once if it was never put."""
        ...


class TreeKernels(Protocol):
    """The kernels of one hash."""

    def hash_leaves(self, queue: Queue, table: Table, at: int, leaf_bytes: int, nodes: int) -> None:
        """Hash every leaf of a table that lies at `at`."""
        ...

    def fold_groups(self, queue: Queue, groups: int, count: int, nodes: int, folded: int) -> None:
        """Fold groups of nodes into one node each."""
        ...


class LatticeKernels(Protocol):
    """The kernel of lthash-v1."""

    def sum_elements(
        self, queue: Queue, table: Table, at: int, leaf_bytes: int, sums: int, threads: int
    ) -> None:
        """Add up the elements of each block of so many leaves; the table has places behind it."""
        ...


class Device(Protocol):
    """One GPU."""

    @property
    def name(self) -> str:
        """What a person calls it."""
        ...

    def use(self) -> None:
        """Make it the calling thread's device; before anything else in every thread."""
        ...

    def settle(self) -> None:
        """Wait for whatever anybody in this process has queued on it."""
        ...

    def allocate(self, size: int) -> Memory:
        """Device memory."""
        ...

    def pin(self, size: int) -> HostMemory:
        """Host memory for copies."""
        ...

    def register(self, address: int, size: int) -> None:
        """Pin host memory that is there already."""
        ...

    def unregister(self, address: int) -> None:
        """Let it go."""
        ...

    def queue(self) -> Queue:
        """A new queue."""
        ...

    def mark(self) -> Mark:
        """A new mark."""
        ...

    def kernels(self, algorithm: HashAlgorithm) -> TreeKernels:
        """The kernels of a hash, compiled if need be."""
        ...

    def lattice(self) -> LatticeKernels:
        """The kernels of the lattice hash, compiled if need be."""
        ...

    def translated(self) -> AbstractContextManager[None]:
        """Within it, whatever the device or its driver raises becomes EngineUnavailable."""
        ...
