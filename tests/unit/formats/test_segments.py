"""How a file is cut when it is signed: safetensors by its header, all else every GiB."""

import json

import pytest

from weightlock.formats import segments
from weightlock.formats.segments import (
    MAX_HEADER_BYTES,
    SEGMENT_BYTES,
    Segment,
    header_length,
    opaque_segments,
    safetensors_segments,
)

Offsets = dict[str, list[object]]


def header(offsets: Offsets, **more: object) -> bytes:
    tensors = {
        name: {"dtype": "U8", "shape": [1], "data_offsets": pair} for name, pair in offsets.items()
    }
    return json.dumps({**tensors, **more}).encode()


def cut(offsets: Offsets, data_bytes: int) -> list[tuple[int, int, str | None]] | None:
    """The segments after the header's, as (offset in the data, length, tensor)."""
    written = header(offsets)
    start = 8 + len(written)
    found = safetensors_segments(written, start + data_bytes)
    if found is None:
        return None
    assert found[0] == Segment(0, start)
    return [(part.offset - start, part.length, part.tensor) for part in found[1:]]


@pytest.mark.parametrize(
    ("offsets", "data_bytes", "expected"),
    [
        pytest.param({}, 0, [], id="no tensors, no data"),
        pytest.param({}, 5, [(0, 5, None)], id="no tensors, some data"),
        pytest.param({"a": [0, 5]}, 5, [(0, 5, "a")], id="one tensor"),
        pytest.param(
            {"b": [5, 7], "a": [0, 5]}, 7, [(0, 5, "a"), (5, 2, "b")], id="in order of offsets"
        ),
        pytest.param(
            {"a": [2, 5], "b": [6, 7]},
            9,
            [(0, 2, None), (2, 3, "a"), (5, 1, None), (6, 1, "b"), (7, 2, None)],
            id="gaps before, between and after",
        ),
        pytest.param({"a": [0, 0]}, 0, [], id="a tensor of nothing"),
        pytest.param({"a": [0, 5], "b": [5, 5]}, 5, [(0, 5, "a")], id="nothing at the end"),
        pytest.param(
            {"b": [2, 2], "a": [0, 2], "c": [2, 3]}, 3, [(0, 2, "a"), (2, 1, "c")], id="between"
        ),
        pytest.param({"a": [0, 2], "z": [3, 3]}, 4, [(0, 2, "a"), (2, 1, None), (3, 1, None)],
                     id="nothing inside a gap, which it parts"),
        pytest.param({"__metadata__": [9]}, 1, [(0, 1, None)], id="metadata is no tensor"),
    ],
)  # fmt: skip
def test_each_tensor_and_each_gap_is_a_segment(
    offsets: Offsets, data_bytes: int, expected: list[tuple[int, int, str | None]]
) -> None:
    assert cut(offsets, data_bytes) == expected


@pytest.mark.parametrize(
    ("offsets", "data_bytes"),
    [
        pytest.param({"a": [0, 5], "b": [4, 6]}, 6, id="tensors overlap"),
        pytest.param({"a": [0, 5], "b": [0, 5]}, 5, id="tensors share their bytes"),
        pytest.param({"a": [0, 9], "b": [3, 3]}, 9, id="nothing inside a tensor"),
        pytest.param({"a": [0, 6]}, 5, id="a tensor ends after the file"),
        pytest.param({"a": [6, 6]}, 5, id="nothing after the file"),
        pytest.param({"a": [3, 2]}, 5, id="an end before its begin"),
        pytest.param({"a": [-1, 2]}, 5, id="a begin before the data"),
        pytest.param({"a": [-3, -1]}, 5, id="an end before the data"),
        pytest.param({"a": [0, 2**64 - 1]}, 5, id="an end of 64 bits"),
        pytest.param({"a": [0]}, 5, id="one offset"),
        pytest.param({"a": []}, 5, id="no offsets"),
        pytest.param({"a": [0, 1, 2]}, 5, id="three offsets"),
        pytest.param({"a": ["0", "5"]}, 5, id="offsets that are strings"),
        pytest.param({"a": [False, True]}, 5, id="offsets that are booleans"),
        pytest.param({"a": [None, 5]}, 5, id="an offset that is null"),
        pytest.param({"a": [0.0, 5.0]}, 5, id="offsets that are fractions"),
    ],
)
def test_a_header_that_does_not_describe_the_file_is_none(
    offsets: Offsets, data_bytes: int
) -> None:
    assert cut(offsets, data_bytes) is None


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(b"{", id="cut short"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"17", id="a number"),
        pytest.param(b'"{}"', id="a string"),
        pytest.param(b"null", id="null"),
        pytest.param(b'{"a":[0,1]}', id="a tensor that is a list"),
        pytest.param(b'{"a":{}}', id="a tensor without offsets"),
        pytest.param(b'{"a":{"data_offsets":{}}}', id="offsets that are an object"),
        pytest.param(
            b'{"a":{"data_offsets":[0,1]},"a":{"data_offsets":[1,2]}}', id="C18 a name twice"
        ),
        pytest.param(b'{"\\ud800":{"data_offsets":[0,1]}}', id="half of a surrogate pair"),
        pytest.param(b'{"__metadata__":{"lr":1e-3}}', id="a fraction anywhere"),
        pytest.param(b"{" + b"[" * 40, id="nested deeper than any header"),
        pytest.param(b"\x80\x02}q\x00.", id="a pickle"),
    ],
)
def test_what_is_no_header_is_none(written: bytes) -> None:
    assert safetensors_segments(written, 8 + len(written) + 100) is None


def test_a_header_may_be_filled_up_with_blanks() -> None:
    written = header({"a": [0, 5]}) + b"    "
    start = 8 + len(written)
    expected = [Segment(0, start), Segment(start, 5, "a")]
    assert safetensors_segments(written, start + 5) == expected


@pytest.mark.parametrize(
    ("prefix", "size", "length"),
    [
        pytest.param(b"", 0, None, id="an empty file"),
        pytest.param(b"\x02" + bytes(6), 7, None, id="seven bytes"),
        pytest.param(b"\x02" + bytes(7), 10, 2, id="the shortest header"),
        pytest.param(b"\x02" + bytes(7), 9, None, id="a header beyond the end"),
        pytest.param(b"\x01" + bytes(7), 99, None, id="one byte of header"),
        pytest.param(bytes(8), 99, None, id="no header"),
        pytest.param(b"\xff" * 8, 2**62, None, id="a header of 16 EiB"),
        pytest.param(MAX_HEADER_BYTES.to_bytes(8, "little"), 2**40, MAX_HEADER_BYTES, id="largest"),
        pytest.param((MAX_HEADER_BYTES + 1).to_bytes(8, "little"), 2**40, None, id="too large"),
        pytest.param((2).to_bytes(8, "big"), 99, None, id="big-endian"),
    ],
)
def test_a_header_has_the_length_of_the_first_eight_bytes(
    prefix: bytes, size: int, length: int | None
) -> None:
    assert header_length(prefix, size) == length


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        pytest.param(0, [], id="nothing"),
        pytest.param(1, [(0, 1)], id="a byte"),
        pytest.param(SEGMENT_BYTES - 1, [(0, SEGMENT_BYTES - 1)], id="a byte less"),
        pytest.param(SEGMENT_BYTES, [(0, SEGMENT_BYTES)], id="a GiB"),
        pytest.param(SEGMENT_BYTES + 1, [(0, SEGMENT_BYTES), (SEGMENT_BYTES, 1)], id="and a byte"),
        pytest.param(
            2 * SEGMENT_BYTES, [(0, SEGMENT_BYTES), (SEGMENT_BYTES, SEGMENT_BYTES)], id="two GiB"
        ),
    ],
)
def test_any_other_file_is_cut_every_gib(size: int, expected: list[tuple[int, int]]) -> None:
    assert opaque_segments(size) == [Segment(offset, length) for offset, length in expected]


def test_the_format_has_the_constants_of_its_specification() -> None:
    assert (SEGMENT_BYTES, MAX_HEADER_BYTES) == (2**30, 2**24)
    assert segments.SAFETENSORS_SUFFIX == ".safetensors"
