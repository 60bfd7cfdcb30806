"""Builds the kernels' sources with the host's C++ compiler, so that they run where no GPU is."""

import ctypes
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from weightlock.digests import HashAlgorithm
from weightlock.engines.gpu.compiling import KernelSource, lattice_source, tree_source
from weightlock.engines.gpu.table import table_of
from weightlock.formats.lthash import LANES, LtHash

COMPILER: Final = shutil.which("g++") or shutil.which("clang++")
HEADER: Final = Path(__file__).parent / "host_device.h"
_LAUNCH: Final = """
template <typename... Parameters, typename... Arguments>
static void launch(unsigned int blocks, void (*kernel)(Parameters...), Arguments... arguments) {
    for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x) kernel(arguments...);
}
"""
_TREE: Final = """
extern "C" void run_leaves(const Piece* pieces, u32 count, const u32* tails, u32 full, u32 all,
                           u32 leaf_bytes, u8* nodes) {
    launch(all, hash_leaves, pieces, count, tails, full, all, leaf_bytes, nodes);
}
extern "C" void run_fold(u32 count, const Group* groups, const u8* nodes, u8* folded) {
    launch(count, fold_groups, groups, nodes, folded);
}
"""
_LATTICE: Final = """
extern "C" void run_sum(const Piece* pieces, u32 count, const Place* places, const u32* tails,
                        u32 full, u32 all, u32 leaf_bytes, u32* sums) {
    launch(all, sum_elements, pieces, count, places, tails, full, all, leaf_bytes, sums);
}
"""


class EmulatedTree:
    """The kernels of one hash, one thread at a time."""

    def __init__(self, algorithm: HashAlgorithm, folder: Path) -> None:
        self._library = _built(tree_source(algorithm), _TREE, folder)
        self._digest_bytes = algorithm.digest_bytes

    def nodes(self, data: Sequence[tuple[int, int]], leaf_bytes: int) -> list[list[bytes]]:
        """All levels over pieces at (address, length), the leaves first."""
        addresses, lengths = _columns(data)
        table = table_of(addresses, lengths, leaf_bytes)
        size = self._digest_bytes
        nodes = np.zeros(table.nodes * size + 16, dtype=np.uint8)
        # Digests are copied sixteen bytes at once.
        first = nodes.ctypes.data + -nodes.ctypes.data % 16
        at = ctypes.cast(ctypes.c_char_p(table.data), ctypes.c_void_p).value or 0
        pointer = ctypes.c_void_p
        self._library.run_leaves(
            pointer(at), table.pieces, pointer(at + table.offsets[0]), table.full_leaves,
            table.leaves, leaf_bytes, pointer(first),
        )  # fmt: skip
        for number, level in enumerate(table.levels[1:]):
            below = first + table.levels[number].offset * size
            groups = at + table.offsets[number + 1]
            self._library.run_fold(
                level.size, pointer(groups), pointer(below), pointer(first + level.offset * size)
            )
        raw = ctypes.string_at(first, table.nodes * size)
        digests = [raw[start : start + size] for start in range(0, len(raw), size)]
        return [digests[level.offset : level.offset + level.size] for level in table.levels]


def emulated_sum(
    folder: Path, data: Sequence[tuple[int, int]], places: Sequence[tuple[int, int, int]], leaf: int
) -> LtHash:
    """The lattice hash over pieces at (address, length) whose chunks are numbered by `places`."""
    library = _built(lattice_source(), _LATTICE, folder)
    addresses, lengths = _columns(data)
    table = table_of(addresses, lengths, leaf)
    at = ctypes.cast(ctypes.c_char_p(table.data), ctypes.c_void_p).value or 0
    numbers = np.array(places, dtype=np.uint64)
    sums = np.zeros((table.leaves, LANES), dtype=np.uint32)  # a block is one thread here
    pointer = ctypes.c_void_p
    library.run_sum(
        pointer(at), table.pieces, pointer(numbers.ctypes.data), pointer(at + table.offsets[0]),
        table.full_leaves, table.leaves, leaf, pointer(sums.ctypes.data),
    )  # fmt: skip
    return LtHash(sums.sum(axis=0, dtype=np.uint32).astype("<u2").tobytes())


def _columns(data: Sequence[tuple[int, int]]) -> tuple[list[int], list[int]]:
    return [address for address, _ in data], [length for _, length in data]


def _built(source: KernelSource, entries: str, folder: Path) -> ctypes.CDLL:
    assert COMPILER is not None
    for name, text in source.headers.items():
        (folder / name).write_text(text)
    unit = folder / "unit.cpp"
    unit.write_text(f'#include "{HEADER}"\n{source.text}\n{_LAUNCH}\n{entries}')
    library = folder / "unit.so"
    command = [COMPILER, "-std=c++17", "-O1", "-w", "-shared", "-fPIC", *source.options]
    subprocess.run([*command, "-o", str(library), str(unit)], check=True)  # noqa: S603
    return ctypes.CDLL(str(library))
