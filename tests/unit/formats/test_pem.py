import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightlock.errors import Malformed
from weightlock.formats import pem
from weightlock.formats.pem import Block

LIMIT = 100_000


def _blocks(text: str | bytes) -> tuple[Block, ...]:
    return pem.blocks(text, "the test", max_bytes=LIMIT)


@given(st.binary(min_size=1, max_size=300))
def test_a_block_is_read_as_it_was_written(data: bytes) -> None:
    text = pem.encode("PUBLIC KEY", data)
    assert _blocks(text) == _blocks(text.encode()) == (Block("PUBLIC KEY", data),)


def test_lines_have_at_most_64_characters() -> None:
    text = pem.encode("PUBLIC KEY", b"x" * 200)
    assert max(map(len, text.splitlines())) == 64


def test_blank_text_has_no_blocks() -> None:
    assert _blocks(" \n\r\n") == ()


def test_several_blocks_are_read_in_order() -> None:
    found = _blocks(pem.encode("A", b"1") + "\n" + pem.encode("B", b"2"))
    assert [block.label for block in found] == ["A", "B"]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda t: t.replace("\n", "\r\n"), id="carriage returns"),
        pytest.param(lambda t: t.replace("\n", "  \n"), id="trailing spaces"),
        pytest.param(lambda t: "\n\n" + t + "\n", id="blank lines around"),
        pytest.param(lambda t: t.rstrip("\n"), id="no last line ending"),
    ],
)
def test_harmless_white_space_changes_nothing(change: "type[str]") -> None:
    text = pem.encode("PUBLIC KEY", b"key" * 30)
    assert _blocks(change(text)) == _blocks(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("hello", id="no block"),
        pytest.param("note\n" + pem.encode("A", b"1"), id="text before"),
        pytest.param(pem.encode("A", b"1") + "note", id="text after"),
        pytest.param(" " + pem.encode("A", b"1"), id="indented"),
        pytest.param("-----BEGIN A-----\nMQ==\n", id="no end"),
        pytest.param("-----BEGIN A-----\nMQ==", id="no end at all"),
        pytest.param("-----BEGIN A-----\nMQ==\n-----END B-----\n", id="another end"),
        pytest.param("-----BEGIN A-----\n\nMQ==\n-----END A-----\n", id="an empty line inside"),
        pytest.param("-----BEGIN A-----\n-----END A-----\n", id="nothing inside"),
        pytest.param("-----BEGIN A-----\nMQ=\n-----END A-----\n", id="padding cut short"),
        pytest.param("-----BEGIN A-----\nMR==\n-----END A-----\n", id="unused bits set"),
        pytest.param("-----BEGIN A-----\nMQ==MQ==\n-----END A-----\n", id="padding inside"),
        pytest.param("-----BEGIN A-----\nM_-=\n-----END A-----\n", id="URL alphabet"),
        pytest.param("-----BEGIN A-----\nM Q==\n-----END A-----\n", id="a space inside"),
        pytest.param("-----BEGIN a-----\nMQ==\n-----END a-----\n", id="a lower-case label"),
        pytest.param("-----BEGIN \u00c4-----\nMQ==\n", id="not ASCII"),
        pytest.param("\udcff", id="a lone surrogate"),
        pytest.param(b"\x30\x82\x01\xff", id="DER"),
        pytest.param("\0", id="a zero byte"),
    ],
)
def test_whatever_is_not_exactly_pem_is_malformed(text: str | bytes) -> None:
    with pytest.raises(Malformed, match="the test"):
        _blocks(text)


def test_outdated_encryption_is_recognised_by_its_headers() -> None:
    text = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMQ==\n"
    with pytest.raises(Malformed, match="outdated encryption") as caught:
        _blocks(text)
    assert "openssl pkcs8" in caught.value.hint


def test_text_over_the_limit_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(Malformed, match="100001 bytes"):
        _blocks("\u00c4" * (LIMIT + 1))


def test_no_representation_shows_the_data() -> None:
    assert "secret" not in repr(Block("PRIVATE KEY", b"secret"))


@given(st.one_of(st.text(max_size=200), st.binary(max_size=200)))
def test_any_text_is_blocks_or_malformed(text: str | bytes) -> None:
    try:
        found = _blocks(text)
    except Malformed:
        return
    for block in found:
        assert _blocks(pem.encode(block.label, block.data)) == (block,)
