"""Base64 with one spelling for each value (A24)."""

import pytest

from weightlock.errors import Malformed
from weightlock.formats import strict_base64


@pytest.mark.parametrize(
    ("text", "data"),
    [
        pytest.param("", b"", id="nothing"),
        pytest.param("AA==", b"\x00", id="one byte"),
        pytest.param("AAE=", b"\x00\x01", id="two bytes"),
        pytest.param("AAEC", b"\x00\x01\x02", id="three bytes"),
        pytest.param("+/+/", b"\xfb\xff\xbf", id="plus and slash"),
    ],
)
def test_canonical_base64_is_read_and_written(text: str, data: bytes) -> None:
    assert strict_base64.decode(text) == data
    assert strict_base64.encode(data) == text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("AB==", id="stray bits after one byte"),
        pytest.param("AAF=", id="stray bits after two bytes"),
        pytest.param("AA", id="no padding"),
        pytest.param("AA=", id="half the padding"),
        pytest.param("AA===", id="too much padding"),
        pytest.param("AAEC=", id="padding where none belongs"),
        pytest.param("====", id="padding only"),
        pytest.param("AA==AA==", id="two values"),
        pytest.param("A", id="one character"),
        pytest.param("-_-_", id="the alphabet for URLs"),
        pytest.param("AA E", id="a blank"),
        pytest.param("AAEC\n", id="a line end"),
        pytest.param("AAE\u0421", id="a letter that looks like C"),
        pytest.param("\u00e9AAA", id="a letter outside ASCII"),
        pytest.param("A\x00AA", id="a zero byte"),
    ],
)
def test_any_other_spelling_is_refused(text: str) -> None:
    with pytest.raises(Malformed, match="the payload is"):
        strict_base64.decode(text, "the payload")
