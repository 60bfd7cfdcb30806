"""The small texts of a policy: durations, quantities, instants, names, globs, paths.

Each has exactly one accepted spelling family; whatever else is Malformed, with what was found and
what was expected. `Fields` adds the path of the field.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from weightlock.errors import Malformed

MAX_DURATION: Final = timedelta(days=3650)
MAX_QUANTITY: Final = 2**63 - 1
"""The API server's own quantities end here."""

_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 9000
_SHOWN_CHARACTERS: Final = 60
_SENTENCE_CHARACTERS: Final = 500
_SECRET: Final = re.compile(r"PRIVATE KEY|BEGIN ")

_DURATION: Final = re.compile(r"(?=[0-9])(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6})s)?")
_QUANTITY: Final = re.compile(r"([1-9][0-9]{0,18})(Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E)?")
_INSTANT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z"
)
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
_GLOB: Final = re.compile(r"[A-Za-z0-9._/@:+*?-]{1,253}")
_LINE: Final = re.compile(r"[ -~]{1,253}")
_HEX: Final = re.compile(r"[0-9a-f]{64}")

_MULTIPLIERS: Final[dict[str, int]] = {"": 1} | {
    suffix: base**power
    for base, suffixes in ((1024, ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei")), (1000, tuple("kMGTPE")))
    for power, suffix in enumerate(suffixes, start=1)
}


def shown(value: object) -> str:
    """A value as messages quote it: ASCII, short, and never a secret (C24, B30)."""
    if isinstance(value, str):
        return "(not shown)" if _SECRET.search(value) else _shortened(ascii(value))
    if value is None or isinstance(value, bool | int | float):
        return _shortened(ascii(value))
    if isinstance(value, list | tuple):
        return "a list"
    return "a mapping" if isinstance(value, dict) else "something else"


def printable(text: str) -> str:
    """A sentence of others with whatever a terminal might obey escaped, and cut (B30)."""
    safe = visible(text)
    return safe if len(safe) <= _SENTENCE_CHARACTERS else safe[:_SENTENCE_CHARACTERS] + "..."


def visible(text: str) -> str:
    """One line of others with whatever a terminal might obey escaped (B30)."""
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in text
    )


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."


def duration(text: str) -> timedelta:
    """Hours, minutes, seconds in this order, as in `168h`, `10m`, `1h30m`; more than zero."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise Malformed(f"found {shown(text)}, expected a duration such as 168h or 10m")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    value = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if not timedelta(0) < value <= MAX_DURATION:
        raise Malformed(f"found {shown(text)}, expected more than 0s and at most 87600h")
    return value


def quantity(text: str) -> int:
    """A whole number of bytes with a Kubernetes suffix, as in `20Ti`."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise Malformed(f"found {shown(text)}, expected a quantity of bytes such as 20Ti")
    value = int(match[1]) * _MULTIPLIERS[match[2] or ""]
    if value > MAX_QUANTITY:
        raise Malformed(f"found {shown(text)}, expected at most {MAX_QUANTITY}")
    return value


def instant(text: str) -> datetime:
    """An RFC 3339 instant in UTC, spelled with `Z` and nothing else (C26)."""
    if _INSTANT.fullmatch(text):
        try:
            return datetime.fromisoformat(text).astimezone(UTC)
        except ValueError:
            pass  # the shape is right and there is no such day or hour: the message below says it
    raise Malformed(f"found {shown(text)}, expected a UTC instant such as 2028-01-01T00:00:00Z")


def moment(text: str) -> datetime:
    """An instant of something that happens in a cluster: any duration fits before and after it.

    Whoever may write a status writes year 1 or 9999 into it, and arithmetic ends there.
    """
    found = instant(text)
    if not _FIRST_YEAR <= found.year <= _LAST_YEAR:
        raise Malformed(f"found {shown(text)}, expected a year from {_FIRST_YEAR} to {_LAST_YEAR}")
    return found


def name(text: str) -> str:
    """A name as Kubernetes objects have it."""
    if not _NAME.fullmatch(text):
        raise Malformed(
            f"found {shown(text)}, expected lower-case letters, digits, '-' and '.',"
            " at most 253 of them"
        )
    return text


def optional_name(text: str) -> str:
    """A name, or nothing."""
    return text and name(text)


def line(text: str) -> str:
    """Printable ASCII on one line."""
    if not _LINE.fullmatch(text):
        raise Malformed(f"found {shown(text)}, expected 1 to 253 printable ASCII characters")
    return text


def glob(text: str) -> str:
    """A pattern with `*` (any characters) and `?` (one); there are no character classes."""
    if not _GLOB.fullmatch(text):
        raise Malformed(
            f"found {shown(text)}, expected a pattern of letters, digits, ._/@:+- and the"
            " wildcards * and ?"
        )
    return text


def glob_matches(pattern: str, text: str) -> bool:
    """Whether the whole text has the pattern's shape. Takes len(pattern) x len(text) at most."""
    at, star, resume = 0, -1, 0
    position = 0
    while position < len(text):
        if at < len(pattern) and pattern[at] == "*":
            star, resume = at, position
            at += 1
        elif at < len(pattern) and pattern[at] in ("?", text[position]):
            at += 1
            position += 1
        elif star >= 0:  # let the last star swallow one character more
            resume += 1
            at, position = star + 1, resume
        else:
            return False
    return not pattern[at:].strip("*")


def keyid(text: str) -> str:
    """The hexadecimal SHA-256 of a key."""
    if not _HEX.fullmatch(text):
        raise Malformed(f"found {shown(text)}, expected 64 lower-case hexadecimal digits")
    return text
