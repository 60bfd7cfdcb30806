"""How fast processes read files from the page cache and do nothing else: the limit of that side."""

import multiprocessing
import os
import time
from collections.abc import Sequence
from itertools import count, takewhile
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Final

READ_BYTES: Final = 4 * 1024**2
"""As the GPU engine's reading processes read, by turns into two buffers each."""
PIECE_BYTES: Final = 64 * 1024**2


def reading_rate(paths: Sequence[Path], processes: int) -> float:
    """GB/s of all together, from when the first starts until the last has read its share."""
    context = multiprocessing.get_context("fork")
    begun, ended = context.Barrier(processes + 1), context.Barrier(processes + 1)
    readers = [
        context.Process(target=_read, args=(paths, number, processes, begun, ended))
        for number in range(processes)
    ]
    for reader in readers:
        reader.start()
    begun.wait()
    started = time.perf_counter()
    ended.wait()
    seconds = time.perf_counter() - started
    for reader in readers:
        reader.join()
        if reader.exitcode:
            raise SystemExit("the files could not be read")
    return sum(path.stat().st_size for path in paths) / seconds / 1e9


def _read(
    paths: Sequence[Path], number: int, processes: int, begun: Barrier, ended: Barrier
) -> None:
    """Every so-manieth piece of all files."""
    buffers = [bytearray(READ_BYTES), bytearray(READ_BYTES)]
    pieces = [
        (path, offset)
        for path in paths
        for offset in takewhile(path.stat().st_size.__gt__, count(0, PIECE_BYTES))
    ]
    begun.wait()
    for path, offset in pieces[number::processes]:
        descriptor = os.open(path, os.O_RDONLY)
        for turn, start in enumerate(range(offset, offset + PIECE_BYTES, READ_BYTES)):
            os.preadv(descriptor, [buffers[turn % 2]], start)
        os.close(descriptor)
    ended.wait()
