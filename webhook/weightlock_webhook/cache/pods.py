"""Pods as far as they write: who could change storage is kept, everybody else is forgotten.

A cluster has a hundred thousand pods and few of them write to a checkpoint's storage, so what a pod
mounts for writing is worked out while it is decoded and nothing else of it stays.

Names and paths are made up by whoever writes the pod, and are kept for as long as it lives. Of one
with very long paths the roots are kept, which says more and never less.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec

from weightlock_webhook.cache.objects import Item, Metadata

LONGEST_NAME: Final = 253
LONGEST_PATHS: Final = 4096
"""Characters of all paths of a pod; the system takes no path that is longer."""


class _Claim(msgspec.Struct, gc=False):
    claimName: str = ""  # noqa: N815
    readOnly: bool | None = None  # noqa: N815


class _HostPath(msgspec.Struct, gc=False):
    path: str = ""


class _Nfs(msgspec.Struct, gc=False):
    server: str = ""
    path: str = ""
    readOnly: bool | None = None  # noqa: N815


class _Ephemeral(msgspec.Struct, gc=False):
    """That there is one says enough."""


class _Volume(msgspec.Struct, gc=False):
    name: str = ""
    persistentVolumeClaim: _Claim | None = None  # noqa: N815
    hostPath: _HostPath | None = None  # noqa: N815
    nfs: _Nfs | None = None
    ephemeral: _Ephemeral | None = None


class _Mount(msgspec.Struct, gc=False):
    name: str = ""
    readOnly: bool | None = None  # noqa: N815


class _Container(msgspec.Struct, gc=False):
    volumeMounts: list[_Mount] | None = None  # noqa: N815
    volumeDevices: list[_Mount] | None = None  # noqa: N815


class _Spec(msgspec.Struct, gc=False):
    volumes: list[_Volume] | None = None
    containers: list[_Container] | None = None
    initContainers: list[_Container] | None = None  # noqa: N815
    ephemeralContainers: list[_Container] | None = None  # noqa: N815


class PodItem(Item, gc=False):
    """A pod, as it is decoded."""

    metadata: Metadata
    spec: _Spec = msgspec.field(default_factory=_Spec)


@dataclass(frozen=True, slots=True)
class WrittenClaim:
    """A claim, by namespace and name."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class WrittenPath:
    """A path of any node, or of an NFS server, as the pod spells it."""

    server: str
    path: str


Written: TypeAlias = WrittenClaim | WrittenPath


@dataclass(frozen=True, slots=True)
class Writer:
    """A pod that could write, and to what."""

    metadata: Metadata
    writes: tuple[Written, ...]


def writer_of(pod: PodItem) -> Writer | None:
    """The pod as a writer; None for most.

    A volume that is read-only at its source is mounted read-only by the kubelet, whatever a
    container says; otherwise every mount without readOnly and every device counts.
    """
    mounted = frozenset(_written_names(pod.spec))
    writes = _kept(
        written
        for volume in pod.spec.volumes or ()
        if volume.name in mounted and (written := _written(volume, pod.metadata)) is not None
    )
    return Writer(pod.metadata, writes) if writes else None


def _kept(writes: Iterable[Written]) -> tuple[Written, ...]:
    # No claim has a longer name, and no server: such a volume cannot be mounted.
    found = [each for each in writes if len(_name_of(each)) <= LONGEST_NAME]
    paths = [each for each in found if isinstance(each, WrittenPath)]
    if sum(len(each.path) for each in paths) > LONGEST_PATHS:
        found = [
            WrittenPath(each.server, "/") if isinstance(each, WrittenPath) else each
            for each in found
        ]
    return tuple(dict.fromkeys(found))


def _name_of(written: Written) -> str:
    return written.name if isinstance(written, WrittenClaim) else written.server


def _written_names(spec: _Spec) -> Iterator[str]:
    for group in (spec.containers, spec.initContainers, spec.ephemeralContainers):
        for container in group or ():
            yield from (mount.name for mount in container.volumeMounts or () if not mount.readOnly)
            yield from (device.name for device in container.volumeDevices or ())


def _written(volume: _Volume, pod: Metadata) -> Written | None:
    claim, nfs = volume.persistentVolumeClaim, volume.nfs
    if claim is not None and not claim.readOnly:
        return WrittenClaim(pod.namespace, claim.claimName)
    if volume.ephemeral is not None:
        # The claim of a generic ephemeral volume is named after pod and volume.
        return WrittenClaim(pod.namespace, f"{pod.name}-{volume.name}")
    if volume.hostPath is not None:
        return WrittenPath("", volume.hostPath.path)
    if nfs is not None and not nfs.readOnly:
        return WrittenPath(nfs.server, nfs.path)
    return None
