"""Hashes and reads tensors where they lie, in the host's memory or in that of GPUs.

Here a tensor is an address, whichever library made it: tensors.py says where those of PyTorch lie,
dlpack.py those of any library that speaks DLPack.
"""

import ctypes
import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import SystemRandom
from typing import Any, Final

from weightlock.errors import Malformed
from weightlock.formats.tree import (
    TreeParameters,
    chunks,
    leaf_hash,
    merkle_tree_hash,
    sealed_segment_root,
)

PIECE_LEAVES: Final = 4096
"""What one thread hashes at a time: a power of two, so that a piece is a perfect subtree."""


@dataclass(frozen=True, slots=True)
class InMemory:
    """A tensor whose elements lie side by side in their order."""

    dtype: str
    """What a safetensors file calls its elements; what its library does, if such a file cannot."""
    element_bytes: int
    shape: tuple[int, ...]
    address: int
    length: int
    gpu: int | None
    """By the number that all libraries in this process give it; None for the host's memory."""
    owner: object
    """Keeps the memory from being freed or used for something else."""


Tensors = Mapping[str, InMemory]
RegionHasher = Callable[[int, TreeParameters, Sequence[tuple[int, int]]], list[bytes]]
"""Segment roots of (address, length) in the memory of a GPU with this number."""
RegionReader = Callable[[int, int, int, Callable[[memoryview], object]], None]
"""Hands what lies at an address, of a length, in a GPU's memory, to a function, in its order."""


def refuse_lazy(what: str, tensor: object) -> None:
    """Refuse a tensor that is to be negated or conjugated whenever it is read.

    PyTorch marks views so instead of computing them, and a pickle can mark any tensor: its memory
    would be the signed one, and what a model computes with another.

    Raises:
        Malformed: if it is one.
    """
    for name in ("is_neg", "is_conj"):
        ask = getattr(tensor, name, None)
        if callable(ask) and ask():
            raise Malformed(
                f"{what} is negated or conjugated when it is read",
                hint="replace it by what it stands for: tensor.resolve_conj().resolve_neg()",
            )


def memory_roots(
    tensors: Tensors, parameters: TreeParameters, hash_on_gpu: RegionHasher | None = None
) -> dict[str, bytes]:
    """The segment roots of tensors, each hashed where it lies, all devices at once.

    Raises:
        EngineUnavailable, EngineFault: if a GPU cannot be used or computes wrongly.
    """
    by_gpu: dict[int, list[str]] = {}
    for name, tensor in tensors.items():
        if tensor.gpu is not None:
            by_gpu.setdefault(tensor.gpu, []).append(name)
    roots: dict[str, bytes] = {}
    # A thread for each GPU: the device that is current, which others rely on, is the thread's.
    with ThreadPoolExecutor(max(1, len(by_gpu))) as drivers:
        runs = {
            gpu: drivers.submit(
                hash_on_gpu or _hash_regions,
                gpu,
                parameters,
                [(tensors[name].address, tensors[name].length) for name in names],
            )
            for gpu, names in by_gpu.items()
        }
        roots |= _host_roots({n: t for n, t in tensors.items() if t.gpu is None}, parameters)
        for gpu, names in by_gpu.items():
            roots.update(zip(names, runs[gpu].result(), strict=True))
    return {name: roots[name] for name in tensors}


def read_out(
    tensor: InMemory,
    write: Callable[[memoryview], object],
    read_from_gpu: RegionReader | None = None,
) -> None:
    """Hand the bytes of a tensor to a function, in their order.

    Raises:
        EngineUnavailable: if its GPU cannot be used.
    """
    if tensor.gpu is None:
        write(_view(tensor))
        return
    with ThreadPoolExecutor(1) as driver:
        read = read_from_gpu or _read_region
        driver.submit(read, tensor.gpu, tensor.address, tensor.length, write).result()


def _host_roots(tensors: Tensors, parameters: TreeParameters) -> dict[str, bytes]:
    piece_bytes = PIECE_LEAVES * parameters.leaf_bytes
    algorithm = parameters.algorithm

    def piece_root(view: bytes) -> bytes:
        leaves = [leaf_hash(algorithm, chunk) for chunk in chunks(view, parameters.leaf_bytes)]
        return merkle_tree_hash(algorithm, leaves)

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        running = {
            name: [
                threads.submit(piece_root, piece) for piece in chunks(_view(tensor), piece_bytes)
            ]
            for name, tensor in tensors.items()
        }
        return {
            name: sealed_segment_root(
                parameters,
                tensors[name].length,
                merkle_tree_hash(algorithm, [piece.result() for piece in pieces]),
            )
            for name, pieces in running.items()
        }


def _view(tensor: InMemory) -> Any:
    """A memoryview, which is sliced and hashed like bytes, and not copied first."""
    if not tensor.length:
        return memoryview(b"")
    return memoryview((ctypes.c_char * tensor.length).from_address(tensor.address)).cast("B")


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


def _read_region(
    gpu: int, address: int, length: int, write: Callable[[memoryview], object]
) -> None:
    opening: Any = importlib.import_module("weightlock.engines.gpu.opening")
    resident: Any = importlib.import_module("weightlock.engines.gpu.resident")
    resident.read_region(opening.open_device(gpu), resident.Region(address, length), write)
