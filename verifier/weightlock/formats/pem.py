"""Strict PEM (RFC 7468): what blocks a text holds, each decoded in the one way it can be read.

Nothing but blocks and blank lines may be in the text, so nobody reads a comment and takes it for
signed or checked; base64 must be canonical. No message quotes the text, which may be a private key
in the wrong place (C24).
"""

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from weightlock.errors import Malformed

_BEGIN: Final = re.compile(r"-----BEGIN ([A-Z0-9][A-Z0-9 ]{0,62})-----")
_LINE_CHARACTERS: Final = 64


@dataclass(frozen=True, slots=True)
class Block:
    """One block: its label, and its bytes, which no traceback shows."""

    label: str
    data: bytes = field(repr=False)


def blocks(text: str | bytes, what: str, *, max_bytes: int) -> tuple[Block, ...]:
    """Every block of the text, in order; none if it is blank.

    Raises:
        Malformed: if the text is larger than `max_bytes`, or holds anything that is not a block.
    """
    if len(text) > max_bytes:
        raise Malformed(f"{what} has {len(text)} bytes; a key has at most {max_bytes}")
    try:
        ascii_text = text.decode("ascii") if isinstance(text, bytes) else str(text)
        ascii_text.encode("ascii")
    except UnicodeError:
        # `from None`: a UnicodeError carries the text, and the text may be a secret.
        raise Malformed(
            f"{what} is not PEM text: it has bytes outside ASCII",
            hint="PEM begins with -----BEGIN; convert DER with `openssl pkey -inform DER`",
        ) from None
    lines = (line.rstrip(" \t\r") for line in ascii_text.split("\n"))
    return tuple(_blocks(lines, what))


def encode(label: str, data: bytes) -> str:
    """A block as text. Law: blocks(encode(label, data)) == (Block(label, data),)."""
    body = base64.b64encode(data).decode("ascii")
    lines = [body[at : at + _LINE_CHARACTERS] for at in range(0, len(body), _LINE_CHARACTERS)]
    return "\n".join((f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""))


def _blocks(lines: Iterator[str], what: str) -> Iterator[Block]:
    for line in lines:
        if not line:
            continue
        begin = _BEGIN.fullmatch(line)
        if begin is None:
            raise Malformed(
                f"{what} has text outside its PEM block; expected a line -----BEGIN ...-----",
                hint="keep only the lines from -----BEGIN to -----END",
            )
        yield Block(begin[1], _decoded(_body(lines, begin[1], what), what))


def _body(lines: Iterator[str], label: str, what: str) -> str:
    """The lines up to the END of the same label; a foreign line among them fails to decode."""
    body: list[str] = []
    for line in lines:
        if line == f"-----END {label}-----":
            return "".join(body)
        if not line:
            break
        if ":" in line:
            raise Malformed(
                f"{what} has headers inside its PEM block, the mark of an outdated encryption",
                hint="convert it with `openssl pkcs8 -topk8 -in OLD -out NEW`",
            )
        body.append(line)
    raise Malformed(
        f"{what} has an empty line inside its PEM block, or no line -----END {label}-----",
        hint="it may be cut short",
    )


def _decoded(body: str, what: str) -> bytes:
    try:
        data = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    # Python ignores the unused bits of the last character; two texts must not be one key (C02).
    if not data or base64.b64encode(data).decode("ascii") != body:
        raise Malformed(f"{what} has a PEM block that is empty or not canonical base64")
    return data
