"""Where facts about storage and checkpoints are looked up: in the cache, or in live reads over it.

The same gathering runs over both, so a live answer can differ from a cached one in nothing but what
the API server said.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from weightlock_webhook.cache.knowledge import Knowledge
from weightlock_webhook.cache.objects import CheckpointItem, ClaimItem, Key, VolumeItem
from weightlock_webhook.mounts.sources import VolumeSource


class Lookup(Protocol):
    """Objects by name."""

    def claim(self, key: Key) -> ClaimItem | None:
        """A claim; None if there is none."""
        ...

    def volume(self, name: str) -> VolumeItem | None:
        """A persistent volume; None if there is none."""
        ...

    def checkpoint(self, key: Key) -> CheckpointItem | None:
        """A checkpoint; None if there is none."""
        ...

    def checkpoints(self, namespace: str, source: VolumeSource) -> Iterable[CheckpointItem]:
        """The checkpoints of a namespace that may be about a volume."""
        ...


class Cached:
    """As the watches last said."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge

    def claim(self, key: Key) -> ClaimItem | None:
        """A claim; None if there is none."""
        return self._knowledge.claims.get(key)

    def volume(self, name: str) -> VolumeItem | None:
        """A persistent volume; None if there is none."""
        return self._knowledge.volumes.get(("", name))

    def checkpoint(self, key: Key) -> CheckpointItem | None:
        """A checkpoint; None if there is none."""
        return self._knowledge.checkpoints.get(key)

    def checkpoints(self, namespace: str, source: VolumeSource) -> Iterable[CheckpointItem]:
        """The checkpoints of a namespace that may be about a volume."""
        return self._knowledge.checkpoint_index.about(namespace, source)


@dataclass(frozen=True, slots=True)
class Live:
    """What live reads found, and the cache for whatever was not read. None: it does not exist."""

    cached: Lookup
    claims: Mapping[Key, ClaimItem | None] = field(default_factory=dict)
    volumes: Mapping[str, VolumeItem | None] = field(default_factory=dict)
    read_checkpoints: Mapping[Key, CheckpointItem | None] = field(default_factory=dict)

    def claim(self, key: Key) -> ClaimItem | None:
        """A claim; None if there is none."""
        return self.claims[key] if key in self.claims else self.cached.claim(key)

    def volume(self, name: str) -> VolumeItem | None:
        """A persistent volume; None if there is none."""
        return self.volumes[name] if name in self.volumes else self.cached.volume(name)

    def checkpoint(self, key: Key) -> CheckpointItem | None:
        """A checkpoint; None if there is none."""
        known = self.read_checkpoints
        return known[key] if key in known else self.cached.checkpoint(key)

    def checkpoints(self, namespace: str, source: VolumeSource) -> Iterable[CheckpointItem]:
        """Those that the cache finds, each as it was read if it was.

        One that was read and is not in the cache may be about anything; the decision compares
        sources itself.
        """
        known = {item.metadata.key: item for item in self.cached.checkpoints(namespace, source)}
        for key, item in self.read_checkpoints.items():
            if key[0] != namespace:
                continue
            if item is None:
                known.pop(key, None)
            else:
                known[key] = item
        return known.values()
