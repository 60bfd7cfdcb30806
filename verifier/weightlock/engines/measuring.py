"""Measures engines on this machine, for `weightlock bench`: rates, and what bounds them."""

import hashlib
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from weightlock.digests import HashAlgorithm
from weightlock.engines.engine import Engine, Span
from weightlock.formats.segments import opaque_segments
from weightlock.formats.tree import (
    TreeParameters,
    chunks,
    leaf_hash,
    merkle_tree_hash,
    sealed_segment_root,
)

BLOCK_BYTES: Final = 64 * 1024 * 1024
"""Random data is made once and repeated: no hash is faster for it."""
GIGA: Final = 1e9


@dataclass(frozen=True, slots=True)
class Measurement:
    """One rate, and the rate that bounds it if there is one."""

    what: str
    engine: str
    hash: str
    gbps: float
    bound: str = ""
    bound_gbps: float | None = None

    @property
    def ratio(self) -> float | None:
        """How much of its bound it reaches."""
        return self.gbps / self.bound_gbps if self.bound_gbps else None


def rate(size: int, work: Callable[[], object], rounds: int = 3) -> float:
    """GB/s: the median of some rounds, after one that warms up."""
    work()
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return size / statistics.median(seconds) / GIGA


def one_core_rate(algorithm: HashAlgorithm, block: bytes) -> float:
    """Of hashlib on one core."""
    return rate(len(block), lambda: algorithm.constructor(block).digest())


def all_cores_rate(algorithm: HashAlgorithm, block: bytes, cores: int) -> float:
    """Of hashlib on all cores, each with a block of its own."""
    with ThreadPoolExecutor(cores) as threads:

        def hash_everywhere() -> None:
            list(threads.map(lambda _: algorithm.constructor(block).digest(), range(cores)))

        return rate(cores * len(block), hash_everywhere)


def leaves_root(parameters: TreeParameters, data: bytes, times: int = 1) -> bytes:
    """The oracle's MTH over the leaves of data, which must be a block if it is repeated."""
    algorithm = parameters.algorithm
    leaves = [leaf_hash(algorithm, chunk) for chunk in chunks(data, parameters.leaf_bytes)]
    return merkle_tree_hash(algorithm, [merkle_tree_hash(algorithm, leaves)] * times)


def repeated_root(parameters: TreeParameters, block: bytes, times: int) -> bytes:
    """The root of a segment that is a block repeated: what engines are checked with."""
    return sealed_segment_root(
        parameters, times * len(block), leaves_root(parameters, block, times)
    )


@dataclass(frozen=True, slots=True)
class PlainFile:
    """Implements OpenFile."""

    name: str
    descriptor: int
    size: int


class PlainFiles:
    """Implements Files for files that nobody else touches."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    @contextmanager
    def open(self, file: int) -> Iterator[PlainFile]:
        """Open one file."""
        path = self._paths[file]
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield PlainFile(path.name, descriptor, os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)


def write_files(folder: Path, block: bytes, file_bytes: int, count: int) -> list[Path]:
    """Files of repeated blocks, which are then in the page cache."""
    paths = [folder / f"bench-{number}.bin" for number in range(count)]
    for path in paths:
        with path.open("wb") as file:
            for _ in range(file_bytes // len(block)):
                file.write(block)
    return paths


def file_spans(paths: Sequence[Path]) -> list[Span]:
    """The spans of files that are cut like any other."""
    return [
        Span(number, segment.offset, segment.length)
        for number, path in enumerate(paths)
        for segment in opaque_segments(path.stat().st_size)
    ]


def files_rate(
    engine: Engine, paths: Sequence[Path], parameters: TreeParameters
) -> tuple[float, list[bytes]]:
    """Of an engine from files in the page cache, and the roots that it found."""
    spans = file_spans(paths)
    files = PlainFiles(paths)
    found: list[bytes] = []

    def hash_files() -> None:
        found[:] = engine.segment_roots(files, spans, parameters, lambda _: None)

    return rate(sum(span.length for span in spans), hash_files), found


def random_block() -> bytes:
    """A block of random bytes, by the fastest generator that comes with Python."""
    return hashlib.shake_128(os.urandom(32)).digest(BLOCK_BYTES)
