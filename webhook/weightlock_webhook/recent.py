"""What was used last, up to a number and a weight: memory that nobody can fill from outside."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar
from weakref import ref

Name = TypeVar("Name", bound=Hashable)
Value = TypeVar("Value")
Origin = TypeVar("Origin")


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


class Following(Generic[Origin, Value]):
    """What follows from an object, for as long as somebody remembers that: by its identity."""

    def __init__(self, work_out: Callable[[Origin], Value]) -> None:
        self._work_out = work_out
        self._known: dict[int, tuple[ref[Origin], Value]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def __call__(self, origin: Origin) -> Value:
        """What is worked out of the object, once."""
        name = id(origin)
        known = self._known.get(name)
        if known is None:
            # It is forgotten with its origin, before anything else can have that identity.
            gone = ref(origin, lambda _: self._known.pop(name, None))
            known = self._known[name] = gone, self._work_out(origin)
        return known[1]
