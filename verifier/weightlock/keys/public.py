"""Public keys as files."""

from pathlib import Path

from weightlock.errors import KeyUnusable, Malformed
from weightlock.formats.spki import MAX_PUBLIC_KEY_BYTES, PublicKeyInfo, public_key_info
from weightlock.keys import files
from weightlock.signatures.schemes import VerifyingKey
from weightlock.signatures.verifying import verifying_key


def read_public_key(path: Path) -> VerifyingKey:
    """The key of a file with one PUBLIC KEY block.

    Raises:
        KeyUnusable: if the file or the key in it cannot or must not be used.
    """
    text = files.read_public(path, "the public key", max_bytes=MAX_PUBLIC_KEY_BYTES)
    try:
        return verifying_key(public_key_info(text))
    except Malformed as error:
        # Not Malformed: what is wrong is the tool of the question, not the checkpoint.
        raise KeyUnusable(f"{path}: {error.message}", hint=error.hint) from error


def write_public_key(path: Path, info: PublicKeyInfo) -> None:
    """Create the file with mode 0644.

    Raises:
        KeyUnusable: if it exists already or cannot be created.
    """
    files.create(path, info.pem.encode("ascii"), mode=files.PUBLIC_MODE)
