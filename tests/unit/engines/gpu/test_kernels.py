"""The kernels, built by the host's compiler, equal the oracle at every boundary (A35)."""

import ctypes
import os
import shutil
import subprocess
from itertools import accumulate
from pathlib import Path
from random import Random

import pytest
from tests.support.emulation import COMPILER, EmulatedTree, emulated_sum

from weightlock.digests import HashAlgorithm
from weightlock.engines.gpu.compiling import KernelSource, lattice_source, tree_source
from weightlock.engines.gpu.table import FOLD_NODES
from weightlock.formats.lthash import LtHash, segment_sum
from weightlock.formats.tree import chunks, leaf_hash, merkle_tree_hash

LEAF = 4096
NVCC = shutil.which("nvcc")
HIPCC = shutil.which("hipcc")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")

each_source = pytest.mark.parametrize(
    "source",
    [
        *(
            pytest.param(tree_source(algorithm, bench=True), id=algorithm)
            for algorithm in HashAlgorithm
        ),
        pytest.param(lattice_source(), id="lthash"),
    ],
)

# Both sides of the blocks of every hash (64, 128, 136, 104, 72 bytes, with padding), of leaves, and
# of groups of nodes.
LENGTHS = [
    *range(1, 290), LEAF - 1, LEAF, LEAF + 1, 2 * LEAF, 3 * LEAF, 3 * LEAF + 5, 31 * LEAF,
    FOLD_NODES * LEAF - 1, FOLD_NODES * LEAF, FOLD_NODES * LEAF + 1, 2 * FOLD_NODES * LEAF + 77,
]  # fmt: skip


class Memory:
    """Random data, each piece at its own alignment."""

    def __init__(self, lengths: list[int]) -> None:
        generator = Random(3)  # noqa: S311 - test data
        starts = [start + number % 16 for number, start in enumerate(
            accumulate((length // 16 * 16 + 64 for length in lengths), initial=64)
        )]  # fmt: skip
        self._bytes = ctypes.create_string_buffer(generator.randbytes(starts[-1] + 64))
        self.data = [
            self._bytes.raw[start : start + length]
            for start, length in zip(starts, lengths, strict=False)
        ]
        first = ctypes.addressof(self._bytes)
        self.pieces = [
            (first + start, length) for start, length in zip(starts, lengths, strict=False)
        ]


@needs_compiler
@pytest.mark.parametrize("algorithm", HashAlgorithm)
def test_leaves_and_nodes_are_those_of_the_oracle(algorithm: HashAlgorithm, tmp_path: Path) -> None:
    memory = Memory(LENGTHS)
    levels = EmulatedTree(algorithm, tmp_path).nodes(memory.pieces, LEAF)
    leaves = [[leaf_hash(algorithm, chunk) for chunk in chunks(d, LEAF)] for d in memory.data]
    assert levels[0] == [leaf for piece in leaves for leaf in piece]
    assert levels[-1] == [merkle_tree_hash(algorithm, piece) for piece in leaves]


@needs_compiler
def test_sums_of_elements_are_those_of_the_oracle(tmp_path: Path) -> None:
    memory = Memory([1, 2, 86, 87, 88, 135, 136, LEAF, LEAF + 87, 3 * LEAF + 9])
    numbers = [(3 * number, 2**40 + number) for number in range(len(memory.data))]
    places = [(file, segment, 0) for file, segment in numbers]
    expected = LtHash()
    for (file, segment), data in zip(numbers, memory.data, strict=True):
        expected = expected.plus(segment_sum(file, segment, data, LEAF))
    assert emulated_sum(tmp_path, memory.pieces, places, LEAF) == expected


@pytest.mark.skipif(NVCC is None, reason="no nvcc")
@each_source
def test_nvcc_compiles_the_source_without_spilling(source: KernelSource, tmp_path: Path) -> None:
    assert NVCC is not None
    for name, text in source.headers.items():
        (tmp_path / name).write_text(text)
    unit = tmp_path / "unit.cu"
    unit.write_text(source.text)
    command = [NVCC, "-std=c++17", "-arch=sm_90", "-cubin", "-Xptxas", "-v", *source.options]
    done = subprocess.run(  # noqa: S603
        [*command, "-o", str(tmp_path / "unit.cubin"), str(unit)],
        capture_output=True,
        text=True,
        check=True,
    )
    spilled = [line for line in done.stderr.splitlines() if "spill" in line]
    assert spilled
    assert all("0 bytes spill stores" in line for line in spilled)


@pytest.mark.skipif(HIPCC is None, reason="no hipcc")
@each_source
def test_hipcc_compiles_the_same_source_for_amd(source: KernelSource, tmp_path: Path) -> None:
    assert HIPCC is not None
    for name, text in source.headers.items():
        (tmp_path / name).write_text(text)
    unit = tmp_path / "unit.cu"
    unit.write_text(source.text)
    options = ["-x", "hip", "--offload-arch=gfx90a", "--cuda-device-only", "-nogpulib"]
    built_in = ["-include", "hip/hip_runtime.h"]  # what the run-time compiler includes by itself
    subprocess.run(  # noqa: S603
        [
            HIPCC,
            *options,
            *built_in,
            "-std=c++17",
            *source.options,
            "-S",
            "-o",
            "unit.s",
            "unit.cu",
        ],
        env={"PATH": os.environ["PATH"], "HIP_PLATFORM": "amd"},  # noqa: TID251 - to find clang
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    assert ".amdhsa_kernel" in (tmp_path / "unit.s").read_text()
