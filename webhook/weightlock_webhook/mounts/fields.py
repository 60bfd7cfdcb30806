"""Reading API JSON strictly: a value of another type than the API's is refused, never coerced.

`bool("false")` is true and `str(None)` is a name; a reader that coerces lets a pod say one thing
to us and another to the kubelet (A24). Null counts as absent, as it does for the API server.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from weightlock.errors import Malformed
from weightlock_webhook.wording import quoted


@dataclass(frozen=True, slots=True)
class Fields:
    """One JSON object and where it stands in the pod, for messages."""

    where: str
    members: Mapping[str, object]

    @classmethod
    def of(cls, value: object, where: str) -> "Fields":
        """The members of `value`.

        Raises:
            Malformed: if it is not an object with strings for keys.
        """
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise _unexpected(where, "an object", value)
        present = {key: member for key, member in value.items() if member is not None}
        return cls(where, present)

    def text(self, key: str) -> str:
        """A string, "" if absent."""
        value = self.members.get(key, "")
        if not isinstance(value, str):
            raise _unexpected(self._place(key), "a string", value)
        return value

    def name(self, key: str) -> str:
        """A string that must be there."""
        value = self.text(key)
        if not value:
            raise Malformed(f"{self._place(key)} is missing")
        return value

    def flag(self, key: str) -> bool:
        """A boolean, False if absent. `"true"` and 1 are not booleans."""
        value = self.members.get(key, False)
        if not isinstance(value, bool):
            raise _unexpected(self._place(key), "true or false", value)
        return value

    def child(self, key: str) -> "Fields":
        """An object, empty if absent."""
        return Fields.of(self.members.get(key, {}), self._place(key))

    def children(self, key: str) -> "tuple[Fields, ...]":
        """A list of objects, empty if absent."""
        return tuple(
            Fields.of(value, f"{self._place(key)}[{index}]")
            for index, value in enumerate(self._items(key))
        )

    def count(self, key: str) -> int:
        """How long a list is, 0 if absent; nothing of it is read."""
        return len(self._items(key))

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings, empty if absent."""
        values = self._items(key)
        for value in values:
            if not isinstance(value, str):
                raise _unexpected(self._place(key), "a list of strings", value)
        return tuple(str(value) for value in values)

    def unknown(self, known: frozenset[str]) -> tuple[str, ...]:
        """The keys that are not among the known ones, sorted."""
        return tuple(sorted(self.members.keys() - known))

    def _items(self, key: str) -> list[object]:
        value = self.members.get(key, [])
        if not isinstance(value, list):
            raise _unexpected(self._place(key), "a list", value)
        return value

    def _place(self, key: str) -> str:
        return f"{self.where}.{key}" if self.where else key


def _unexpected(where: str, expected: str, found: object) -> Malformed:
    return Malformed(f"{quoted(where)} must be {expected}, found {type(found).__name__}")
