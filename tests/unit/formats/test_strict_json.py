"""JSON with one meaning: each leniency of a parser is a row here, beside what is fine (A24)."""

import time

import pytest

from weightlock.errors import LimitExceeded, Malformed
from weightlock.formats import strict_json

MEGABYTE = 1024 * 1024


def parse(data: bytes) -> object:
    return strict_json.parse(data, max_bytes=MEGABYTE)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b'"' + b'\\"' * 400_000, id="a string of quotes that nobody closes"),
        pytest.param(b'"' * 800_001, id="strings without anything between them"),
        pytest.param(b'"' + b"\\" * 800_000, id="a string of backslashes that nobody closes"),
        pytest.param(b"[" * 800_000, id="lists that nobody closes"),
        pytest.param(b"[" + b"9" * 800_000 + b"]", id="a number of 800,000 digits"),
    ],
)
def test_a_hostile_document_is_refused_in_linear_time(data: bytes) -> None:
    started = time.perf_counter()
    with pytest.raises((Malformed, LimitExceeded)):
        parse(data)
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(rb'"\ud800"', id="half of a surrogate pair"),
        pytest.param(rb'{"\uDFFF": 1}', id="half of a surrogate pair in a key"),
        pytest.param(rb'[["\ude00\ud83d"]]', id="a surrogate pair the wrong way round"),
        pytest.param(b"-0", id="minus zero, which other parsers keep apart from zero"),
    ],
)
def test_what_parsers_read_differently_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse(data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"[" + b"{}," * 100 + b"{}]", id="objects"),
        pytest.param(b"[" + b"[]," * 100 + b"[]]", id="lists"),
        pytest.param(b"[" + b"0," * 100 + b"0]", id="numbers"),
        pytest.param(b"[" + b'"",' * 100 + b'""]', id="strings"),
        pytest.param(b'"' + b"," * 101 + b'"', id="commas inside a string, which count too"),
    ],
)
def test_more_values_than_allowed_are_refused_before_any_is_made(data: bytes) -> None:
    with pytest.raises(LimitExceeded, match="values"):
        strict_json.parse(data, max_bytes=MEGABYTE, max_values=100)


def test_as_many_values_as_allowed_are_read() -> None:
    assert strict_json.parse(b"[0,[],{}]", max_bytes=9, max_values=5) == [0, [], {}]
    with pytest.raises(LimitExceeded):
        strict_json.parse(b"[0,[],{}]", max_bytes=9, max_values=4)
    with pytest.raises(LimitExceeded):
        strict_json.parse(b"[0,[],{}]", max_bytes=8, max_values=5)
