"""The nonce that ties a report to the request that it answers."""

import re
from typing import Final

from weightlock.errors import Malformed

_NONCE: Final = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)


def check_nonce(text: str) -> None:
    """Refuse what is not a nonce.

    Raises:
        Malformed: for anything but 1 to 128 letters, digits, dots, dashes and underscores.
    """
    if not _NONCE.fullmatch(text):
        raise Malformed("the nonce is not 1 to 128 letters, digits, '.', '_' and '-'")
