"""What of a pod says which storage it reaches and how: read once, compared with each checkpoint.

A claim may have hundreds of checkpoints and thousands of pods, and each change of one has all of
them compared.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from weightlock.errors import Malformed
from weightlock.policy import scalars
from weightlock.policy.fields import Fields
from weightlock.policy.paths import VolumePath
from weightlock.policy.volume_kinds import CLAIM, INLINE_WITH_READ_ONLY
from weightlock.verdict.places import ROOT, Place
from weightlock_operator.decision.places import places_of_inline

READ_ONLY_SOURCES: Final = (CLAIM, *sorted(INLINE_WITH_READ_ONLY))
"""Volumes that can say of themselves that they are only read."""

_CONTAINERS: Final = ("initContainers", "containers", "ephemeralContainers")
_STATUSES: Final = (
    "initContainerStatuses",
    "containerStatuses",
    "ephemeralContainerStatuses",
)


@dataclass(frozen=True, slots=True)
class Mount:
    """Where a container has a volume; `below` is None if nobody can tell which part of it."""

    below: VolumePath | None
    read_only: bool


@dataclass(frozen=True, slots=True)
class Volume:
    """One volume of a pod."""

    mounts: tuple[Mount, ...]
    read_only: bool
    claim: str = ""
    host_path: VolumePath | None = None
    server: str = ""
    export: VolumePath | None = None
    places: tuple[Place, ...] = ()
    """Where it lies, if the pod describes it itself."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One pod."""

    name: str
    uid: str
    namespace: str
    node: str
    is_over: bool
    until: datetime | None
    """When it ended; None if it has not."""

    volumes: tuple[Volume, ...]


def reading_of(pod: object) -> Reading:
    """Read a pod.

    Raises:
        Malformed: for what the API server would not have sent.
    """
    root = Fields(pod, "pod", None, Malformed)
    metadata, spec = root.section("metadata", None), root.section("spec", None)
    name, node = metadata.text("name", str), spec.text_or("nodeName", str, "")
    phase = root.section("status", None).text_or("phase", str, "")
    is_over = phase in ("Succeeded", "Failed")
    return Reading(
        name=name,
        uid=metadata.text("uid", str),
        namespace=metadata.text_or("namespace", str, ""),
        node=node,
        is_over=is_over,
        until=_ended_at(root, metadata) if is_over else None,
        volumes=tuple(_volumes(spec, name, node)),
    )


def read(pod: object) -> Reading | None:
    """The same; None for a pod that cannot be read."""
    try:
        return reading_of(pod)
    except Malformed:
        return None


def _volumes(spec: Fields, pod: str, node: str) -> Iterator[Volume]:
    mounts = _mounts(spec)
    for volume, raw in zip(spec.sections("volumes", None), spec.mappings("volumes"), strict=True):
        export = volume.section("nfs", None)
        yield Volume(
            mounts=tuple(mounts.get(volume.text("name", str), ())),
            read_only=_is_read_only(volume),
            claim=_claim_of(volume, pod),
            host_path=_path_of(volume.section("hostPath", None)),
            server=export.text_or("server", str, ""),
            export=_path_of(export),
            places=places_of_inline(raw, node),
        )


def _mounts(spec: Fields) -> dict[str, list[Mount]]:
    """Of every container, by the name of the volume."""
    found: dict[str, list[Mount]] = {}
    for kind in _CONTAINERS:
        for container in spec.sections(kind, None):
            for key in ("volumeMounts", "volumeDevices"):
                for mount in container.sections(key, None):
                    read_only = mount.boolean_or("readOnly", default=False)
                    each = Mount(_below(mount), read_only)
                    found.setdefault(mount.text("name", str), []).append(each)
    return found


def _below(mount: Fields) -> VolumePath | None:
    if mount.text_or("subPathExpr", str, ""):
        return None
    try:
        return VolumePath.parse("/" + mount.text_or("subPath", str, "").strip("/"))
    except Malformed:
        return None


def _claim_of(volume: Fields, pod: str) -> str:
    """The claim of a volume; that of an ephemeral one has the names of pod and volume."""
    if volume.has("ephemeral"):
        return f"{pod}-{volume.text('name', str)}"
    return volume.section(CLAIM, None).text_or("claimName", str, "")


def _path_of(fields: Fields) -> VolumePath | None:
    """A path; the widest, if there is one without a normal form."""
    if not fields.has("path"):
        return None
    try:
        return fields.text("path", VolumePath.parse)
    except Malformed:
        return ROOT


def _is_read_only(volume: Fields) -> bool:
    kinds = (kind for kind in READ_ONLY_SOURCES if volume.has(kind))
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
        for key in _STATUSES
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
