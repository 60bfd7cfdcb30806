"""The objects of one resource, as of the last thing that its watch said.

A relist replaces everything at once and tells listeners only what differs, so that nothing flickers
and nothing that was deleted meanwhile stays (the way indices of other frameworks go wrong).
"""

from collections.abc import Callable, Iterator
from typing import Generic, TypeAlias

from weightlock_webhook.cache.objects import Key
from weightlock_webhook.cache.rooms import Contents, Kept, KeptType, Room

Listener: TypeAlias = Callable[[KeptType | None, KeptType | None], None]
"""What was, and what is; None for nothing."""


class Store(Generic[KeptType]):
    """Objects by namespace and name, and when they were last proven current."""

    def __init__(
        self, name: str, *listeners: Listener[KeptType], room: Room[KeptType] | None = None
    ) -> None:
        self.name = name
        self._room = room
        self._contents: Contents[KeptType] = self.empty()
        self._listeners = listeners
        self._proven_at: float | None = None

    def __len__(self) -> int:
        return len(self._contents)

    def __iter__(self) -> Iterator[KeptType]:
        return iter(self._contents)

    def get(self, key: Key) -> KeptType | None:
        """The object of that name."""
        return self._contents.get(key)

    def empty(self) -> Contents[KeptType]:
        """Room for a list of everything, to be filled and then put in place."""
        return Contents(self._room)

    def is_crowded(self, namespace: str) -> bool:
        """Whether a namespace has more than its room, so that not all of it is known."""
        return namespace in self._contents.crowded

    @property
    def has_crowded(self) -> bool:
        """Whether any namespace has: only a list tells when that is over."""
        return bool(self._contents.crowded)

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

    def replace(self, contents: Contents[KeptType], at: float) -> None:
        """What a list found that was asked for at an instant is now all there is."""
        before, self._contents = self._contents.objects, contents
        for key in before.keys() - contents.objects.keys():
            self._tell(before[key], None)
        for key, found in contents.objects.items():
            known = before.get(key)
            if known is not found and not (known and is_same(known, found)):
                self._tell(known, found)
        self._proven_at = at

    def put(self, found: KeptType) -> None:
        """An object that is new or has changed."""
        before = self._contents.get(found.metadata.key)
        after = found if self._contents.put(found) else None
        if before is not None or after is not None:
            self._tell(before, after)

    def drop(self, key: Key) -> None:
        """An object that is gone, or is none of those that are kept any more."""
        before = self._contents.pop(key)
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
