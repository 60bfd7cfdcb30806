"""Hashes tensors in memory, on the host or on a GPU, each where it lies.

PyTorch itself is not imported; whatever has the attributes of `Tensor` will do.
"""

import ctypes
import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import SystemRandom
from typing import Any, Protocol, Self

from weightlock.formats.tree import TreeParameters, segment_root


class TensorDevice(Protocol):
    """Where a tensor lies."""

    @property
    def type(self) -> str:
        """`cpu` or `cuda` (also for ROCm)."""
        ...

    @property
    def index(self) -> int | None:
        """Which GPU."""
        ...


class Tensor(Protocol):
    """What is used of torch.Tensor."""

    @property
    def dtype(self) -> object:
        """Its str() is a key of DTYPES."""
        ...

    @property
    def shape(self) -> Sequence[int]:
        """The dimensions."""
        ...

    @property
    def device(self) -> TensorDevice:
        """Where it lies."""
        ...

    def data_ptr(self) -> int:
        """The address of the first element."""
        ...

    def numel(self) -> int:
        """The number of elements."""
        ...

    def element_size(self) -> int:
        """The bytes of an element."""
        ...

    def contiguous(self) -> Self:
        """Itself, or a copy if its elements do not lie side by side in order."""
        ...

    def cpu(self) -> Self:
        """Itself, or a copy in the host's memory."""
        ...


State = Mapping[str, Tensor]
RegionHasher = Callable[[int, TreeParameters, Sequence[tuple[int, int]]], list[bytes]]
"""Segment roots of (address, length) in the memory of a GPU with this number."""


def tensor_roots(
    state: State, parameters: TreeParameters, hash_on_gpu: RegionHasher | None = None
) -> dict[str, bytes]:
    """The segment roots of tensors, each where it lies.

    Raises:
        EngineUnavailable, EngineFault: if a GPU cannot be used or computes wrongly.
    """
    ready = {name: tensor.contiguous() for name, tensor in state.items()}
    by_gpu: dict[int, list[str]] = {}
    for name, tensor in ready.items():
        if tensor.device.type != "cpu":
            by_gpu.setdefault(tensor.device.index or 0, []).append(name)
    roots: dict[str, bytes] = {}
    hash_regions = hash_on_gpu or _hash_regions
    for gpu, names in by_gpu.items():
        regions = [(ready[name].data_ptr(), length_of(ready[name])) for name in names]
        roots.update(zip(names, hash_regions(gpu, parameters, regions), strict=True))
    rest = [name for name in ready if name not in roots]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        hashed = threads.map(lambda name: _host_root(parameters, ready[name]), rest)
        roots.update(zip(rest, hashed, strict=True))
    return roots


def length_of(tensor: Tensor) -> int:
    """The bytes of a tensor."""
    return tensor.numel() * tensor.element_size()


def host_bytes(tensor: Tensor) -> memoryview:
    """The bytes of a contiguous tensor in the host's memory; valid as long as the tensor is."""
    length = length_of(tensor)
    if not length:
        return memoryview(b"")
    return memoryview((ctypes.c_char * length).from_address(tensor.data_ptr())).cast("B")


def _host_root(parameters: TreeParameters, tensor: Tensor) -> bytes:
    view: Any = host_bytes(tensor)  # sliced and hashed like bytes, and not copied first
    return segment_root(parameters, view)


def _hash_regions(
    gpu: int, parameters: TreeParameters, regions: Sequence[tuple[int, int]]
) -> list[bytes]:
    opening: Any = importlib.import_module("weightlock.engines.gpu.opening")
    resident: Any = importlib.import_module("weightlock.engines.gpu.resident")
    recheck: Any = importlib.import_module("weightlock.engines.gpu.recheck")
    device = opening.open_device(gpu)
    hasher = resident.ResidentHasher(device, parameters, recheck.Recheck(), SystemRandom())
    roots: list[bytes] = hasher.segment_roots([resident.Region(*region) for region in regions])
    return roots
