"""The passphrase of an encrypted private key: from a file or pipe, never from the command line.

An argument or variable would show it to every process of the machine (F05).
"""

from pathlib import Path
from typing import Final

from weightlock.errors import KeyUnusable
from weightlock.keys import files

MAX_PASSPHRASE_BYTES: Final = 1024


def read_passphrase(path: Path) -> bytes:
    """The one line of the file, without its line ending.

    Raises:
        KeyUnusable: if it is empty, has several lines, or others can read it.
    """
    what = "the passphrase file"
    content = files.read_secret(path, what, max_bytes=MAX_PASSPHRASE_BYTES, pipe_allowed=True)
    passphrase = content.removesuffix(b"\n").removesuffix(b"\r")
    if not passphrase:
        raise KeyUnusable(f"{what} {path} is empty")
    if b"\n" in passphrase or b"\0" in passphrase:
        raise KeyUnusable(f"{what} {path} has more than one line of text")
    return passphrase
