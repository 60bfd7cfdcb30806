"""A second implementation of the hashes, from docs/checkpoint-format.md and nothing of Weightlock.

It keeps the vectors honest: a mistake in the library cannot become a golden answer unnoticed.
"""

import hashlib
import struct
from collections.abc import Sequence
from functools import cache

IDENTIFIERS = {
    "sha256": 1,
    "sha384": 2,
    "sha512": 3,
    "sha3-256": 4,
    "sha3-384": 5,
    "sha3-512": 6,
}


def h(name: str, data: bytes) -> bytes:
    return hashlib.new(name, data).digest()


@cache
def pattern(length: int) -> bytes:
    return bytes(index % 251 for index in range(length))


def mth(name: str, chunks: Sequence[bytes]) -> bytes:
    """By the recursion of RFC 6962, section 2.1."""
    if not chunks:
        return h(name, b"")
    if len(chunks) == 1:
        return h(name, b"\x00" + chunks[0])
    k = 1 << (len(chunks) - 1).bit_length() - 1
    return h(name, b"\x01" + mth(name, chunks[:k]) + mth(name, chunks[k:]))


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def segment(name: str, leaf_size: int, data: bytes) -> bytes:
    numbers = struct.pack(">BIQ", IDENTIFIERS[name], leaf_size, len(data))
    leaves = mth(name, cut(data, leaf_size))
    return h(name, b"\x02weightlock/segment/v1\x00" + numbers + leaves)


def file(name: str, length: int, roots: Sequence[bytes]) -> bytes:
    numbers = struct.pack(">BQI", IDENTIFIERS[name], length, len(roots))
    return h(name, b"\x03weightlock/file/v1\x00" + numbers + mth(name, roots))


def model(name: str, files: Sequence[tuple[bytes, int, bytes]]) -> bytes:
    entries = [
        struct.pack(">I", len(file_name)) + file_name + struct.pack(">Q", length) + root
        for file_name, length, root in sorted(files)
    ]
    numbers = struct.pack(">BI", IDENTIFIERS[name], len(files))
    return h(name, b"\x04weightlock/model/v1\x00" + numbers + mth(name, entries))


Lanes = tuple[int, ...]


def element(place: tuple[int, int, int], chunk: bytes) -> Lanes:
    head = b"weightlock/lthash/v1\x00" + struct.pack(">QQQI", *place, len(chunk))
    return lanes(hashlib.shake_256(head + chunk).digest(2048))


def lanes(data: bytes) -> Lanes:
    return struct.unpack("<1024H", data)


def plus(one: Lanes, other: Lanes) -> Lanes:
    return tuple((a + b) % 65536 for a, b in zip(one, other, strict=True))


def minus(one: Lanes, other: Lanes) -> Lanes:
    return tuple((a - b) % 65536 for a, b in zip(one, other, strict=True))


def packed(value: Lanes) -> bytes:
    return struct.pack("<1024H", *value)
