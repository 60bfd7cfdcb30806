"""Which pods reach into a checkpoint, and which of them can change it (A02).

Every way counts: a pod that has a volume without mounting it may mount it by an ephemeral container
later. Only `readOnly` at the volume or at every mount of it takes the means to write.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from weightlock.policy.paths import VolumePath
from weightlock.policy.sources import ClaimSource, HostPathSource, NfsSource, Source
from weightlock.verdict.places import DEEPEST, ROOT, Place
from weightlock_operator.decision.places import is_whole
from weightlock_operator.decision.readings import Mount, Reading, Volume


@dataclass(frozen=True, slots=True)
class PodUse:
    """One pod that has the storage among its volumes."""

    name: str
    uid: str
    node: str = ""
    is_running: bool = False
    may_write: bool = False
    until: datetime | None = None
    """When it ended; None if it has not."""

    namespace: str = ""


@dataclass(frozen=True, slots=True)
class Storages:
    """What leads to the same bytes by another way than the name of the source."""

    places: tuple[Place, ...] = ()
    """Where the source lies."""

    claims: Mapping[tuple[str, str], tuple[Place, ...]] = field(default_factory=dict)
    """Other claims, by namespace and name, and where their volumes lie."""

    exempt: frozenset[str] = frozenset()
    """Namespaces whose pods belong to whoever runs the cluster. Drivers and agents of nodes have
    all storage mounted; what they do to it is not for a tenant to be told as a writer."""


NO_STORAGES: Final = Storages()


def uses_of(
    pods: Iterable[Reading | None],
    source: Source,
    path: VolumePath,
    storages: Storages = NO_STORAGES,
) -> tuple[PodUse, ...]:
    """How each of the pods that use a checkpoint does so; one that cannot be read may write."""
    found = (
        use_of(pod, source, path, storages) if pod is not None else _UNREADABLE for pod in pods
    )
    return tuple(use for use in found if use is not None)


def use_of(
    pod: Reading, source: Source, path: VolumePath, storages: Storages = NO_STORAGES
) -> PodUse | None:
    """How a pod uses a checkpoint at this path of this source; None if it does not.

    A pod that never ran by itself, being held, uses nothing yet.
    """
    ways = _Ways(pod, source, path, storages)
    reaches = [reach for volume in pod.volumes for reach in ways.reaches(volume)]
    if not reaches or not pod.node:
        return None
    return PodUse(
        name=pod.name,
        uid=pod.uid,
        node=pod.node,
        is_running=not pod.is_over,
        may_write=any(reaches),
        until=pod.until,
        namespace=pod.namespace,
    )


_UNREADABLE: Final = PodUse("a pod that cannot be read", "", may_write=True)


@dataclass(frozen=True, slots=True)
class _Ways:
    """How the volumes of a pod may lead to a checkpoint."""

    pod: Reading
    source: Source
    path: VolumePath
    storages: Storages

    def reaches(self, volume: Volume) -> Iterator[bool]:
        """For each way to the checkpoint, whether it can be written."""
        for start, wanted in self._of(volume):
            if not volume.mounts and start.overlaps(wanted):
                yield not volume.read_only
            for mount in volume.mounts:
                if _reached(mount, start).overlaps(wanted):
                    yield not (volume.read_only or mount.read_only)

    def _of(self, volume: Volume) -> Iterator[tuple[VolumePath, VolumePath]]:
        """Where a volume starts and where the checkpoint is, for each storage that has both."""
        start = self._start(volume)
        if start is not None:
            yield start, _joined(_base(self.source), self.path)
        elif self.pod.namespace not in self.storages.exempt:
            yield from self._elsewhere(volume)

    def _start(self, volume: Volume) -> VolumePath | None:
        """Where it starts on the storage that the source names; None if it names other."""
        source, node = self.source, self.pod.node
        if isinstance(source, ClaimSource):
            return ROOT if volume.claim == source.claim_name else None
        if isinstance(source, HostPathSource) and node == (source.node_name or node):
            return volume.host_path
        if isinstance(source, NfsSource) and volume.server == source.server:
            return volume.export
        return None

    def _elsewhere(self, volume: Volume) -> Iterator[tuple[VolumePath, VolumePath]]:
        claimed = self.storages.claims.get((self.pod.namespace, volume.claim))
        for place in claimed or volume.places:
            for ours in self.storages.places:
                if is_whole(place):
                    yield from [(ROOT, ROOT)] if place.overlaps(ours) else []
                elif replace(place, path=ROOT).overlaps(replace(ours, path=ROOT)):
                    yield place.path, _joined(ours.path, self.path)


def _base(source: Source) -> VolumePath:
    """The part of a checkpoint's place that its source names."""
    return source.path if isinstance(source, HostPathSource | NfsSource) else ROOT


def _reached(mount: Mount, start: VolumePath) -> VolumePath:
    """The path that a mount leads to; the widest if that cannot be told."""
    if mount.below is None or len(start.components) >= DEEPEST:
        return start
    return _joined(start, mount.below)


def _joined(base: VolumePath, below: VolumePath) -> VolumePath:
    return VolumePath(base.components + below.components)
