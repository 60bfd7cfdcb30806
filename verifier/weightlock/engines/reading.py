"""Reads a stretch of an open file, all of it or not at all."""

import os

from weightlock.engines.engine import OpenFile
from weightlock.errors import ChangedWhileReading
from weightlock.formats.filenames import printable


def read_exactly(file: OpenFile, offset: int, length: int) -> bytes:
    """So many bytes; a read that gives less (a signal, a network file system) is continued.

    Raises:
        ChangedWhileReading: if the file ends before.
        OSError: if it cannot be read; the file's context manager names the file.
    """
    data = bytearray(os.pread(file.descriptor, length, offset))
    while len(data) < length:
        more = os.pread(file.descriptor, length - len(data), offset + len(data))
        if not more:
            raise ChangedWhileReading(
                f"{printable(file.name)} ends before its size when it was listed",
                hint="stop whatever writes to the checkpoint, then try again",
            )
        data += more
    return bytes(data)
