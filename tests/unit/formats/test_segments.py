"""How a file is cut when it is signed: safetensors by its header, all else every GiB."""

import pytest

from weightlock.formats import segments


@pytest.mark.parametrize("header", [b"[]", b"{}"[:1] + b" ", b"17", b'"{}"', b"null"])
def test_a_header_that_is_no_object_is_none(header: bytes) -> None:
    assert segments.safetensors_segments(header, 8 + len(header) + 100) is None
