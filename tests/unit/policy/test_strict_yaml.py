"""YAML and JSON without anything that two parsers read differently."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightlock.errors import LimitExceeded, Malformed
from weightlock.formats.strict_yaml import MAX_DOCUMENT_BYTES, load_documents


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param("---\n---\n", [], id="empty documents"),
        pytest.param("a: 1\n---\nb: 2\n", [{"a": 1}, {"b": 2}], id="two documents"),
        pytest.param(
            "a: [x, 1, -0.5, 1e3, true, null, ~]",
            [{"a": ["x", 1, -0.5, 1000.0, True, None, None]}],
            id="values",
        ),
        pytest.param("a: 2028-01-01T00:00:00Z", [{"a": "2028-01-01T00:00:00Z"}], id="an instant"),
        pytest.param("a: 'yes'", [{"a": "yes"}], id="quoted words are texts"),
        pytest.param("a: |\n  x\n  y\n", [{"a": "x\ny\n"}], id="block text"),
        pytest.param("{a: b}", [{"a": "b"}], id="flow YAML that is no JSON"),
        pytest.param(' {"a": [1, {"b": "\\ud83d\\ude00"}]}', [{"a": [1, {"b": "😀"}]}], id="JSON"),
        pytest.param("a:", [{"a": None}], id="an empty value"),
    ],
)
def test_what_is_read(text: str, expected: list[object]) -> None:
    assert load_documents(text) == expected
    assert load_documents(text.encode()) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("a: 1\na: 2", "line 2, column 1: the same key a second time", id="duplicates"),
        pytest.param('{"a": 1, "a": 2}', "the same key twice", id="duplicates in JSON"),
        pytest.param("a: &x 1", "an anchor", id="an anchor"),
        pytest.param("a: &x [1]\nb: *x", "an anchor", id="an anchor on a list"),
        pytest.param("a: *x", "an alias", id="an alias"),
        pytest.param("a: !!python/object:os.system x", "a tag", id="a tag on a scalar"),
        pytest.param("a: !x [1]", "a tag", id="a tag on a list"),
        pytest.param("a: !!map {b: 1}", "a tag", id="a tag on a mapping"),
        pytest.param("1: a", "line 1, column 1: a key that is no text", id="a number as key"),
        pytest.param("? [a]\n: b", "a key that is no text", id="a list as key"),
        pytest.param("a: yes", "line 1, column 4: a word that YAML versions", id="yes"),
        pytest.param("a: 0x1f", "a word that YAML versions", id="hexadecimal"),
        pytest.param("a: 010", "a word that YAML versions", id="octal"),
        pytest.param("a: 1_000", "a word that YAML versions", id="underscores"),
        pytest.param("a: 1:30", "a word that YAML versions", id="sexagesimal"),
        pytest.param("a: .inf", "a word that YAML versions", id="infinity"),
        pytest.param("a: TRUE", "a word that YAML versions", id="shouting"),
        pytest.param("<<: {a: 1}", "a word that YAML versions", id="a merge key"),
        pytest.param("a: " + "9" * 5000, "a number of more than 19 digits", id="digits"),
        pytest.param("a: 1.0e999", "a number beyond", id="a float beyond all"),
        pytest.param('{"a": NaN}', "NaN or Infinity", id="NaN in JSON"),
        pytest.param('{"a": 1e999}', "a number beyond", id="a float beyond all in JSON"),
        pytest.param('{"a": ' + "9" * 5000 + "}", "more than 19 digits", id="digits in JSON"),
        pytest.param('{"a": "\\ud800"}', "half of a surrogate pair", id="half a pair in JSON"),
        pytest.param('a: "\\ud800"', "half of a surrogate pair", id="half a pair"),
        pytest.param("a: [1", "line 1, column 6: not YAML", id="unfinished"),
        pytest.param('{"a": 1} x', "not YAML", id="a tail after JSON"),
        pytest.param("a: b: c", "not YAML", id="nonsense"),
        pytest.param("a: \x07", "characters that YAML does not allow", id="a control character"),
        pytest.param("[" * 40 + "]" * 40, "nested more than 32 deep", id="depth"),
        pytest.param('{"a":' * 40 + "1" + "}" * 40, "nested more than 32", id="depth in JSON"),
        pytest.param('{"a":' + "[" * 200_000, "nested more than 32", id="endless depth"),
        pytest.param(b"a: \xff", "the text is not UTF-8 at byte 3", id="not UTF-8"),
    ],
)
def test_what_is_refused(text: str | bytes, message: str) -> None:
    with pytest.raises(Malformed) as refusal:
        load_documents(text)
    assert message in refusal.value.message


def test_a_long_text_is_refused_before_it_is_read() -> None:
    with pytest.raises(LimitExceeded):
        load_documents("[" * (MAX_DOCUMENT_BYTES + 1))


def test_a_secret_is_not_quoted() -> None:
    with pytest.raises(Malformed) as refusal:
        load_documents("key: -----BEGIN PRIVATE KEY-----\n  SecretSecret: x: y")
    assert "Secret" not in refusal.value.message


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.integers(-(10**17), 10**17) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(texts, values, max_size=4))
def test_json_is_read_as_what_it_was_written_from(value: dict[str, object]) -> None:
    assert load_documents(json.dumps(value)) == [value]


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_only_our_own_errors_come_out(text: str | bytes) -> None:
    with contextlib.suppress(Malformed):
        load_documents(text)
