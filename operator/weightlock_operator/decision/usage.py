"""Which pods reach into a checkpoint, and which of them can change it (A02).

Every way counts: a pod that has a volume without mounting it may mount it by an ephemeral container
later. Only `readOnly` at the volume or at every mount of it takes the means to write.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from weightlock.errors import Malformed
from weightlock.policy import scalars
from weightlock.policy.fields import Fields
from weightlock.policy.paths import VolumePath
from weightlock.policy.sources import ClaimSource, HostPathSource, NfsSource, Source
from weightlock.policy.volume_kinds import CLAIM, INLINE_WITH_READ_ONLY
from weightlock.verdict.places import DEEPEST, ROOT, Place
from weightlock_operator.decision.places import is_whole, places_of_inline

_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")
READ_ONLY_SOURCES: Final = (CLAIM, *sorted(INLINE_WITH_READ_ONLY))
"""Volumes that can say of themselves that they are only read."""


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


def use_of(
    pod: object, source: Source, path: VolumePath, storages: Storages = NO_STORAGES
) -> PodUse | None:
    """How a pod uses a checkpoint at this path of this source; None if it does not.

    A pod that never ran by itself, being held, uses nothing yet.

    Raises:
        Malformed: for what the API server would not have sent.
    """
    root = Fields(pod, "pod", None, Malformed)
    metadata, spec = root.section("metadata", None), root.section("spec", None)
    status = root.section("status", None)
    node = spec.text_or("nodeName", str, "")
    name = metadata.text("name", str)
    namespace = metadata.text_or("namespace", str, "")
    ways = _Ways(
        source=source, path=path, storages=storages, node=node, namespace=namespace, pod=name
    )
    reaches = list(_reaches(spec, ways))
    if not reaches or not node:
        return None
    is_over = status.text_or("phase", str, "") in ("Succeeded", "Failed")
    return PodUse(
        name=name,
        uid=metadata.text("uid", str),
        node=node,
        is_running=not is_over,
        may_write=any(reaches),
        until=_ended_at(root, metadata) if is_over else None,
        namespace=namespace,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ways:
    """How the volumes of a pod may lead to a checkpoint."""

    source: Source
    path: VolumePath
    storages: Storages
    node: str
    namespace: str
    pod: str

    def of(
        self, volume: Fields, raw: Mapping[str, object]
    ) -> Iterator[tuple[VolumePath, VolumePath]]:
        """Where a volume starts and where the checkpoint is, for each storage that has both."""
        start = _start(volume, self.source, self.node, self.pod)
        if start is not None:
            yield start, _joined(_base(self.source), self.path)
        elif self.namespace not in self.storages.exempt:
            yield from self._elsewhere(volume, raw)

    def _elsewhere(
        self, volume: Fields, raw: Mapping[str, object]
    ) -> Iterator[tuple[VolumePath, VolumePath]]:
        claim = (self.namespace, _claim_of(volume, self.pod))
        theirs = self.storages.claims.get(claim) or places_of_inline(raw, self.node)
        for place in theirs:
            for ours in self.storages.places:
                if is_whole(place):
                    yield from [(ROOT, ROOT)] if place.overlaps(ours) else []
                elif replace(place, path=ROOT).overlaps(replace(ours, path=ROOT)):
                    yield place.path, _joined(ours.path, self.path)


def _reaches(spec: Fields, ways: _Ways) -> Iterator[bool]:
    """For each way to the checkpoint, whether it can be written."""
    for volume, raw in zip(spec.sections("volumes", None), spec.mappings("volumes"), strict=True):
        for start, wanted in ways.of(volume, raw):
            read_only = _is_read_only(volume)
            mounts = list(_mounts(spec, volume.text("name", str)))
            if not mounts and start.overlaps(wanted):
                yield not read_only
            for mount in mounts:
                if _reached(mount, start).overlaps(wanted):
                    yield not (read_only or mount.boolean_or("readOnly", default=False))


def _base(source: Source) -> VolumePath:
    """The part of a checkpoint's place that its source names."""
    return source.path if isinstance(source, HostPathSource | NfsSource) else ROOT


def _start(volume: Fields, source: Source, node: str, pod: str) -> VolumePath | None:
    """Where the volume starts on the storage that the source names; None if it names other."""
    if isinstance(source, ClaimSource):
        return ROOT if _claim_of(volume, pod) == source.claim_name else None
    if isinstance(source, HostPathSource) and node == (source.node_name or node):
        return _path_of(volume.section("hostPath", None))
    if isinstance(source, NfsSource):
        export = volume.section("nfs", None)
        if export.text_or("server", str, "") == source.server:
            return _path_of(export)
    return None


def _claim_of(volume: Fields, pod: str) -> str:
    """The claim of a volume; that of an ephemeral one has the names of pod and volume."""
    if volume.has("ephemeral"):
        return f"{pod}-{volume.text('name', str)}"
    return volume.section("persistentVolumeClaim", None).text_or("claimName", str, "")


def _path_of(fields: Fields) -> VolumePath | None:
    """A path; the widest, if there is one without a normal form."""
    if not fields.has("path"):
        return None
    try:
        return fields.text("path", VolumePath.parse)
    except Malformed:
        return ROOT


def _reached(mount: Fields, start: VolumePath) -> VolumePath:
    """The path that a mount leads to; the widest if that cannot be told."""
    if mount.text_or("subPathExpr", str, "") or len(start.components) >= DEEPEST:
        return start
    try:
        below = VolumePath.parse("/" + mount.text_or("subPath", str, "").strip("/"))
    except Malformed:
        return start
    return _joined(start, below)


def _joined(base: VolumePath, below: VolumePath) -> VolumePath:
    return VolumePath(base.components + below.components)


def _mounts(spec: Fields, volume: str) -> Iterator[Fields]:
    for kind in _CONTAINERS:
        for container in spec.sections(kind, None):
            for key in ("volumeMounts", "volumeDevices"):
                for mount in container.sections(key, None):
                    if mount.text("name", str) == volume:
                        yield mount


def _is_read_only(volume: Fields) -> bool:
    kinds = READ_ONLY_SOURCES
    return any(volume.section(kind, None).boolean_or("readOnly", default=False) for kind in kinds)


def _ended_at(root: Fields, metadata: Fields) -> datetime:
    """When the last of its containers ended.

    Kubelets do not always know (`finishedAt: null`), and old ones drop the containers of a pod that
    they evict, which still has its grace period then. If so, it is the last time that anything was
    heard of the pod.
    """
    status = root.section("status", None)
    states = [
        container.section("state", None).section("terminated", None)
        for key in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
        for container in status.sections(key, None)
    ]
    ended = [each.text("finishedAt", scalars.moment) for each in states if _says(each)]
    if states and len(ended) == len(states):
        return max(ended)
    heard = [
        each.text(key, scalars.moment)
        for key, holders in (
            ("lastTransitionTime", status.sections("conditions", None)),
            ("time", metadata.sections("managedFields", None)),
        )
        for each in holders
        if each.has(key) and each.raw(key) is not None
    ]
    return max([*ended, *heard, metadata.text("creationTimestamp", scalars.moment)])


def _says(terminated: Fields) -> bool:
    return terminated.has("finishedAt") and terminated.raw("finishedAt") is not None


def uses_of(
    pods: Iterable[Mapping[str, object]],
    source: Source,
    path: VolumePath,
    storages: Storages = NO_STORAGES,
) -> tuple[PodUse, ...]:
    """How each of the pods that use a checkpoint does so; one that cannot be read may write."""
    found = (_use_or_writer(pod, source, path, storages) for pod in pods)
    return tuple(use for use in found if use is not None)


def _use_or_writer(
    pod: object, source: Source, path: VolumePath, storages: Storages
) -> PodUse | None:
    try:
        return use_of(pod, source, path, storages)
    except Malformed:
        return PodUse("a pod that cannot be read", "", may_write=True)
