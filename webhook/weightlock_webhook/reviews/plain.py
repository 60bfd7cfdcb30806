"""Pods that hold nothing but scratch space and configuration, recognised in microseconds.

Most pods of a cluster are like that, and no policy has anything to say about them unless a rule
names emptyDir or configMap. The decoder itself recognises them: every field and source is one that
the decision knows, and no volume is of another kind. Whatever it stumbles over is read and judged
in full, so the only thing that can go wrong here is to be slow.

Law: where is_plain says yes and nobody's rules name these sources, decide finds nothing.
"""

from types import GenericAlias
from typing import Any, Final

import msgspec

from weightlock.cluster_names import PREFIX
from weightlock_webhook.mounts import sources
from weightlock_webhook.mounts.containers import (
    KNOWN_CONTAINER_FIELDS,
    KNOWN_MOUNT_FIELDS,
)
from weightlock_webhook.mounts.pods import KNOWN_POD_FIELDS

_Raw = msgspec.Raw


def _known(name: str, known: frozenset[str], **read: Any) -> Any:
    """A struct that takes these fields and no others; those not `read` stay bytes."""
    fields: list[tuple[str, Any, Any]] = [
        (field, read[field] | None, None) if field in read else (field, _Raw, _Raw())
        for field in sorted(known)
    ]
    return msgspec.defstruct(name, fields, forbid_unknown_fields=True, gc=False)


def _many(kind: Any) -> Any:
    return GenericAlias(list, (kind,))


_Mount: Final = _known("_Mount", KNOWN_MOUNT_FIELDS)
_Container: Final = _known(
    "_Container", KNOWN_CONTAINER_FIELDS - {"volumeDevices"}, volumeMounts=_many(_Mount)
)
_EmptyDir: Final = _known("_EmptyDir", sources.KNOWN_SOURCE_FIELDS[sources.EMPTY_DIR])
_Projection: Final = _known("_Projection", sources.KNOWN_PROJECTIONS)
_Projected: Final = _known(
    "_Projected",
    sources.KNOWN_SOURCE_FIELDS[sources.PROJECTED],
    sources=_many(_Projection),
)
PLAIN_SOURCES: Final = sources.CONFIGURATION | {sources.EMPTY_DIR}
_OBJECTS: Final = tuple(sorted(sources.CONFIGURATION - {sources.PROJECTED}))


_Volume: Final = _known(
    "_Volume",
    frozenset({"name", *PLAIN_SOURCES}),
    emptyDir=_EmptyDir,
    projected=_Projected,
)


_Spec: Final = _known(
    "_Spec",
    # Whoever claims devices, adds containers to a running pod or names a node is looked at in full.
    KNOWN_POD_FIELDS - {"ephemeralContainers", "resourceClaims"},
    volumes=_many(_Volume),
    containers=_many(_Container),
    initContainers=_many(_Container),
)


_Keys: Final = dict[str, str] | None
_Metadata: Final = msgspec.defstruct(
    "_Metadata", [("labels", _Keys, None), ("annotations", _Keys, None)], gc=False
)
_Pod: Final = msgspec.defstruct(
    "_Pod", [("spec", _Spec), ("metadata", _Metadata | None, None)], gc=False
)
_CLAIM: Final = b'"persistentVolumeClaim"'
_DECODER: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(_Pod)


def is_plain(pod: msgspec.Raw | bytes) -> bool:
    """Whether this is a pod of which nobody need know more. False is always safe."""
    content = bytes(pod)
    if _CLAIM in content:
        return False  # told sooner than by decoding
    try:
        found = _DECODER.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return not _has_our_keys(found.metadata) and all(map(_has_one_source, found.spec.volumes or ()))


def _has_one_source(volume: Any) -> bool:
    named = (volume.emptyDir is not None) + (volume.projected is not None)
    return named + sum(len(bytes(getattr(volume, kind))) > 0 for kind in _OBJECTS) == 1


def _has_our_keys(metadata: Any) -> bool:
    if metadata is None:
        return False
    for keys in (metadata.labels, metadata.annotations):
        if keys and any(key.startswith(PREFIX) for key in keys):
            return True
    return False
