"""What lies too deep is cut out, and nothing else is touched."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightlock.formats.nesting import MOST_DEPTH, is_deep, shallow

Value = object

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.sampled_from(['"]', "\\", "{[", '\\"']),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=40,
)


def cut(value: Value, most: int) -> Value:
    if isinstance(value, list | dict) and most == 0:
        return None
    if isinstance(value, list):
        return [cut(each, most - 1) for each in value]
    if isinstance(value, dict):
        return {key: cut(each, most - 1) for key, each in value.items()}
    return value


@given(VALUES, st.integers(0, 6), st.booleans())
def test_what_lies_deeper_is_null(value: Value, most: int, ascii_only: bool) -> None:
    document = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert json.loads(shallow(document, most)) == cut(value, most)
    assert is_deep(document, most) == (shallow(document, most) != document)


@given(st.binary())
def test_any_bytes_have_an_answer(document: bytes) -> None:
    shallow(document, 2)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (b"[[[1]]]", b"[[null]]"),
        (b'[[["]]]"]], 2]', b"[[null], 2]"),
        (b"[[[[1", b"[[null"),
        (b"]]]", b"]]]"),
    ],
)
def test_examples(document: bytes, expected: bytes) -> None:
    assert shallow(document, 2) == expected


def test_a_parser_gives_up_where_this_does_not() -> None:
    document = b'{"items": [{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}, {}]}"
    with pytest.raises(RecursionError):
        json.loads(document)
    nest: Value = None
    for _ in range(MOST_DEPTH - 3):
        nest = [nest]
    assert json.loads(shallow(document)) == {"items": [{"a": nest}, {}]}


def test_a_long_string_costs_no_more_than_its_length() -> None:
    document = b'"' + b"\\u003c" * 500_000 + b'"'
    assert shallow(document) == document
