"""Sums the lattice hash of a whole checkpoint on the cores of this machine.

It is signed beside the tree when asked for. Nothing that verifies depends on it, so it may take its
time: SHAKE256 with 2048 bytes of output for each leaf is several times slower than the tree.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from weightlock.engines.engine import Files, OpenFile, Progress
from weightlock.engines.reading import read_exactly
from weightlock.engines.workers import run
from weightlock.formats.lthash import LtHash, element

_CHUNKS_AT_ONCE: Final = 256


@dataclass(frozen=True, slots=True)
class NumberedSegment:
    """Segment number `segment` of file number `file`, and where it lies in it."""

    file: int
    segment: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class _Run:
    """Some chunks of a segment, from number `first` on."""

    of: NumberedSegment
    first: int
    offset: int
    length: int


@runtime_checkable
class LatticeEngine(Protocol):
    """An engine that sums the lattice hash too."""

    def lattice_sum(
        self,
        files: Files,
        segments: Sequence[NumberedSegment],
        leaf_bytes: int,
        progress: Progress,
    ) -> LtHash:
        """The sum over all chunks of all segments (segments of one file are adjacent).

        Raises:
            Unreadable, ChangedWhileReading: if the files cannot be read in peace.
            EngineUnavailable, EngineFault: if the device cannot be used or computed wrongly.
        """
        ...


def lattice_sum(
    files: Files,
    segments: Sequence[NumberedSegment],
    leaf_bytes: int,
    threads: int,
    progress: Progress,
) -> LtHash:
    """The sum over all chunks of all segments.

    Raises:
        Unreadable, ChangedWhileReading: if the files cannot be read in peace.
    """
    lock = threading.Lock()
    sums: list[LtHash] = []

    def work(runs: Iterator[_Run]) -> None:
        mine = LtHash()
        for part in runs:
            with files.open(part.of.file) as file:
                mine = mine.plus(_sum_of(file, part, leaf_bytes))
            progress(part.length)
        with lock:
            sums.append(mine)

    run(_runs(segments, leaf_bytes), work, threads)
    total = LtHash()
    for each in sums:
        total = total.plus(each)
    return total


def _runs(segments: Sequence[NumberedSegment], leaf_bytes: int) -> Iterator[_Run]:
    step = leaf_bytes * _CHUNKS_AT_ONCE
    for segment in segments:
        for number, start in enumerate(range(0, segment.length, step)):
            length = min(step, segment.length - start)
            yield _Run(segment, number * _CHUNKS_AT_ONCE, segment.offset + start, length)


def _sum_of(file: OpenFile, part: _Run, leaf_bytes: int) -> LtHash:
    total = LtHash()
    for number, start in enumerate(range(0, part.length, leaf_bytes)):
        chunk = read_exactly(file, part.offset + start, min(leaf_bytes, part.length - start))
        total = total.plus(element(part.of.file, part.of.segment, part.first + number, chunk))
    return total
