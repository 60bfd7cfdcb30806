"""The objects of one resource, as of the last thing that its watch said.

A relist replaces everything at once and tells listeners only what differs, so that nothing flickers
and nothing that was deleted meanwhile stays (the way indices of other frameworks go wrong).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, Protocol, TypeAlias, TypeVar

from weightlock_webhook.cache.objects import Key, Metadata


class Kept(Protocol):
    """Whatever is kept of an object says whose it is."""

    @property
    def metadata(self) -> Metadata:
        """The object's identity."""
        ...


KeptType = TypeVar("KeptType", bound=Kept)

Listener: TypeAlias = Callable[[KeptType | None, KeptType | None], None]
"""What was, and what is; None for nothing."""


class Store(Generic[KeptType]):
    """Objects by namespace and name, and when they were last proven current."""

    def __init__(self, name: str, *listeners: Listener[KeptType]) -> None:
        self.name = name
        self._objects: dict[Key, KeptType] = {}
        self._listeners = listeners
        self._proven_at: float | None = None

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[KeptType]:
        return iter(self._objects.values())

    def get(self, key: Key) -> KeptType | None:
        """The object of that name."""
        return self._objects.get(key)

    @property
    def is_synced(self) -> bool:
        """Whether everything was listed once."""
        return self._proven_at is not None

    def staleness_seconds(self, now: float) -> float:
        """How long ago this was last proven to be all there is; infinite before the first list."""
        return float("inf") if self._proven_at is None else max(0.0, now - self._proven_at)

    def proven(self, at: float) -> None:
        """Something arrived that could only arrive on a watch that is alive."""
        if self._proven_at is not None:
            self._proven_at = max(self._proven_at, at)

    def replace(self, objects: Mapping[Key, KeptType], at: float) -> None:
        """What a list found that was asked for at an instant is now all there is."""
        before, self._objects = self._objects, dict(objects)
        for key in before.keys() - self._objects.keys():
            self._tell(before[key], None)
        for key, found in self._objects.items():
            known = before.get(key)
            if known is not found and not (known and is_same(known, found)):
                self._tell(known, found)
        self._proven_at = at

    def put(self, found: KeptType) -> None:
        """An object that is new or has changed."""
        key = found.metadata.key
        before = self._objects.get(key)
        self._objects[key] = found
        self._tell(before, found)

    def drop(self, key: Key) -> None:
        """An object that is gone, or is none of those that are kept any more."""
        before = self._objects.pop(key, None)
        if before is not None:
            self._tell(before, None)

    def _tell(self, before: KeptType | None, after: KeptType | None) -> None:
        for listener in self._listeners:
            listener(before, after)


def is_same(known: Kept, found: Kept) -> bool:
    """Whether nothing has changed between the two."""
    return (known.metadata.uid, known.metadata.resourceVersion) == (
        found.metadata.uid,
        found.metadata.resourceVersion,
    )
