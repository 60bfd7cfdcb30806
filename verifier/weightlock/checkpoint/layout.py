"""How the files of a folder are cut into segments, which for safetensors means a look inside.

Only signing and hashing look; verifying follows the lengths that were signed.
"""

from collections.abc import Sequence

from weightlock.engines.engine import Files, OpenFile, Span
from weightlock.engines.reading import read_exactly
from weightlock.formats.segments import (
    PREFIX_BYTES,
    SAFETENSORS_SUFFIX,
    Segment,
    header_length,
    opaque_segments,
    safetensors_segments,
)


def segments_of(files: Files, number: int, name: str, size: int) -> list[Segment]:
    """The segments of one file."""
    if name.endswith(SAFETENSORS_SUFFIX):
        with files.open(number) as file:
            header = read_header(file)
        segments = safetensors_segments(header, size) if header is not None else None
        if segments is not None:
            return segments
    return opaque_segments(size)


def read_header(file: OpenFile) -> bytes | None:
    """The JSON header of a safetensors file; None if it cannot have one."""
    prefix = read_exactly(file, 0, min(PREFIX_BYTES, file.size))
    length = header_length(prefix, file.size)
    return None if length is None else read_exactly(file, PREFIX_BYTES, length)


def spans_of(file: int, lengths: Sequence[int]) -> list[Span]:
    """The spans of a file's segments, which follow one another."""
    spans = []
    offset = 0
    for length in lengths:
        spans.append(Span(file, offset, length))
        offset += length
    return spans
