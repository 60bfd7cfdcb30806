from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightlock.errors import Malformed
from weightlock.formats import der
from weightlock.formats.der import Reader


def _reader(data: bytes) -> Reader:
    return Reader(data, "the test")


@given(st.integers(min_value=0, max_value=2**2100))
def test_an_integer_is_read_as_it_was_written(value: int) -> None:
    reader = _reader(der.unsigned_integer(value))
    assert reader.unsigned_integer() == value
    reader.finish()


@given(
    st.integers(0, 2),
    st.integers(0, 39),
    st.lists(st.integers(0, 2**31), max_size=5),
)
def test_an_object_identifier_is_read_as_it_was_written(
    root: int, second: int, rest: list[int]
) -> None:
    dotted = ".".join(map(str, [root, second, *rest]))
    assert _reader(der.object_identifier(dotted)).object_identifier() == dotted


def test_the_second_arc_under_the_third_root_has_no_bound() -> None:
    assert _reader(der.object_identifier("2.999.3")).object_identifier() == "2.999.3"


@pytest.mark.parametrize("length", [0, 1, 127, 128, 255, 256, 65535, 65536])
def test_content_of_every_length_of_length_is_read_as_it_was_written(length: int) -> None:
    content = b"x" * length
    assert _reader(der.octet_string(content)).octet_string() == content
    assert _reader(der.bit_string(content)).bit_string() == content


def test_a_sequence_gives_back_its_parts_in_order() -> None:
    reader = _reader(der.sequence(der.null(), der.sequence(der.octet_string(b"a")), der.null()))
    parts = reader.sequence()
    parts.null()
    assert parts.sequence().octet_string() == b"a"
    parts.null()
    assert parts.at_end
    assert reader.at_end


def test_context_tags_are_primitive_or_constructed() -> None:
    assert der.context(0, constructed=False) == 0x80
    assert der.context(1, constructed=True) == 0xA1


@pytest.mark.parametrize(
    ("data", "read"),
    [
        pytest.param("", Reader.null, id="nothing"),
        pytest.param("0400", Reader.null, id="another tag"),
        pytest.param("05", Reader.null, id="no length"),
        pytest.param("050100", Reader.null, id="a NULL with content"),
        pytest.param("0403aabb", Reader.octet_string, id="content cut short"),
        pytest.param("0481", Reader.octet_string, id="length cut short"),
        pytest.param("048101aa", Reader.octet_string, id="a short length in the long form"),
        pytest.param("04820001aa", Reader.octet_string, id="a length with leading zeros"),
        pytest.param("048200ff" + "aa" * 255, Reader.octet_string, id="one octet too many"),
        pytest.param("0480aa0000", Reader.octet_string, id="an indefinite length"),
        pytest.param("048400000001aa", Reader.octet_string, id="a length of four octets"),
        pytest.param("0200", Reader.unsigned_integer, id="an empty INTEGER"),
        pytest.param("0201ff", Reader.unsigned_integer, id="a negative INTEGER"),
        pytest.param("02020001", Reader.unsigned_integer, id="a padded INTEGER"),
        pytest.param("0600", Reader.object_identifier, id="an empty identifier"),
        pytest.param("060180", Reader.object_identifier, id="an identifier cut short"),
        pytest.param("06032a8001", Reader.object_identifier, id="an identifier with zeros"),
        pytest.param("0621" + "2a" * 33, Reader.object_identifier, id="an identifier too long"),
        pytest.param("0300", Reader.bit_string, id="a BIT STRING without its first byte"),
        pytest.param("03020180", Reader.bit_string, id="a BIT STRING of seven bits"),
    ],
)
def test_whatever_is_not_exactly_der_is_malformed(
    data: str, read: Callable[[Reader], object]
) -> None:
    with pytest.raises(Malformed, match="the test is not valid DER"):
        read(_reader(bytes.fromhex(data)))


def test_trailing_bytes_are_malformed() -> None:
    reader = _reader(der.null() + b"\0")
    reader.null()
    with pytest.raises(Malformed, match="1 bytes follow"):
        reader.finish()


def test_a_missing_context_tag_is_named_by_its_number() -> None:
    with pytest.raises(Malformed, match="expected tag 0xa0"):
        _reader(der.null()).element(der.context(0, constructed=True))


@given(st.binary(max_size=40))
def test_what_is_read_to_its_end_is_what_would_be_written(data: bytes) -> None:
    reader = _reader(data)
    try:
        value = reader.unsigned_integer()
        reader.finish()
    except Malformed:
        return
    assert der.unsigned_integer(value) == data


@given(st.binary(min_size=1, max_size=32))
def test_an_identifier_that_is_read_is_what_would_be_written(content: bytes) -> None:
    data = der.element(der.OBJECT_IDENTIFIER, content)
    try:
        dotted = _reader(data).object_identifier()
    except Malformed:
        return
    assert der.object_identifier(dotted) == data
