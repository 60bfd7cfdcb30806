"""What was used last, up to a number and a weight: memory that nobody can fill from outside."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=Hashable)
Value = TypeVar("Value")


class Recent(Generic[Name, Value]):
    """Values by name. One that is heavier than all of them may be together is not kept."""

    def __init__(self, most: int, heaviest: int) -> None:
        """`heaviest` is what all of them may weigh together, in any unit."""
        self._most = most
        self._heaviest = heaviest
        self._known: OrderedDict[Name, tuple[Value, int]] = OrderedDict()
        self.weight = 0

    def __len__(self) -> int:
        return len(self._known)

    def get(self, name: Name) -> Value | None:
        """The value, which has now been used last."""
        found = self._known.get(name)
        if found is None:
            return None
        self._known.move_to_end(name)
        return found[0]

    def put(self, name: Name, value: Value, weight: int) -> None:
        """Keep a value in place of what has that name, and forget what was not used for longest."""
        _, before = self._known.pop(name, (None, 0))
        self.weight += weight - before
        self._known[name] = value, weight
        while len(self._known) > self._most or self.weight > self._heaviest:
            _, (_, forgotten) = self._known.popitem(last=False)
            self.weight -= forgotten
