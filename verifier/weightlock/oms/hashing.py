"""Plain digests of files and shards, several at a time, in bounded memory.

The library releases the interpreter's lock while it hashes, so threads are enough. Each holds one
buffer; the largest stretches go first so that no thread is left alone with the last big file.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from threading import Lock
from typing import Final

from weightlock.digests import Digest, HashAlgorithm
from weightlock.engines.engine import Files, OpenFile, Progress
from weightlock.errors import ChangedWhileReading, Unreadable
from weightlock.formats.filenames import printable

BUFFER_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Stretch:
    """`length` bytes from `offset` of file number `file`, found with `file_size` bytes."""

    file: int
    offset: int
    length: int
    file_size: int


def digests(
    files: Files,
    stretches: Sequence[Stretch],
    algorithm: HashAlgorithm,
    progress: Progress,
    *,
    workers: int | None = None,
) -> list[Digest]:
    """The digest of each stretch, in the order of the stretches.

    Raises:
        ChangedWhileReading: if a file does not have the size with which it was found.
        Unreadable: if a file cannot be read.
    """
    results: dict[int, Digest] = {}
    pending = _Pending(stretches)

    def advance(size: int) -> None:
        if pending.given_up:
            raise _GivenUp
        progress(size)

    def work() -> None:
        buffer = bytearray(BUFFER_BYTES)
        for index in pending:
            stretch = stretches[index]
            with files.open(stretch.file) as opened:
                results[index] = _digest(opened, stretch, algorithm, buffer, advance)

    cores = workers or len(os.sched_getaffinity(0))
    _run(work, pending, threads=min(cores, max(len(stretches), 1)))
    return [results[index] for index in range(len(stretches))]


def _run(work: Callable[[], None], pending: "_Pending", *, threads: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(work) for _ in range(threads)]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            # The pool waits for all of them, an interrupt included: none must hash on for hours.
            pending.give_up()
            raise


class _GivenUp(Exception):
    """Ends a thread whose work nobody wants any more; who gave up has raised the reason."""


class _Pending:
    """Indices of what is still to be hashed, handed out once each to several threads."""

    def __init__(self, stretches: Sequence[Stretch]) -> None:
        self._lock = Lock()
        self._indices = iter(
            sorted(range(len(stretches)), key=lambda index: -stretches[index].length)
        )
        self.given_up = False

    def __iter__(self) -> Iterator[int]:
        while True:
            with self._lock:
                index = next(self._indices, None)
            if index is None:
                return
            yield index

    def give_up(self) -> None:
        with self._lock:
            self._indices = iter(())
            self.given_up = True


def _digest(
    opened: OpenFile,
    stretch: Stretch,
    algorithm: HashAlgorithm,
    buffer: bytearray,
    progress: Progress,
) -> Digest:
    if opened.size != stretch.file_size:
        raise ChangedWhileReading(
            f"{printable(opened.name)} was found with {stretch.file_size} bytes and opened with"
            f" {opened.size}"
        )
    state = algorithm.constructor()
    view = memoryview(buffer)
    position, end = stretch.offset, stretch.offset + stretch.length
    while position < end:
        count = _read(opened, view[: min(len(buffer), end - position)], position)
        state.update(view[:count])
        position += count
        progress(count)
    return Digest(algorithm, state.digest())


def _read(opened: OpenFile, into: memoryview, position: int) -> int:
    try:
        count = os.preadv(opened.descriptor, [into], position)
    except OSError as error:
        raise Unreadable(
            f"{printable(opened.name)} cannot be read at byte {position}: {error.strerror}"
        ) from error
    # A short file must not count as a hashed one (C10).
    if count == 0:
        raise ChangedWhileReading(f"{printable(opened.name)} ended early, at byte {position}")
    return count
