"""Which file names a checkpoint may have: exact bytes with one reading on every system (A34).

A name is relative, of components joined by `/`, in UTF-8, and shows a person what it is: no control
or invisible direction characters, no dot components, nothing that another operating system reads as
a path of its own. Two names must differ after case folding and normalisation too, or storage that
ignores case would hold only one of them.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from weightlock.errors import UnsafeName
from weightlock.names import UNSIGNED_FILES

MAX_NAME_BYTES: Final = 4096
MAX_COMPONENT_BYTES: Final = 255

# Fixed ranges instead of Unicode categories: the answer must not depend on a Python version.
_FORBIDDEN: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f"  # controls, line ends, ANSI escapes
    r"\u2028\u2029\ufff9-\ufffb"  # more line ends, annotations
    # Unicode's Default_Ignorable_Code_Point: shown as nothing, or changing the order.
    r"\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    r"\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    r"\ud800-\udfff"  # halves of surrogate pairs: bytes that were not UTF-8
    r"\\]"  # a separator elsewhere
)
_DRIVE: Final = re.compile(r"[A-Za-z]:")


def check(name: str) -> None:
    """Refuse a name that is not its own canonical form.

    Raises:
        UnsafeName: saying what is wrong with it.
    """
    complaint = _complaint(name)
    if complaint:
        raise UnsafeName(
            f"the file name {printable(name)} {complaint}",
            hint="rename the file and sign again; names are relative, in plain printable UTF-8",
        )


def check_all(names: Iterable[str]) -> None:
    """Refuse names that are unsafe one by one or together.

    Raises:
        UnsafeName: saying which name collides with which.
    """
    owners: dict[str, str] = {folded(name): name for name in UNSIGNED_FILES}
    for name in names:
        check(name)
        key = folded(name)
        other = owners.get(key)
        if other is not None:
            raise UnsafeName(
                f"the file names {printable(other)} and {printable(name)} are the same on storage"
                " that ignores case or normalisation",
                hint="rename one of them and sign again",
            )
        owners[key] = name


def folded(name: str) -> str:
    """What two names have in common if some storage takes them for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def printable(name: str) -> str:
    """A name for messages and logs: quoted, escaped, capped (D03)."""
    shown = name if len(name) <= 120 else f"{name[:100]}...{name[-16:]}"  # noqa: PLR2004 - a line
    return ascii(shown) if _FORBIDDEN.search(shown) else f"'{shown}'"


def _complaint(name: str) -> str:
    if not name:
        return "is empty"
    if _FORBIDDEN.search(name):
        return "has a control, direction, backslash or non-UTF-8 character"
    if name.startswith("/") or _DRIVE.match(name):
        return "is absolute"
    if len(name.encode()) > MAX_NAME_BYTES:
        return f"is longer than {MAX_NAME_BYTES} bytes"
    return _component_complaint(name.split("/"))


def _component_complaint(components: list[str]) -> str:
    if any(component in {"", ".", ".."} for component in components):
        return "has an empty or dot component"
    if any(len(component.encode()) > MAX_COMPONENT_BYTES for component in components):
        return f"has a component longer than {MAX_COMPONENT_BYTES} bytes"
    return ""
