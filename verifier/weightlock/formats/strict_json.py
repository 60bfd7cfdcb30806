"""JSON with one meaning: what two parsers could read differently is refused (A24).

Duplicate keys, NaN and Infinity, fractions and exponents, huge integers, a byte order mark, invalid
UTF-8, lone surrogates, trailing bytes, deep nesting and oversized documents never get past here.
"""

import json
import re
from collections.abc import Sequence
from typing import Final, NoReturn

from weightlock.errors import LimitExceeded, Malformed

MAX_DEPTH: Final = 32
MAX_VALUES: Final = 4 * 1024 * 1024
"""More than a manifest of 64 MiB can need; `{}` takes 3 bytes of a document and 72 of memory."""

_MAX_INTEGER_DIGITS: Final = 20  # every 64-bit number fits; int() of millions of digits is slow
# A string that nobody closed reaches to the end, or else each of its quotes would be tried again.
_STRING: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_WHOLE_DOUBLE: Final = re.compile(r"(-?[0-9]+)\.0", re.ASCII)
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]", re.ASCII)  # UTF-8 itself has none
_NOT_A_BRACKET: Final = re.compile(r"[^\[\]{}]++")


def parse(
    data: bytes,
    *,
    max_bytes: int,
    what: str = "the document",
    max_values: int = MAX_VALUES,
    whole_doubles: bool = False,
) -> object:
    """The value of a JSON document.

    `max_values` bounds how many commas and opening brackets it has, which no value can be without;
    those inside strings count too, so that counting costs next to nothing. With `whole_doubles`
    the number `1000.0` is the integer 1000, for writers that print every integer so.

    Raises:
        LimitExceeded: if it is larger, deeper or of more values than allowed.
        Malformed: if it is not JSON with exactly one meaning.
    """
    if len(data) > max_bytes:
        raise LimitExceeded(f"{what} has {len(data)} bytes; at most {max_bytes} are read")
    if sum(data.count(mark) for mark in b",[{") > max_values:
        raise LimitExceeded(f"{what} has more than {max_values} values")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"{what} is not UTF-8 at byte {error.start}") from error
    _check_depth(text, what)
    try:
        value: object = json.loads(
            text,
            object_pairs_hook=_object_without_duplicates,
            parse_constant=_refuse_number,
            parse_float=_whole_double if whole_doubles else _refuse_number,
            parse_int=_integer,
        )
    except Malformed as error:
        raise Malformed(f"{what}: {error.message}") from error
    except ValueError as error:
        raise Malformed(f"{what} is not JSON: {error}") from error
    if _SURROGATE.search(text) and not _is_unicode(value):
        raise Malformed(f"{what} holds half of a surrogate pair")
    return value


def serialise(value: object) -> bytes:
    """The shortest JSON of a value, in the order of its dictionaries, as UTF-8."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8")


class Record:
    """One JSON object whose fields are taken one by one, each with the type that it must have.

    What nobody took is refused by `done`: an unknown field in a signed document may be a
    restriction that this version does not know, so it fails closed.
    """

    __slots__ = ("_fields", "_where")

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise Malformed(f"{where} is {_kind(value)}; expected an object")
        self._fields = dict(value)
        self._where = where

    def __contains__(self, key: str) -> bool:
        return key in self._fields

    def text(self, key: str, *, max_characters: int = 4096) -> str:
        """Take a string."""
        value = self._take(key)
        if not isinstance(value, str):
            raise self._wrong(key, value, "a string")
        if len(value) > max_characters:
            raise LimitExceeded(f"{self._where}.{key} is longer than {max_characters} characters")
        return value

    def integer(self, key: str, *, minimum: int = 0, maximum: int = 2**63 - 1) -> int:
        """Take an integer; true and false are none."""
        value = self._take(key)
        if type(value) is not int:
            raise self._wrong(key, value, "an integer")
        if not minimum <= value <= maximum:
            raise Malformed(
                f"{self._where}.{key} is {value}; expected {minimum} to {maximum}",
            )
        return value

    def boolean(self, key: str) -> bool:
        """Take true or false; strings and numbers that look like it are none."""
        value = self._take(key)
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def items(self, key: str, *, maximum: int) -> Sequence[object]:
        """Take a list."""
        value = self._take(key)
        if not isinstance(value, list):
            raise self._wrong(key, value, "a list")
        if len(value) > maximum:
            raise LimitExceeded(
                f"{self._where}.{key} has {len(value)} items; at most {maximum} are read"
            )
        return value

    def record(self, key: str) -> "Record":
        """Take an object."""
        return Record(self._take(key), f"{self._where}.{key}")

    def optional_text(self, key: str, *, max_characters: int = 4096) -> str | None:
        """Take a string or null; the field itself must be there."""
        if self._is_null(key):
            return None
        return self.text(key, max_characters=max_characters)

    def optional_boolean(self, key: str) -> bool | None:
        """Take true, false or null; the field itself must be there."""
        if self._is_null(key):
            return None
        return self.boolean(key)

    def optional_record(self, key: str) -> "Record | None":
        """Take an object or null; the field itself must be there."""
        if self._is_null(key):
            return None
        return self.record(key)

    def constant(self, key: str, expected: str) -> None:
        """Take a string that can have only one value."""
        value = self.text(key)
        if value != expected:
            raise Malformed(f"{self._where}.{key} is {value!r:.80}; expected {expected!r}")

    def done(self) -> None:
        """Refuse whatever field is left."""
        if self._fields:
            unknown = ", ".join(sorted(repr(key)[:40] for key in self._fields)[:5])
            raise Malformed(f"{self._where} has unknown fields: {unknown}")

    def _is_null(self, key: str) -> bool:
        """Whether the field is there and null; then it is taken."""
        return self._fields.get(key, "") is None and self._take(key) is None

    def _take(self, key: str) -> object:
        try:
            return self._fields.pop(key)
        except KeyError:
            raise Malformed(f"{self._where} has no field {key!r}") from None

    def _wrong(self, key: str, value: object, expected: str) -> Malformed:
        return Malformed(f"{self._where}.{key} is {_kind(value)}; expected {expected}")


def _check_depth(text: str, what: str) -> None:
    # json.loads recurses; the brackets outside strings tell the depth before it does.
    brackets = _NOT_A_BRACKET.sub("", _STRING.sub("", text))
    depth = 0
    for bracket in brackets:
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_DEPTH:
            raise LimitExceeded(f"{what} is nested deeper than {MAX_DEPTH} levels")


def _object_without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        repeated = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise Malformed(f"the key {repeated!r:.60} appears twice in one object")
    return result


def _integer(digits: str) -> int:
    if len(digits) > _MAX_INTEGER_DIGITS:
        raise Malformed(f"an integer of {len(digits)} digits")
    if digits == "-0":
        raise Malformed("the integer -0; expected 0")
    return int(digits)


def _whole_double(spelling: str) -> int:
    match = _WHOLE_DOUBLE.fullmatch(spelling)
    if match is None:
        _refuse_number(spelling)
    return _integer(match[1])


def _refuse_number(spelling: str) -> NoReturn:
    raise Malformed(f"the number {spelling:.40}; expected an integer")


def _is_unicode(value: object) -> bool:
    try:
        serialise(value)
    except UnicodeEncodeError:
        return False
    return True


_KINDS: Final = {
    dict: "an object",
    list: "a list",
    str: "a string",
    int: "an integer",
    bool: "a boolean",
    type(None): "null",
}


def _kind(value: object) -> str:
    return _KINDS.get(type(value), "something else")
