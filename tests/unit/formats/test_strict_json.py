"""JSON with one meaning: each leniency of a parser is a row here, beside what is fine (A24)."""

import time
from collections.abc import Callable

import pytest

from weightlock.errors import LimitExceeded, Malformed
from weightlock.formats import strict_json
from weightlock.formats.strict_json import MAX_DEPTH, Record

MEGABYTE = 1024 * 1024


def parse(data: bytes) -> object:
    return strict_json.parse(data, max_bytes=MEGABYTE)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        pytest.param(b"{}", {}, id="an empty object"),
        pytest.param(b' \t\r\n{"a" : [ ] } \n', {"a": []}, id="white space around tokens"),
        pytest.param(b'{"a":{"b":1},"c":{"b":2}}', {"a": {"b": 1}, "c": {"b": 2}}, id="a key each"),
        pytest.param(b"[0,-1,1]", [0, -1, 1], id="integers"),
        pytest.param(b"18446744073709551615", 2**64 - 1, id="the largest 64-bit integer"),
        pytest.param(b"-9223372036854775808", -(2**63), id="the smallest 64-bit integer"),
        pytest.param(b"[true,false,null]", [True, False, None], id="the three words"),
        pytest.param(
            '"é\u4e2d\U0001f600"'.encode(), "é\u4e2d\U0001f600", id="UTF-8 of every length"
        ),
        pytest.param(rb'"\u00e9\n\/\"\\"', 'é\n/"\\', id="escapes"),
        pytest.param(rb'"\ud83d\ude00"', "\U0001f600", id="a whole surrogate pair"),
        pytest.param(rb'"\\ud800"', r"\ud800", id="an escaped backslash before ud800"),
        pytest.param(b'"[[[{{{"', "[[[{{{", id="brackets inside a string"),
    ],
)
def test_json_with_one_meaning_is_read(data: bytes, value: object) -> None:
    assert parse(data) == value


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b" ", id="white space"),
        pytest.param(b'{"a":1,"a":1}', id="a key twice with one value"),
        pytest.param(b'{"a":1,"a":2}', id="a key twice with two values"),
        pytest.param(b'{"a":1,"\\u0061":2}', id="a key twice in two spellings"),
        pytest.param(b'[{"b":{"a":1,"c":0,"a":2}}]', id="a key twice far inside"),
        pytest.param(b"NaN", id="NaN"),
        pytest.param(b"[Infinity]", id="Infinity"),
        pytest.param(b"[-Infinity]", id="minus Infinity"),
        pytest.param(b"1.0", id="a fraction"),
        pytest.param(b"1e3", id="an exponent"),
        pytest.param(b"1E400", id="an exponent beyond all numbers"),
        pytest.param(b"01", id="a leading zero"),
        pytest.param(b"+1", id="a plus sign"),
        pytest.param(b"0x10", id="hexadecimal"),
        pytest.param(b"-0", id="minus zero, which other parsers keep apart from zero"),
        pytest.param(b"1" * 21, id="21 digits"),
        pytest.param(b"-" + b"1" * 20, id="20 digits and a sign"),
        pytest.param(b"\xef\xbb\xbf{}", id="a byte order mark"),
        pytest.param(b"{}{}", id="two documents"),
        pytest.param(b"{}\x00", id="a byte after the document"),
        pytest.param(b"{} x", id="a word after the document"),
        pytest.param(b"PK\x03\x04{}", id="bytes before the document"),
        pytest.param(b"[1,]", id="a comma at the end"),
        pytest.param(b"{'a':1}", id="single quotes"),
        pytest.param(b"{a:1}", id="a key without quotes"),
        pytest.param(b"[1]//x", id="a comment"),
        pytest.param(b'"a\nb"', id="a line end inside a string"),
        pytest.param(b'"a', id="a string that nobody closes"),
        pytest.param(b'"\\', id="a string that ends in a backslash"),
        pytest.param(b'"\\x41"', id="an unknown escape"),
        pytest.param(b'"\xff"', id="bytes that are not UTF-8"),
        pytest.param(b'"\xc0\xaf"', id="an overlong form of UTF-8"),
        pytest.param(b'"\xed\xa0\x80"', id="half of a surrogate pair in UTF-8"),
        pytest.param("{}".encode("utf-16"), id="UTF-16"),
        pytest.param(rb'"\ud800"', id="half of a surrogate pair"),
        pytest.param(rb'{"\uDFFF": 1}', id="half of a surrogate pair in a key"),
        pytest.param(rb'[["\ude00\ud83d"]]', id="a surrogate pair the wrong way round"),
        pytest.param(b"TRUE", id="a word in capitals"),
        pytest.param(b"]", id="a bracket that closes nothing"),
    ],
)
def test_what_parsers_read_differently_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed, match="the document"):
        parse(data)


def test_the_deepest_document_is_read_and_one_level_more_is_not() -> None:
    assert parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    with pytest.raises(LimitExceeded, match="deeper"):
        parse(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))
    with pytest.raises(LimitExceeded, match="deeper"):
        parse(b'{"a":' * (MAX_DEPTH + 1) + b"0" + b"}" * (MAX_DEPTH + 1))


def test_a_quote_that_is_escaped_does_not_hide_the_depth() -> None:
    with pytest.raises(LimitExceeded, match="deeper"):
        parse(b'["\\"",' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"]")


def test_the_largest_document_is_read_and_one_byte_more_is_not() -> None:
    assert strict_json.parse(b"[0,1]", max_bytes=5) == [0, 1]
    with pytest.raises(LimitExceeded, match="6 bytes; at most 5"):
        strict_json.parse(b"[0,1] ", max_bytes=5)


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


def test_whole_doubles_are_integers_only_where_they_are_asked_for() -> None:
    assert strict_json.parse(b"[1000.0,-1.0]", max_bytes=99, whole_doubles=True) == [1000, -1]
    with pytest.raises(Malformed, match=r"the number 1000\.0"):
        parse(b"[1000.0]")


@pytest.mark.parametrize("data", [b"1.00", b"1.5", b"1.0e0", b"-0.0", b"NaN", b"1" * 21 + b".0"])
def test_other_doubles_are_refused_all_the_same(data: bytes) -> None:
    with pytest.raises(Malformed):
        strict_json.parse(data, max_bytes=99, whole_doubles=True)


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


def test_a_document_is_written_short_in_its_own_order_and_in_utf_8() -> None:
    assert strict_json.serialise({"b": [1, None], "a": "é"}) == '{"b":[1,null],"a":"é"}'.encode()


RECORD = {
    "text": "abc",
    "integer": 5,
    "true": True,
    "list": [1, 2],
    "object": {"inner": 1},
    "null": None,
}


def test_a_record_gives_each_field_once_and_is_done() -> None:
    record = Record(RECORD, "it")
    assert "text" in record
    assert record.text("text") == "abc"
    assert "text" not in record
    assert record.integer("integer") == 5
    assert record.boolean("true") is True
    assert record.items("list", maximum=2) == [1, 2]
    inner = record.record("object")
    assert inner.integer("inner") == 1
    inner.done()
    with pytest.raises(Malformed, match="it has unknown fields: 'null'"):
        record.done()
    assert "text" in RECORD


@pytest.mark.parametrize("taker", ["text", "integer", "boolean", "record", "items", "constant"])
def test_a_field_that_is_missing_is_refused(taker: str) -> None:
    arguments: dict[str, dict[str, object]] = {
        "items": {"maximum": 9},
        "constant": {"expected": "x"},
    }
    with pytest.raises(Malformed, match="it has no field 'absent'"):
        getattr(Record(RECORD, "it"), taker)("absent", **arguments.get(taker, {}))


@pytest.mark.parametrize(
    ("taker", "key", "found"),
    [
        pytest.param("text", "integer", "an integer; expected a string", id="text: integer"),
        pytest.param("text", "null", "null; expected a string", id="text: null"),
        pytest.param("text", "list", "a list; expected a string", id="text: list"),
        pytest.param("integer", "text", "a string; expected an integer", id="integer: text"),
        pytest.param("integer", "true", "a boolean; expected an integer", id="integer: true"),
        pytest.param("boolean", "integer", "an integer; expected true or false", id="true: 5"),
        pytest.param("boolean", "text", "a string; expected true or false", id="true: text"),
        pytest.param("record", "list", "it.list is a list; expected an object", id="object: list"),
        pytest.param("record", "null", "it.null is null; expected an object", id="object: null"),
    ],
)
def test_a_field_of_another_type_is_refused(taker: str, key: str, found: str) -> None:
    with pytest.raises(Malformed, match=found):
        getattr(Record(RECORD, "it"), taker)(key)


def test_items_of_an_object_are_none() -> None:
    with pytest.raises(Malformed, match="an object; expected a list"):
        Record(RECORD, "it").items("object", maximum=9)


def test_a_record_of_what_json_cannot_hold_is_refused() -> None:
    with pytest.raises(Malformed, match="it is something else; expected an object"):
        Record(1.5, "it")


def test_fields_are_taken_up_to_their_limits_and_not_beyond() -> None:
    assert Record(RECORD, "it").text("text", max_characters=3) == "abc"
    with pytest.raises(LimitExceeded):
        Record(RECORD, "it").text("text", max_characters=2)
    with pytest.raises(LimitExceeded):
        Record(RECORD, "it").items("list", maximum=1)
    for minimum, maximum in ((5, 9), (0, 5)):
        assert Record(RECORD, "it").integer("integer", minimum=minimum, maximum=maximum) == 5
    for minimum, maximum in ((6, 9), (0, 4)):
        with pytest.raises(Malformed, match=r"it\.integer is 5"):
            Record(RECORD, "it").integer("integer", minimum=minimum, maximum=maximum)


def test_an_integer_has_63_bits_unless_said_otherwise() -> None:
    assert Record({"n": 2**63 - 1}, "it").integer("n") == 2**63 - 1
    for value in (2**63, -1):
        with pytest.raises(Malformed):
            Record({"n": value}, "it").integer("n")


def test_a_constant_has_exactly_one_value() -> None:
    Record(RECORD, "it").constant("text", "abc")
    for expected in ("abcd", "ab", "ABC", ""):
        with pytest.raises(Malformed, match="expected"):
            Record(RECORD, "it").constant("text", expected)


@pytest.mark.parametrize(
    "take", [Record.optional_text, Record.optional_boolean, Record.optional_record]
)
def test_what_may_be_null_must_be_there_all_the_same(take: Callable[[Record, str], object]) -> None:
    record = Record({"here": None}, "it")
    assert take(record, "here") is None
    record.done()
    with pytest.raises(Malformed, match="no field"):
        take(Record({}, "it"), "here")
    with pytest.raises(Malformed, match="is an integer"):
        take(Record({"here": 1}, "it"), "here")


def test_what_may_be_null_is_otherwise_of_its_type() -> None:
    record = Record({"text": "x", "boolean": False, "record": {}}, "it")
    assert record.optional_text("text") == "x"
    assert record.optional_boolean("boolean") is False
    assert record.optional_record("record") is not None
    record.done()
