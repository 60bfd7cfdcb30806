"""Hashes runs of leaves of an open file. Also the whole program of a hashing process.

The interpreter's lock is released for each leaf, but taking it back costs threads more than the
hash of a leaf leaves to spare. So big files are hashed by processes: this file, run by itself, with
files handed over as descriptors on a socket (see cpu.py). It imports only what it needs, because it
is started once for every core and has to be at work in milliseconds.

Two things make one process as fast as the hash itself. There is one byte of room before each leaf,
set to 0x00 once, and `preadv` scatters the file between these bytes: a leaf with its domain prefix
is one contiguous view and one call of hashlib. And the buffer stays within a core's cache.
"""

import hashlib
import mmap
import os
import socket
import struct
import sys

BUFFER_BYTES = 256 * 1024
"""Read at once; fits the second-level cache."""
MAX_DESCRIPTORS = 64
"""Handed over with one request; the kernel's limit is 253."""

REQUEST = struct.Struct("!I")
PIECE = struct.Struct("!IQQ")
ANSWER = struct.Struct("!BI")
DONE, FAILED, TOO_SHORT = range(3)


class TooShort(Exception):
    """The file ends before the bytes that were asked for."""


class SubtreeHasher:
    """A buffer with its views, for one thread or process."""

    def __init__(self, hash_name: str, leaf_bytes: int) -> None:
        self._new = getattr(hashlib, hash_name)
        self._leaf_bytes = leaf_bytes
        leaves = max(1, BUFFER_BYTES // leaf_bytes)
        stride = leaf_bytes + mmap.PAGESIZE  # leaves begin on pages: the kernel copies faster
        buffer = memoryview(mmap.mmap(-1, mmap.PAGESIZE + leaves * stride))  # zeroed
        starts = range(mmap.PAGESIZE, mmap.PAGESIZE + leaves * stride, stride)
        self._prefixed = [buffer[start - 1 : start + leaf_bytes] for start in starts]
        self._bare = [view[1:] for view in self._prefixed]
        self._capacity = leaves * leaf_bytes

    def root(self, descriptor: int, offset: int, length: int) -> bytes:
        """MTH over the leaves of `length` bytes, at least one, from `offset` on.

        Raises:
            TooShort: if the file ends before.
            OSError: if it cannot be read.
        """
        leaves: list[bytes] = []
        new = self._new
        for start in range(0, length, self._capacity):
            wanted = min(self._capacity, length - start)
            whole, rest = divmod(wanted, self._leaf_bytes)
            targets = self._bare[:whole]
            if rest:
                targets.append(self._bare[whole][:rest])
            _fill(descriptor, targets, offset + start, wanted)
            leaves += [new(view).digest() for view in self._prefixed[:whole]]
            if rest:
                leaves.append(new(self._prefixed[whole][: rest + 1]).digest())
        while len(leaves) > 1:
            pairs = zip(leaves[::2], leaves[1::2], strict=False)
            joined = [new(b"\x01" + left + right).digest() for left, right in pairs]
            leaves = joined + leaves[len(joined) * 2 :]
        return leaves[0]


def _fill(descriptor: int, targets: list[memoryview], offset: int, wanted: int) -> None:
    got = os.preadv(descriptor, targets, offset)
    while got < wanted:  # a signal or a network file system may give less than asked for
        more = os.preadv(descriptor, _after(targets, got), offset + got)
        if more == 0:
            raise TooShort
        got += more


def _after(targets: list[memoryview], filled: int) -> list[memoryview]:
    rest = []
    for target in targets:
        if filled < len(target):
            rest.append(target[filled:])
        filled = max(0, filled - len(target))
    return rest


def serve(channel: socket.socket, hasher: SubtreeHasher) -> None:
    """Answer requests until the other side closes the channel."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, REQUEST.size, MAX_DESCRIPTORS)
        if not message:
            return
        try:
            count = REQUEST.unpack(message)[0]
            body = receive(channel, count * PIECE.size)
            channel.sendall(_answer(hasher, body, descriptors))
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


def receive(channel: socket.socket, length: int) -> bytes:
    """Exactly so many bytes.

    Raises:
        EOFError: if the other side closed the channel.
    """
    parts = b""
    while len(parts) < length:
        part = channel.recv(length - len(parts))
        if not part:
            raise EOFError
        parts += part
    return parts


def _answer(hasher: SubtreeHasher, body: bytes, descriptors: list[int]) -> bytes:
    try:
        roots = [
            hasher.root(descriptors[number], offset, length)
            for number, offset, length in PIECE.iter_unpack(body)
        ]
    except TooShort:
        return ANSWER.pack(TOO_SHORT, 0)
    except OSError as error:
        return ANSWER.pack(FAILED, error.errno or 0)
    return ANSWER.pack(DONE, 0) + b"".join(roots)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), SubtreeHasher(sys.argv[2], int(sys.argv[3])))
