"""The ModelCheckpoints, found by the source that they are about, read when a pod asks for one.

Thousands of checkpoints are known and few of them are mounted, so each stays bytes until then. What
was read is remembered with the object, and so is forgotten with it.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from weightlock.errors import WeightlockError
from weightlock.names import API_VERSION
from weightlock.policy.checkpoints import KIND, Checkpoint
from weightlock_webhook.cache.objects import CheckpointItem, CheckpointSource, Key
from weightlock_webhook.mounts import sources
from weightlock_webhook.recent import Recent

MOST_READ: Final = 2048
"""Checkpoints that are kept in their read form, those that were asked for last."""

MOST_BYTES: Final = 32 << 20
"""What these may be as JSON, all together."""

SourceKey = tuple[str, str, str]
"""A namespace, the kind of source, and what identifies a source of that kind."""


class _Spec(msgspec.Struct, gc=False):
    source: CheckpointSource | None = None


_SPEC: Final = msgspec.json.Decoder(_Spec)


class Checkpoints:
    """An index beside the store of checkpoints, and the reader of what it finds."""

    def __init__(self) -> None:
        self._by_source: dict[SourceKey, dict[Key, CheckpointItem]] = {}
        self._read: Recent[tuple[str, str], tuple[Checkpoint | None]] = Recent(
            MOST_READ, MOST_BYTES
        )

    def changed(self, before: CheckpointItem | None, after: CheckpointItem | None) -> None:
        """A checkpoint is new, different or gone."""
        if before is not None and (key := key_of(before)) is not None:
            known = self._by_source[key]
            del known[before.metadata.key]
            if not known:
                del self._by_source[key]
        if after is not None and (key := key_of(after)) is not None:
            self._by_source.setdefault(key, {})[after.metadata.key] = after

    def about(self, namespace: str, source: sources.VolumeSource) -> tuple[CheckpointItem, ...]:
        """Those that may be about a volume. Law: every one that is about it is among them."""
        key = key_of_volume(namespace, source)
        return tuple(self._by_source.get(key, {}).values()) if key else ()

    def read(self, items: Iterable[CheckpointItem]) -> tuple[Checkpoint, ...]:
        """Those of the checkpoints that can be read; others vouch for nothing."""
        found = (self._read_one(item) for item in items)
        return tuple(checkpoint for checkpoint in found if checkpoint is not None)

    def _read_one(self, item: CheckpointItem) -> Checkpoint | None:
        key = (item.metadata.uid, item.metadata.resourceVersion)
        known = self._read.get(key)
        if known is None:
            known = (checkpoint_of(item),)
            self._read.put(key, known, len(item.spec) + len(item.status))
        return known[0]


def checkpoint_of(item: CheckpointItem) -> Checkpoint | None:
    """The checkpoint; None for one that cannot be read.

    A status that cannot be read is no status, so that the spec still says what is registered.
    """
    metadata = {
        "name": item.metadata.name,
        "namespace": item.metadata.namespace,
        "uid": item.metadata.uid,
        "generation": item.metadata.generation,
    }
    document = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata}
    try:
        document["spec"] = msgspec.json.decode(item.spec)
        try:
            status = msgspec.json.decode(item.status)
            return Checkpoint.from_object({**document, "status": status or {}})
        except WeightlockError:
            return Checkpoint.from_object(document)
    except (WeightlockError, msgspec.MsgspecError, RecursionError):
        return None


def key_of(item: CheckpointItem) -> SourceKey | None:
    """What a checkpoint is found by; None for one that is about nothing that can be mounted."""
    try:
        source = _SPEC.decode(item.spec).source
    except (msgspec.MsgspecError, RecursionError):
        return None
    found = _identified(source) if source is not None else None
    return (item.metadata.namespace, *found) if found else None


def _identified(source: CheckpointSource) -> tuple[str, str] | None:
    if source.persistentVolumeClaim is not None:
        return sources.CLAIM, source.persistentVolumeClaim.claimName
    if source.hostPath is not None:
        return sources.HOST_PATH, source.hostPath.path
    if source.nfs is not None:
        return sources.NFS, f"{source.nfs.server}:{source.nfs.path}"
    if source.csi is not None:
        return sources.CSI, source.csi.driver
    if source.image is not None:
        return sources.IMAGE, sources.image_digest(source.image.reference)
    return None


def key_of_volume(namespace: str, source: sources.VolumeSource) -> SourceKey | None:
    """What the checkpoints of a volume are found by; None for one that can have none."""
    match source:
        case sources.ClaimSource(claim=name):
            return namespace, sources.CLAIM, name
        case sources.HostPathSource(path=path):
            return namespace, sources.HOST_PATH, str(path)
        case sources.InlineSource(kind=sources.NFS, server=server, path=path):
            return namespace, sources.NFS, f"{server}:{path}"
        case sources.InlineSource(kind=sources.CSI, driver=driver):
            return namespace, sources.CSI, driver
        case sources.ImageSource(digest=digest) if digest:
            return namespace, sources.IMAGE, digest
        case _:
            return None
