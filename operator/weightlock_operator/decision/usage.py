"""Which pods reach into a checkpoint, and which of them can change it (A02).

Every way counts: a pod that has a volume without mounting it may mount it by an ephemeral container
later. Only `readOnly` at the volume or at every mount of it takes the means to write.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from weightlock.errors import Malformed
from weightlock.policy import scalars
from weightlock.policy.fields import Fields
from weightlock.policy.paths import VolumePath
from weightlock.policy.sources import ClaimSource, HostPathSource, NfsSource, Source

_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")
_ROOT = VolumePath()


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


def use_of(pod: object, source: Source, path: VolumePath) -> PodUse | None:
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
    reaches = list(_reaches(spec, source, path, node=node, pod=name))
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
        namespace=metadata.text_or("namespace", str, ""),
    )


def _reaches(
    spec: Fields, source: Source, path: VolumePath, *, node: str, pod: str
) -> Iterator[bool]:
    """For each way to the checkpoint, whether it can be written."""
    wanted = _joined(_base(source), path)
    for volume in spec.sections("volumes", None):
        start = _start(volume, source, node, pod)
        if start is None:
            continue
        read_only = _is_read_only(volume)
        mounts = list(_mounts(spec, volume.text("name", str)))
        if not mounts and start.overlaps(wanted):
            yield not read_only
        for mount in mounts:
            if _reached(mount, start).overlaps(wanted):
                yield not (read_only or mount.boolean_or("readOnly", default=False))


def _base(source: Source) -> VolumePath:
    """The part of a checkpoint's place that its source names."""
    return source.path if isinstance(source, HostPathSource | NfsSource) else _ROOT


def _start(volume: Fields, source: Source, node: str, pod: str) -> VolumePath | None:
    """Where the volume starts on the storage that the source is on; None if it is other storage.

    CSI inline volumes and images are made for each pod, so no other pod writes to them.
    """
    if isinstance(source, ClaimSource):
        return _ROOT if _claim_of(volume, pod) == source.claim_name else None
    if isinstance(source, HostPathSource) and node == (source.node_name or node):
        return _path_of(volume.section("hostPath", None))
    if isinstance(source, NfsSource):
        export = volume.section("nfs", None)
        if server_name(export.text_or("server", str, "")) == server_name(source.server):
            return _path_of(export)
    return None


def storage_of(volume: Mapping[str, object], node: str) -> str:
    """What holds the storage of a volume that names it itself, on a node; "" for any other."""
    match volume:
        case {"nfs": {"server": str(server)}}:
            return f"nfs {server_name(server)}"
        case {"hostPath": Mapping()} if node:
            return f"node {node}"
    return ""


def server_name(server: str) -> str:
    """One name for each way to write that of a server."""
    return server.lower().rstrip(".")


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
        return _ROOT


def _reached(mount: Fields, start: VolumePath) -> VolumePath:
    """The path that a mount leads to; the widest if that cannot be told."""
    if mount.text_or("subPathExpr", str, ""):
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
    kinds = ("persistentVolumeClaim", "nfs")
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
    ended = [each.text("finishedAt", scalars.instant) for each in states if _says(each)]
    if states and len(ended) == len(states):
        return max(ended)
    heard = [
        each.text(key, scalars.instant)
        for key, holders in (
            ("lastTransitionTime", status.sections("conditions", None)),
            ("time", metadata.sections("managedFields", None)),
        )
        for each in holders
        if each.has(key) and each.raw(key) is not None
    ]
    return max([*ended, *heard, metadata.text("creationTimestamp", scalars.instant)])


def _says(terminated: Fields) -> bool:
    return terminated.has("finishedAt") and terminated.raw("finishedAt") is not None


def uses_of(
    pods: Iterable[Mapping[str, object]], source: Source, path: VolumePath
) -> tuple[PodUse, ...]:
    """How each of the pods that use a checkpoint does so; one that cannot be read may write."""
    return tuple(use for pod in pods if (use := _use_or_writer(pod, source, path)) is not None)


def _use_or_writer(pod: object, source: Source, path: VolumePath) -> PodUse | None:
    try:
        return use_of(pod, source, path)
    except Malformed:
        return PodUse("a pod that cannot be read", "", may_write=True)
