"""Public keys as files."""

from pathlib import Path
from typing import Final

from weightlock.errors import KeyUnusable, Malformed
from weightlock.formats.spki import MAX_PUBLIC_KEY_BYTES, PublicKeyInfo, public_key_info
from weightlock.keys import files
from weightlock.signatures.schemes import VerifyingKey
from weightlock.signatures.verifying import verifying_key

_BEGIN: Final = b"-----BEGIN "
_END: Final = b"-----END "


def read_public_key(path: Path) -> VerifyingKey:
    """The key of a file with one PUBLIC KEY block.

    Text around the block is allowed here (RFC 7468, 5.2), because `openssl pkey -text` and others
    write it; policies, where somebody could take it for checked, allow none.

    Raises:
        KeyUnusable: if the file or the key in it cannot or must not be used.
    """
    text = files.read_public(path, "the public key", max_bytes=MAX_PUBLIC_KEY_BYTES)
    try:
        return verifying_key(public_key_info(_without_explanation(text)))
    except Malformed as error:
        # Not Malformed: what is wrong is the tool of the question, not the checkpoint.
        raise KeyUnusable(f"{path}: {error.message}", hint=error.hint) from error


def _without_explanation(text: bytes) -> bytes:
    """The text from its first BEGIN to its last END; all of it if it has none, to be refused."""
    start, end = text.find(_BEGIN), text.rfind(_END)
    return text[start : text.find(b"\n", end) + 1 or None] if 0 <= start < end else text


def write_public_key(path: Path, info: PublicKeyInfo) -> None:
    """Create the file with mode 0644.

    Raises:
        KeyUnusable: if it exists already or cannot be created.
    """
    files.create(path, info.pem.encode("ascii"), mode=files.PUBLIC_MODE)
