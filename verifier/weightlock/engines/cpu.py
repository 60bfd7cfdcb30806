"""The CPU engine: every core hashes leaves of its own, in bounded memory.

A segment is cut into blocks, which are perfect subtrees of the RFC 6962 shape, so nobody waits
for anybody. Each core has a thread here and, where there is much to hash, all threads but one have
a process that hashes what they open (see subtree.py). Opening files and comparing identity stays
here: a process only ever sees descriptors.
"""

import itertools
import resource
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from weightlock.engines.engine import Files, OpenFile, Progress, Span
from weightlock.engines.lattice import NumberedSegment, lattice_sum
from weightlock.engines.processes import HashingProcess, start_process
from weightlock.engines.subtree import MAX_DESCRIPTORS, SubtreeHasher, TooShort
from weightlock.engines.workers import run
from weightlock.errors import ChangedWhileReading, Unreadable
from weightlock.formats.filenames import printable
from weightlock.formats.lthash import LtHash
from weightlock.formats.tree import TreeParameters, merkle_tree_hash, sealed_segment_root

BLOCK_BYTES: Final = 2 * 1024 * 1024
"""What is hashed at a time of one segment; a power of two, so that a block is a whole subtree."""
BATCH_BYTES: Final = 32 * 1024 * 1024
"""At most so much is handed out at once, to open files and ask processes seldom; less towards the
end, so that all cores end together."""
BATCH_PIECES: Final = 256
"""At most so many small segments are handed out together."""
PROCESS_BYTES: Final = 64 * 1024 * 1024
"""Below this, starting processes costs more than they gain."""
WORTH_SENDING_BYTES: Final = 1024 * 1024
_REQUESTS_AHEAD: Final = 2
_OTHER_DESCRIPTORS: Final = 4
"""Of a thread: its process' channel, both ends of a new one, a folder on the way to a file."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """One block of one span."""

    span: int
    block: int
    file: int
    offset: int
    length: int


_Batch = Sequence[_Piece]
_Record = Callable[[_Batch, Sequence[bytes]], None]


class CpuEngine:
    """Implements Engine on the cores of this machine."""

    def __init__(self, threads: int, *, processes: bool = True) -> None:
        self._threads = max(1, threads)
        self._processes = processes

    @property
    def device(self) -> str:
        """The hardware, with the number of threads."""
        return f"cpu ({self._threads} threads)"

    def segment_roots(
        self,
        files: Files,
        spans: Sequence[Span],
        parameters: TreeParameters,
        progress: Progress,
    ) -> list[bytes]:
        """The root of each span."""
        blocks: list[list[bytes]] = [[b""] * -(-span.length // BLOCK_BYTES) for span in spans]
        much = sum(span.length for span in spans) >= PROCESS_BYTES

        def record(batch: _Batch, roots: Sequence[bytes]) -> None:
            for piece, root in zip(batch, roots, strict=True):
                blocks[piece.span][piece.block] = root
            progress(sum(piece.length for piece in batch))

        workers = itertools.count()

        def work(batches: Iterator[_Batch]) -> None:
            # One thread that hashes has the interpreter's lock to itself and starts at once.
            alone = next(workers) == 0
            starts = much and self._processes and not alone
            process = start_process(parameters) if starts else None
            _Worker(files, parameters, process, record).work(batches)

        run(_batches(spans, self._threads, _most_files(self._threads)), work, self._threads)
        return [
            sealed_segment_root(
                parameters, span.length, merkle_tree_hash(parameters.algorithm, roots)
            )
            for span, roots in zip(spans, blocks, strict=True)
        ]

    def lattice_sum(
        self,
        files: Files,
        segments: Sequence[NumberedSegment],
        leaf_bytes: int,
        progress: Progress,
    ) -> LtHash:
        """The sum over all chunks of all segments."""
        return lattice_sum(files, segments, leaf_bytes, self._threads, progress)


class _Worker:
    """One thread of the engine, with its process if it has one."""

    def __init__(
        self,
        files: Files,
        parameters: TreeParameters,
        process: HashingProcess | None,
        record: _Record,
    ) -> None:
        self._files = files
        self._process = process
        self._record = record
        self._hasher = SubtreeHasher(parameters.algorithm.constructor_name, parameters.leaf_bytes)
        self._sent: deque[tuple[_Batch, list[OpenFile], ExitStack]] = deque()

    def work(self, batches: Iterator[_Batch]) -> None:
        try:
            for batch in batches:
                if self._process and sum(p.length for p in batch) >= WORTH_SENDING_BYTES:
                    self._send(self._process, batch)
                else:
                    self._hash_here(batch)
            while self._process and self._sent:
                self._collect(self._process)
        finally:
            if self._process:
                self._process.close()
            for _, _, opened in self._sent:
                opened.close()

    def _hash_here(self, batch: _Batch) -> None:
        roots = []
        for run_of_one_file in _by_file(batch):
            with self._files.open(run_of_one_file[0].file) as file:
                roots += [self._root(file, piece) for piece in run_of_one_file]
        self._record(batch, roots)

    def _root(self, file: OpenFile, piece: _Piece) -> bytes:
        try:
            return self._hasher.root(file.descriptor, piece.offset, piece.length)
        except TooShort:
            raise _too_short([file]) from None

    def _send(self, process: HashingProcess, batch: _Batch) -> None:
        opened = ExitStack()
        with opened:
            runs = _by_file(batch)
            files = [opened.enter_context(self._files.open(run[0].file)) for run in runs]
            pieces = [
                (number, piece.offset, piece.length)
                for number, run_of_one_file in enumerate(runs)
                for piece in run_of_one_file
            ]
            process.request([file.descriptor for file in files], pieces)
            self._sent.append((batch, files, opened.pop_all()))
        if len(self._sent) >= _REQUESTS_AHEAD:
            self._collect(process)

    def _collect(self, process: HashingProcess) -> None:
        batch, files, opened = self._sent.popleft()
        with opened:
            try:
                roots = process.answer(len(batch))
            except TooShort:
                raise _too_short(files) from None
            except OSError as error:
                # Closing the files would tell it of the one that was opened last.
                raise _unreadable(files, error) from error
        self._record(batch, roots)


def _too_short(files: Sequence[OpenFile]) -> ChangedWhileReading:
    names = ", ".join(printable(file.name) for file in files[:3])
    return ChangedWhileReading(
        f"{names} ended before its size when it was listed",
        hint="stop whatever writes to the checkpoint, then try again",
    )


def _unreadable(files: Sequence[OpenFile], error: OSError) -> Unreadable:
    names = ", ".join(printable(file.name) for file in files[:3])
    others = " or another" if len(files) > 3 else ""  # noqa: PLR2004 - as many as are named
    return Unreadable(
        f"{names}{others} cannot be read: {error.strerror or type(error).__name__}",
        hint="the verifier must be able to read every file of the checkpoint",
    )


def _most_files(threads: int) -> int:
    """How many files a batch may hold, so that all threads' leave half of the descriptors free."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return MAX_DESCRIPTORS
    each = (allowed // 2 - _OTHER_DESCRIPTORS * threads) // (_REQUESTS_AHEAD * threads)
    return max(1, min(MAX_DESCRIPTORS, each))


def _batches(spans: Sequence[Span], threads: int, most_files: int) -> Iterator[_Batch]:
    remaining = sum(span.length for span in spans)
    batch: list[_Piece] = []
    size = files = 0
    for piece in _pieces(spans):
        files += not batch or batch[-1].file != piece.file
        batch.append(piece)
        size += piece.length
        enough = min(BATCH_BYTES, remaining // (4 * threads))
        if size >= enough or len(batch) >= BATCH_PIECES or files >= most_files:
            yield batch
            remaining -= size
            batch, size, files = [], 0, 0
    if batch:
        yield batch


def _pieces(spans: Sequence[Span]) -> Iterator[_Piece]:
    for number, span in enumerate(spans):
        for block, start in enumerate(range(0, span.length, BLOCK_BYTES)):
            length = min(BLOCK_BYTES, span.length - start)
            yield _Piece(number, block, span.file, span.offset + start, length)


def _by_file(batch: _Batch) -> list[list[_Piece]]:
    runs: list[list[_Piece]] = []
    for piece in batch:
        if not runs or runs[-1][0].file != piece.file:
            runs.append([])
        runs[-1].append(piece)
    return runs
