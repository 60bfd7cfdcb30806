"""Public key files: one key, and whatever OpenSSL writes around it."""

from pathlib import Path

import pytest
from tests.support.keys import info, key

from weightlock.errors import KeyUnusable
from weightlock.keys.public import read_public_key

KEY = key("ECDSA-P256-SHA256").public_key
BLOCK = info(KEY).pem


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("", "", id="the block alone"),
        pytest.param(
            "Public-Key: (256 bit)\npub:\n    04:ab\nASN1 OID: prime256v1\n", "", id="-text"
        ),
        pytest.param("subject=release\n", "trailing words\n", id="text on both sides"),
    ],
)
def test_text_around_the_block_is_allowed(before: str, after: str, tmp_path: Path) -> None:
    path = tmp_path / "key.pub"
    path.write_text(before + BLOCK + after)
    assert read_public_key(path).spki == KEY.spki


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("no key here\n", id="no block"),
        pytest.param("-----BEGIN PUBLIC KEY-----\n", id="no end"),
        pytest.param("-----END PUBLIC KEY-----\n-----BEGIN PUBLIC KEY-----\n", id="end first"),
    ],
)
def test_what_holds_no_key_is_unusable(content: str, tmp_path: Path) -> None:
    path = tmp_path / "key.pub"
    path.write_text(content)
    with pytest.raises(KeyUnusable, match=r"key\.pub"):
        read_public_key(path)


def test_text_between_two_blocks_is_not_skipped(tmp_path: Path) -> None:
    path = tmp_path / "key.pub"
    path.write_text(BLOCK + "and another\n" + BLOCK)
    with pytest.raises(KeyUnusable):
        read_public_key(path)
