"""Reads plain mappings (YAML, JSON, API objects) into values, naming the exact field that is wrong.

Nothing is coerced: "false" is not a boolean, True is not a number, null is not "absent" (A24). A
field that nobody knows is refused, because the person who wrote it believes that it does something.
"""

import difflib
from collections.abc import Callable, Collection, Iterator, Mapping
from enum import StrEnum
from typing import Final, TypeVar

from weightlock.errors import Malformed, PolicyInvalid, WeightlockError
from weightlock.policy.scalars import shown

MAX_ITEMS: Final = 1024
"""No list in a policy has a reason to be longer; most end earlier, where the schema ends them."""

MAX_TEXT: Final = 64 * 1024

_Value = TypeVar("_Value")
_Choice = TypeVar("_Choice", bound=StrEnum)


class Fields:
    """One mapping, the path that leads to it, and the fields that it may have."""

    __slots__ = ("_error", "_mapping", "path")

    def __init__(
        self,
        value: object,
        path: str,
        known: Collection[str] | None,
        error: type[WeightlockError] = PolicyInvalid,
    ) -> None:
        """`known` None takes any field: for what others write, such as metadata."""
        self.path = path
        self._error = error
        if not isinstance(value, Mapping):
            raise self.wrong("", f"found {shown(value)}, expected a mapping")
        self._mapping = value
        if known is not None:
            self._refuse_unknown(known)

    def _refuse_unknown(self, known: Collection[str]) -> None:
        for key in self._mapping:
            if key not in known:
                similar = difflib.get_close_matches(str(key), known, n=1)
                advice = f"did you mean {similar[0]}?" if similar else f"one of: {', '.join(known)}"
                raise self.wrong("", f"unknown field {shown(key)}; {advice}")

    def at(self, key: str) -> str:
        """The path of a field."""
        return f"{self.path}.{key}" if key else self.path

    def wrong(self, key: str, what: str, hint: str = "") -> WeightlockError:
        """The error that says what is wrong with a field."""
        return self._error(f"{self.at(key)}: {what}", hint=hint)

    def has(self, key: str) -> bool:
        """Whether the field is there at all."""
        return key in self._mapping

    def present(self, known: Collection[str]) -> list[str]:
        """Those of the names that are there."""
        return [key for key in known if key in self._mapping]

    def raw(self, key: str) -> object:
        """The value as it was found.

        Raises:
            PolicyInvalid: (or the error given) if it is missing.
        """
        if key not in self._mapping:
            raise self.wrong(key, "missing")
        return self._mapping[key]

    def mapping(self, key: str) -> Mapping[str, object]:
        """A mapping as it was found: for what is hashed or passed on whole."""
        value = self.raw(key)
        if not isinstance(value, Mapping):
            raise self.wrong(key, f"found {shown(value)}, expected a mapping")
        return value

    def text(self, key: str, parse: Callable[[str], _Value]) -> _Value:
        """A text, read by a parser that raises Malformed."""
        return self._parsed(key, self.raw(key), parse)

    def _parsed(self, key: str, value: object, parse: Callable[[str], _Value]) -> _Value:
        if not isinstance(value, str):
            raise self.wrong(key, f"found {shown(value)}, expected a text in quotes")
        if len(value) > MAX_TEXT:
            raise self.wrong(key, f"found {len(value)} characters, expected at most {MAX_TEXT}")
        try:
            return parse(value)
        except Malformed as malformed:
            raise self.wrong(key, malformed.message, malformed.hint) from malformed

    def text_or(self, key: str, parse: Callable[[str], _Value], default: _Value) -> _Value:
        """A text if it is there."""
        return self.text(key, parse) if self.has(key) else default

    def optional_text(self, key: str, parse: Callable[[str], _Value]) -> _Value | None:
        """A text if it is there, else None."""
        return self.text(key, parse) if self.has(key) else None

    def integer(self, key: str, minimum: int, maximum: int) -> int:
        """A whole number within limits; a boolean is none."""
        value = self.raw(key)
        if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
            expected = f"expected a whole number from {minimum} to {maximum}"
            raise self.wrong(key, f"found {shown(value)}, {expected}")
        return value

    def integer_or(self, key: str, minimum: int, maximum: int, default: int) -> int:
        """A whole number if it is there."""
        return self.integer(key, minimum, maximum) if self.has(key) else default

    def optional_integer(self, key: str, minimum: int, maximum: int) -> int | None:
        """A whole number if it is there, else None."""
        return self.integer(key, minimum, maximum) if self.has(key) else None

    def boolean_or(self, key: str, *, default: bool) -> bool:
        """True or false if it is there."""
        value = self._mapping.get(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, f"found {shown(value)}, expected true or false")
        return value

    def choice(self, key: str, choices: type[_Choice]) -> _Choice:
        """One of the words, in exactly their spelling."""
        value = self.raw(key)
        for choice in choices:
            if isinstance(value, str) and choice.value == value:
                return choice
        expected = f"expected one of: {', '.join(choices)}"
        raise self.wrong(key, f"found {shown(value)}, {expected}")

    def choice_or(self, key: str, choices: type[_Choice], default: _Choice) -> _Choice:
        """One of the words if the field is there."""
        return self.choice(key, choices) if self.has(key) else default

    def section(self, key: str, known: Collection[str] | None) -> "Fields":
        """The mapping of a field; an empty one if it is missing."""
        return Fields(self._mapping.get(key, {}), self.at(key), known, self._error)

    def items(self, key: str, most: int = MAX_ITEMS) -> list[tuple[str, object]]:
        """The items of a list, each with its path below this mapping; empty if it is missing."""
        value = self._mapping.get(key, [])
        if not isinstance(value, list | tuple):
            raise self.wrong(key, f"found {shown(value)}, expected a list")
        if len(value) > most:
            raise self.wrong(key, f"found {len(value)} items, expected at most {most}")
        return [(f"{key}[{index}]", item) for index, item in enumerate(value)]

    def mappings(self, key: str) -> list[Mapping[str, object]]:
        """The mappings of a list as they were found; empty if it is missing."""
        holder = Fields(dict(self.items(key)), self.path, None, self._error)
        return [holder.mapping(path) for path, _ in self.items(key)]

    def sections(
        self, key: str, known: Collection[str] | None, most: int = MAX_ITEMS
    ) -> Iterator["Fields"]:
        """The mappings of a list."""
        items = self.items(key, most)
        return (Fields(item, self.at(path), known, self._error) for path, item in items)

    def texts(
        self, key: str, parse: Callable[[str], _Value], most: int = MAX_ITEMS
    ) -> tuple[_Value, ...]:
        """The texts of a list, each read by the parser, none of them twice; empty if missing."""
        found: list[_Value] = []
        for path, item in self.items(key, most):
            value = self._parsed(path, item, parse)
            if value in found:
                raise self.wrong(path, f"found {shown(item)} a second time")
            found.append(value)
        return tuple(found)

    def some_texts(
        self, key: str, parse: Callable[[str], _Value], most: int = MAX_ITEMS, *, such_as: str
    ) -> tuple[_Value, ...]:
        """The same, where an empty list says nothing that could be decided upon (A31)."""
        found = self.texts(key, parse, most)
        if not found:
            raise self.wrong(key, f"found [], expected at least one; for example [{such_as}]")
        return found

    def mapping_of_texts(
        self, key: str, parse: Callable[[str], _Value], most: int = MAX_ITEMS
    ) -> dict[str, _Value]:
        """A mapping from texts to texts, such as labels; empty if missing."""
        section = self.section(key, None)
        if len(section._mapping) > most:
            raise self.wrong(key, f"found {len(section._mapping)} items, expected at most {most}")
        found: dict[str, _Value] = {}
        for name, value in section._mapping.items():
            if not isinstance(name, str):
                raise section.wrong("", f"found the key {shown(name)}, expected a text in quotes")
            found[name] = section._parsed(name, value, parse)
        return found
