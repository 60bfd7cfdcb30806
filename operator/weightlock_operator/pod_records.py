"""What is kept of a pod: a few hundred bytes of those that matter, nothing of all the others.

A cluster has a hundred pods for each that touches a checkpoint. Those matter that belong to a
verification, that are held, or that have a volume a checkpoint may lie on; of the last, only what
says which volumes they reach and how.
"""

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from weightlock.cluster_names import CHECKPOINT_UID_LABEL, HELD_LABEL
from weightlock.errors import Malformed
from weightlock.verdict.places import Place
from weightlock.verdict.records import instant_text
from weightlock_operator.api.cluster import Json, texts
from weightlock_operator.decision.holding import HeldPod
from weightlock_operator.decision.places import kinds_of, places_of_inline
from weightlock_operator.decision.readings import READ_ONLY_SOURCES
from weightlock_operator.decision.seen import SeenPod

_OF_CSI: Final = ("driver", "readOnly", "volumeAttributes")
_METADATA: Final = ("name", "namespace", "uid", "creationTimestamp")
_CONTAINERS: Final = ("initContainers", "containers", "ephemeralContainers")
_STATUSES: Final = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PodRecord:
    """One pod that matters."""

    uid: str
    namespace: str
    name: str
    version: str
    checkpoint_uid: str = ""
    """Of its label, which anybody may have written."""

    seen: SeenPod | None = None
    held: HeldPod | None = None
    is_let_in: bool = False
    """Whether it has the label of a held pod without being one."""

    use: bytes = b""
    """What weightlock_operator.decision.readings reads of it, as JSON."""

    claims: tuple[str, ...] = ()
    places: tuple[Place, ...] = ()
    """Where the volumes lie that it describes itself."""

    def says_the_same(self, other: "PodRecord | None") -> bool:
        """Whether nothing that anybody looks at differs."""
        return other is not None and _content(self) == _content(other)


def record_of_pod(pod: Json) -> PodRecord | None:
    """What is kept of a pod; None for one that does not matter."""
    metadata = pod.get("metadata") or {}
    labels = texts(metadata.get("labels"))
    checkpoint_uid = labels.get(CHECKPOINT_UID_LABEL, "")
    seen = _seen(pod) if checkpoint_uid else None
    is_labelled = labels.get(HELD_LABEL) == "true"
    held = _held(pod) if is_labelled else None
    volumes = _volumes(pod)
    if checkpoint_uid and not _may_write(pod, volumes):
        volumes = []  # a verification reads; that is no use that anybody has to wait for
    has_node = bool((pod.get("spec") or {}).get("nodeName"))
    is_let_in = is_labelled and (has_node or _is_over(pod))
    if seen is None and held is None and not is_let_in and not (volumes and has_node):
        return None
    return PodRecord(
        uid=str(metadata.get("uid", "")),
        namespace=str(metadata.get("namespace", "")),
        name=str(metadata.get("name", "")),
        version=str(metadata.get("resourceVersion", "")),
        checkpoint_uid=checkpoint_uid,
        seen=seen,
        held=held,
        is_let_in=is_let_in,
        use=_use(pod, volumes) if volumes and has_node else b"",
        claims=tuple(_claims(str(metadata.get("name", "")), volumes)),
        places=_places(pod, volumes) if has_node else (),
    )


def departed(record: PodRecord, at: datetime) -> PodRecord | None:
    """What is kept of a deleted pod for a while: that it could write until then (A02)."""
    if not record.use:
        return None
    pod = json.loads(record.use)
    if pod["status"].get("phase") not in ("Succeeded", "Failed"):
        ended = {"state": {"terminated": {"finishedAt": instant_text(at.replace(microsecond=0))}}}
        pod["status"] = {"phase": "Failed", "containerStatuses": [ended]}
    return PodRecord(
        uid=record.uid,
        namespace=record.namespace,
        name=record.name,
        version=record.version,
        use=json.dumps(pod, separators=(",", ":")).encode(),
        claims=record.claims,
        places=record.places,
    )


def _content(record: PodRecord) -> tuple[object, ...]:
    return (
        record.uid,
        record.checkpoint_uid,
        record.seen,
        record.held,
        record.use,
        record.is_let_in,
    )


def _seen(pod: Json) -> SeenPod | None:
    try:
        return SeenPod.from_object(pod)
    except Malformed as error:
        _log.warning("a pod with a label of ours cannot be read: %s", error.message)
        return None


def _held(pod: Json) -> HeldPod | None:
    try:
        return HeldPod.from_object(pod)
    except Malformed as error:
        _log.warning("a held pod cannot be read: %s", error.message)
        return None


def _is_over(pod: Json) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _volumes(pod: Json) -> list[Json]:
    found = (pod.get("spec") or {}).get("volumes") or []
    return [
        {"name": each.get("name"), **{kind: _kept(kind, each) for kind in kinds}}
        for each in found
        if (kinds := kinds_of(each))
    ]


def _may_write(pod: Json, volumes: list[Json]) -> bool:
    """Whether a pod has the means to write to any of its volumes, whatever it is labelled (A15)."""
    spec = pod.get("spec") or {}
    mounts = [
        mount
        for kind in _CONTAINERS
        for container in _mounting(spec.get(kind) or [], {each["name"] for each in volumes})
        for mounted in container.values()
        for mount in mounted
    ]
    only_read = {
        each["name"]
        for each in volumes
        if any((each.get(kind) or {}).get("readOnly") is True for kind in READ_ONLY_SOURCES)
    }
    unmounted = {each["name"] for each in volumes} - {mount["name"] for mount in mounts}
    written = {mount["name"] for mount in mounts if mount.get("readOnly") is not True}
    return bool((written | unmounted) - only_read)


def _kept(kind: str, volume: Json) -> object:
    # Of an ephemeral volume only its being one counts: its claim has the names of pod and volume.
    if kind == "ephemeral":
        return {}
    if kind == "csi" and isinstance(volume[kind], Mapping):
        return {key: volume[kind][key] for key in _OF_CSI if key in volume[kind]}
    return volume[kind]


def _claims(pod: str, volumes: Iterable[Mapping[str, Any]]) -> list[str]:
    named = {
        str(claim["claimName"])
        for each in volumes
        if (claim := each.get("persistentVolumeClaim") or {}).get("claimName")
    }
    return sorted(named | {f"{pod}-{each['name']}" for each in volumes if "ephemeral" in each})


def _places(pod: Json, volumes: Iterable[Mapping[str, Any]]) -> tuple[Place, ...]:
    node = str(pod["spec"]["nodeName"])
    return tuple(place for each in volumes for place in places_of_inline(each, node))


def _use(pod: Json, volumes: list[Json]) -> bytes:
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    names = {each["name"] for each in volumes}
    slim = {
        "metadata": {key: metadata.get(key) for key in _METADATA},
        "spec": {
            "nodeName": spec["nodeName"],
            "volumes": volumes,
            **{key: _mounting(spec[key], names) for key in _CONTAINERS if spec.get(key)},
        },
        "status": {
            "phase": status.get("phase", "Pending"),
            **(_end(status, metadata) if _is_over(pod) else {}),
        },
    }
    return json.dumps(slim, separators=(",", ":")).encode()


def _mounting(containers: list[Json], names: set[object]) -> list[Json]:
    return [
        {
            key: [mount for mount in container[key] if mount.get("name") in names]
            for key in ("volumeMounts", "volumeDevices")
            if container.get(key)
        }
        for container in containers
    ]


def _end(status: Json, metadata: Json) -> Json:
    """What says when a pod ended: its containers, and the last that was heard of it."""
    heard = [
        each[key]
        for key, holders in (
            ("lastTransitionTime", status.get("conditions") or []),
            ("time", metadata.get("managedFields") or []),
        )
        for each in holders
        if each.get(key)
    ]
    # RFC 3339 in UTC, as the API server writes all of them, is in order as text.
    conditions = [{"lastTransitionTime": max(heard)}] if heard else []
    statuses = {key: list(map(_ended, status[key])) for key in _STATUSES if status.get(key)}
    return {**statuses, "conditions": conditions}


def _ended(container: Json) -> Json:
    terminated = (container.get("state") or {}).get("terminated") or {}
    at = terminated.get("finishedAt")
    return {"state": {"terminated": {"finishedAt": at}}} if at else {}
