"""How a file is cut into segments when it is signed. Verifying only follows the signed lengths.

A safetensors file has one segment for its 8-byte length and JSON header, then one for each tensor
in the order of their offsets, with a gap as a segment of its own; a tensor of no bytes has none
(the header, which is signed, says all of it). Any other file is cut every GiB. So one tensor can be
checked alone, on disk or in memory, and a huge checkpoint splits over devices and nodes.
"""

from dataclasses import dataclass
from typing import Final

from weightlock.errors import Malformed, WeightlockError
from weightlock.formats import strict_json

SEGMENT_BYTES: Final = 1024**3
SAFETENSORS_SUFFIX: Final = ".safetensors"
PREFIX_BYTES: Final = 8
MAX_HEADER_BYTES: Final = 16 * 1024 * 1024
"""A longer header is not parsed and its file is cut every GiB: memory stays bounded (A26)."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of bytes of one file; `tensor` is its name if it is one."""

    offset: int
    length: int
    tensor: str | None = None


def opaque_segments(size: int) -> list[Segment]:
    """The segments of a file whose inside is not known; none for an empty one."""
    return [
        Segment(offset, min(SEGMENT_BYTES, size - offset))
        for offset in range(0, size, SEGMENT_BYTES)
    ]


def header_length(prefix: bytes, size: int) -> int | None:
    """How many bytes of JSON follow the first eight of a safetensors file, if that can be."""
    if len(prefix) != PREFIX_BYTES:
        return None
    length = int.from_bytes(prefix, "little")
    fits = len(b"{}") <= length <= min(MAX_HEADER_BYTES, size - PREFIX_BYTES)
    return length if fits else None


def safetensors_segments(header: bytes, size: int) -> list[Segment] | None:
    """The segments of a safetensors file of `size` bytes with this JSON header.

    None if it is not the header of such a file: then it is cut like any other. Nobody is fooled by
    that, because the cut is signed; it only decides what can be checked alone.
    """
    try:
        tensors = _tensors(header)
    except WeightlockError:
        return None
    start = PREFIX_BYTES + len(header)
    segments = [Segment(0, start)]
    position = 0
    for begin, end, name in sorted(tensors):
        if begin < position or end < begin or start + end > size:
            return None
        if begin > position:
            segments.append(Segment(start + position, begin - position))
        if end > begin:
            segments.append(Segment(start + begin, end - begin, name))
        position = end
    if start + position < size:
        segments.append(Segment(start + position, size - start - position))
    return segments


def _tensors(header: bytes) -> list[tuple[int, int, str]]:
    document = strict_json.parse(header, max_bytes=MAX_HEADER_BYTES, what="a safetensors header")
    if not isinstance(document, dict):
        raise Malformed("a safetensors header is not an object")
    found = []
    for name, value in document.items():
        if name == "__metadata__":
            continue
        record = strict_json.Record(value, "tensor")
        offsets = record.items("data_offsets", maximum=2)
        begin, end = (
            offset if type(offset) is int else -1 for offset in (*offsets, None, None)[:2]
        )
        found.append((begin, end, name))
    return found
