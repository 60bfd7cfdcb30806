"""What is kept of each namespace, at most: whoever fills a memory fills their own part of it.

A namespace with more than that is crowded. What did not fit is not known, so whatever rests on it
is refused in that namespace, with words that say so; nothing changes for anybody else.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from weightlock_webhook.cache.objects import Key, Metadata


class Kept(Protocol):
    """Whatever is kept of an object says whose it is."""

    @property
    def metadata(self) -> Metadata:
        """The object's identity."""
        ...


KeptType = TypeVar("KeptType", bound=Kept)


@dataclass(frozen=True, slots=True)
class Room(Generic[KeptType]):
    """The room of one namespace."""

    objects: int
    size: int
    """In the unit of `weigh`."""

    weigh: Callable[[KeptType], int]


@dataclass(slots=True)
class _Used:
    objects: int = 0
    size: int = 0


class Contents(Generic[KeptType]):
    """Objects by namespace and name, none beyond its namespace's room."""

    def __init__(self, room: Room[KeptType] | None) -> None:
        self._room = room
        self._objects: dict[Key, KeptType] = {}
        self._used: dict[str, _Used] = {}
        self.crowded: set[str] = set()
        """Namespaces of which not everything is here. Once one is, only a list tells that it is
        not any more."""

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[KeptType]:
        return iter(self._objects.values())

    @property
    def objects(self) -> Mapping[Key, KeptType]:
        """All of them."""
        return self._objects

    def get(self, key: Key) -> KeptType | None:
        """The object of that name."""
        return self._objects.get(key)

    def put(self, found: KeptType) -> bool:
        """Keep an object, in place of another of its name; False if there is no room for it."""
        key = found.metadata.key
        self.pop(key)
        if self._room is not None and not self._takes(self._room, found):
            self.crowded.add(key[0])
            return False
        self._objects[key] = found
        return True

    def pop(self, key: Key) -> KeptType | None:
        """Forget an object; what it was."""
        known = self._objects.pop(key, None)
        if known is not None and self._room is not None:
            used = self._used[key[0]]
            used.objects -= 1
            used.size -= self._room.weigh(known)
            if not used.objects:
                del self._used[key[0]]
        return known

    def _takes(self, room: Room[KeptType], found: KeptType) -> bool:
        namespace, size = found.metadata.namespace, room.weigh(found)
        used = self._used.get(namespace) or _Used()
        if used.objects >= room.objects or used.size + size > room.size:
            return False
        used.objects += 1
        used.size += size
        self._used[namespace] = used
        return True
