"""Pods that hold nothing but scratch space and configuration, recognised in microseconds.

Most pods of a cluster are like that, and no policy has anything to say about them unless a rule
names emptyDir or configMap. The decoder itself recognises them: every field and source is one that
the decision knows, and no volume is of another kind. Whatever it stumbles over is read and judged
in full, so the only thing that can go wrong here is to be slow.

The whole review is decoded once, by a type that only such a review fits: it is shorter to find out
at the first field that a pod is of another kind than to ask first.

Law: where is_plain says yes and nobody's rules name these sources, decide finds nothing.
"""

from types import GenericAlias
from typing import Any, Final, Literal

import msgspec

from weightlock.cluster_names import PREFIX
from weightlock_webhook.documents import API_VERSION, KIND, is_uid
from weightlock_webhook.mounts import sources
from weightlock_webhook.mounts.containers import (
    KNOWN_CONTAINER_FIELDS,
    KNOWN_MOUNT_FIELDS,
)
from weightlock_webhook.mounts.pods import KNOWN_POD_FIELDS

_Raw = msgspec.Raw


_ORDER: Final = {
    field: place
    for place, field in enumerate(
        (
            *("volumes", "initContainers", "containers", "restartPolicy"),
            *("terminationGracePeriodSeconds", "dnsPolicy", "nodeSelector", "serviceAccountName"),
            *("serviceAccount", "hostNetwork", "securityContext", "imagePullSecrets", "affinity"),
            *("schedulerName", "tolerations", "priorityClassName", "priority"),
            *("enableServiceLinks", "preemptionPolicy", "topologySpreadConstraints"),
            *("name", "image", "command", "args", "workingDir", "ports", "envFrom", "env"),
            *("resources", "readOnly", "mountPath", "subPath", "volumeMounts", "livenessProbe"),
            *("readinessProbe", "startupProbe", "lifecycle", "terminationMessagePath"),
            *("terminationMessagePolicy", "imagePullPolicy", "sources", "defaultMode"),
        )
    )
}
"""The order in which API servers write what most pods have, as core/v1 declares it: the decoder
looks for a field behind the one before. Any other order is read as well, if slower."""


def _known(name: str, known: frozenset[str], **read: Any) -> Any:
    """A struct that takes these fields and no others; those not `read` stay bytes."""
    fields: list[tuple[str, Any, Any]] = [
        (field, read[field] | None, None) if field in read else (field, _Raw, _Raw())
        for field in sorted(known, key=lambda field: (_ORDER.get(field, len(_ORDER)), field))
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
_Object: Final = msgspec.defstruct("_Object", [], gc=False)
"""Any object, read as nothing: it only counts that it is there."""

_Volume: Final = _known(
    "_Volume",
    frozenset({"name", *PLAIN_SOURCES}),
    emptyDir=_EmptyDir,
    projected=_Projected,
    configMap=_Object,
    secret=_Object,
    downwardAPI=_Object,
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


class _PodKind(msgspec.Struct, gc=False):
    group: Literal[""]
    version: str
    kind: Literal["Pod"]


class _PodResource(msgspec.Struct, gc=False):
    group: Literal[""]
    version: Literal["v1"]
    resource: Literal["pods"]


_Request: Final = msgspec.defstruct(
    "_Request",
    [
        ("uid", str),
        ("kind", _PodKind),
        ("resource", _PodResource),
        ("operation", Literal["CREATE"]),
        ("object", _Pod),
        ("namespace", str, ""),
        ("subResource", Literal[""], ""),
    ],
    gc=False,
)
_Review: Final = msgspec.defstruct(
    "_Review",
    [("apiVersion", Literal[API_VERSION]), ("kind", Literal[KIND]), ("request", _Request)],
    gc=False,
)
_POD: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(_Pod)
_REVIEW: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(_Review)


def plain_review(body: bytes) -> tuple[str, str] | None:
    """The uid and the namespace of a review of a new pod of which nobody need know more.

    None is always safe: it is then read and judged in full.
    """
    found = _decoded(_REVIEW, body)
    if found is None:
        return None
    request = found.request
    if not is_uid(request.uid) or not _is_plain(request.object):
        return None
    return request.uid, request.namespace


def is_plain(pod: bytes) -> bool:
    """Whether this is a pod of which nobody need know more. False is always safe."""
    found = _decoded(_POD, pod)
    return found is not None and _is_plain(found)


def _decoded(decoder: msgspec.json.Decoder[Any], content: bytes) -> Any:
    try:
        return decoder.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _is_plain(pod: Any) -> bool:
    for volume in pod.spec.volumes or ():
        named = (
            (volume.emptyDir is not None)
            + (volume.configMap is not None)
            + (volume.secret is not None)
            + (volume.downwardAPI is not None)
            + (volume.projected is not None)
        )
        if named != 1:
            return False
    metadata = pod.metadata
    return metadata is None or not (_has_ours(metadata.labels) or _has_ours(metadata.annotations))


def _has_ours(keys: dict[str, str] | None) -> bool:
    # Anywhere in a key is too much, which is safe, and told by one search.
    return keys is not None and PREFIX in "\n".join(keys)
