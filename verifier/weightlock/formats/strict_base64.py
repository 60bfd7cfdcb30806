"""Base64 that has exactly one spelling: standard alphabet, padded, canonical (A24).

The standard decoder ignores foreign characters and stray bits, so that one signature would have
many files; here decoding and encoding are inverse: encode(decode(text)) == text.
"""

import base64
import binascii

from weightlock.errors import Malformed


def decode(text: str, what: str = "a value") -> bytes:
    """The bytes of canonical base64.

    Raises:
        Malformed: for any other spelling.
    """
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise Malformed(f"{what} is not base64 in the standard alphabet with padding") from error
    if encode(data) != text:
        raise Malformed(f"{what} is base64 with stray bits at its end; expected canonical base64")
    return data


def encode(data: bytes) -> str:
    """Standard base64 with padding."""
    return base64.b64encode(data).decode("ascii")
