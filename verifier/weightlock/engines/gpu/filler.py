"""Reads runs of files into memory that it shares with the engine. The whole program of a process.

The engine's readers are processes, because sixteen threads that each read a few megabytes spend
more time waiting for the interpreter's lock than reading. This file is run by itself, with the
shared memory and a socket; it imports only what it needs, because it is started once for every
core. A request that reads another file than the last carries its descriptor; one that asks for
nothing zeroes the memory and forgets the file.
"""

import errno
import fcntl
import mmap
import os
import socket
import struct
import sys

REQUEST = struct.Struct("!QQQQ")
"""Position in the memory, offset in the file, bytes to ask for, bytes that must be there."""
ANSWER = struct.Struct("!BI")
"""What came of it, and the error's number."""
DONE, FAILED, TOO_SHORT = range(3)


class TooShort(Exception):
    """The file ends before the bytes that were asked for."""


def serve(channel: socket.socket, memory: mmap.mmap) -> None:
    """Answer requests in order until the other side closes the channel."""
    view = memoryview(memory)
    file = -1
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, REQUEST.size, 1)
        if not message:
            return
        position, offset, length, needed = REQUEST.unpack(message)
        if file >= 0 and (descriptors or not needed):
            os.close(file)
            file = -1
        if descriptors:
            file = descriptors[0]
        target = view[position : position + length]
        channel.sendall(_answer(target, file, offset, needed))


def _answer(target: memoryview, file: int, offset: int, needed: int) -> bytes:
    if not needed:
        target[:] = bytes(len(target))
        return ANSWER.pack(DONE, 0)
    try:
        fill(file, target, offset, needed)
    except TooShort:
        return ANSWER.pack(TOO_SHORT, 0)
    except OSError as error:
        return ANSWER.pack(FAILED, error.errno or 0)
    return ANSWER.pack(DONE, 0)


def fill(descriptor: int, target: memoryview, offset: int, needed: int) -> None:
    """Read into `target`; more than `needed` bytes need not be there.

    Raises:
        TooShort: if the file ends before.
        OSError: if it cannot be read.
    """
    try:
        got = os.preadv(descriptor, [target], offset)
    except OSError as error:
        # Blocks larger than a direct read was aligned to: read through the cache then.
        if error.errno != errno.EINVAL or not set_direct(descriptor, wanted=False):
            raise
        got = os.preadv(descriptor, [target], offset)
    while got < needed:
        set_direct(descriptor, wanted=False)  # between two blocks it cannot be continued as direct
        more = os.preadv(descriptor, [target[got:needed]], offset + got)
        if more == 0:
            raise TooShort
        got += more


def set_direct(descriptor: int, *, wanted: bool) -> bool:
    """Whether this changed anything; a file system without direct reads goes on with its cache."""
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    changed = flags | os.O_DIRECT if wanted else flags & ~os.O_DIRECT
    if changed == flags:
        return False
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, changed)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), mmap.mmap(int(sys.argv[2]), 0))
