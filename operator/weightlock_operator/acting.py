"""Carries out what was decided, in the order of the decision: before, create, status, after.

What must be true before the status says so is awaited; what only follows from it is tried, and its
trouble costs nothing but itself. Every delete and patch names the uid that it means.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from weightlock.cluster_names import HELD_LABEL, NUDGED_AT_ANNOTATION, SCHEDULING_GATE
from weightlock.errors import Unanswerable
from weightlock.names import API_VERSION
from weightlock.policy.checkpoints import KIND
from weightlock.reasons import Reason
from weightlock.verdict.floors import VouchedModel
from weightlock.verdict.records import instant_text
from weightlock_operator.api.cluster import CHECKPOINTS, JOBS, PODS, Cluster, Json, Precondition
from weightlock_operator.api.cluster_errors import (
    AlreadyExists,
    ClusterTrouble,
    Conflict,
    Forbidden,
    NotFound,
    NotLeader,
    Rejected,
)
from weightlock_operator.api.events import EventType, Involved, Notice, Recorder
from weightlock_operator.api.versions import Versions
from weightlock_operator.decision.actions import (
    Action,
    DeleteJob,
    Event,
    EvictPod,
    NudgePod,
    RaiseFloor,
    RegisterCheckpoint,
    ReleasePod,
)

_log = logging.getLogger(__name__)

_GONE: Final = (NotFound, Conflict)
"""What was meant is no longer there, or is something else by now: done, as far as we go."""


class FloorRefused(Unanswerable):
    """The version of a model may not be recorded; another try is refused too."""

    reason = Reason.VERSION_NOT_KEPT


class Actor:
    """Does things to the cluster."""

    def __init__(
        self,
        cluster: Cluster,
        versions: Versions,
        recorder: Recorder,
        now: Callable[[], datetime],
    ) -> None:
        self._cluster = cluster
        self._versions = versions
        self._recorder = recorder
        self._now = now

    async def before(self, actions: Iterable[Action], about: Json) -> None:
        """What has to be so first.

        Raises:
            FloorRefused: a version may not be recorded.
            ClusterTrouble: it is not; nothing after it may happen.
        """
        for action in actions:
            await self._do(action, about)

    async def after(self, actions: Iterable[Action], about: Json) -> None:
        """What follows; each by itself."""
        for action in actions:
            try:
                await self._do(action, about)
            except NotLeader:
                return
            except ClusterTrouble as trouble:
                _log.warning("%s: %s", type(action).__name__, trouble.message)

    async def write_status(self, about: Json, status: Mapping[str, object]) -> Json:
        """The one status write of a look, over exactly what was looked at.

        Raises:
            Conflict: somebody wrote in between; look again.
            ClusterTrouble: it could not be written.
        """
        namespace = about["metadata"]["namespace"]
        body = {**about, "status": dict(status)}
        return await self._cluster.replace(CHECKPOINTS, namespace, body, subresource="status")

    async def create_job(self, manifest: Mapping[str, Any]) -> Json:
        """Make a Job. AlreadyExists is refused like everything else: the name was ours to guess.

        Raises:
            ClusterTrouble: it was not made, or nobody knows.
        """
        return await self._cluster.create(JOBS, manifest["metadata"]["namespace"], dict(manifest))

    async def _do(self, action: Action, about: Json) -> None:
        match action:
            case DeleteJob(namespace=namespace, name=name, uid=uid):
                await self._delete(namespace, name, uid)
            case RaiseFloor(vouched=vouched, version=version):
                await self._raise(vouched, version)
            case ReleasePod(namespace=namespace, name=name, uid=uid):
                await self._release(namespace, name, uid)
            case NudgePod(namespace=namespace, name=name, uid=uid):
                await self._nudge(namespace, name, uid)
            case EvictPod(namespace=namespace, name=name, uid=uid):
                await self._evict(namespace, name, uid)
            case RegisterCheckpoint(manifest=manifest):
                await self._register(manifest)
            case Event():
                self._tell(action, about)

    async def _raise(self, vouched: VouchedModel, version: int) -> None:
        try:
            await self._versions.raise_to(vouched, version)
        except (Forbidden, Rejected) as refusal:
            raise FloorRefused(refusal.message) from refusal

    async def _delete(self, namespace: str, name: str, uid: str) -> None:
        try:
            await self._cluster.delete(JOBS, namespace, name, only_if=Precondition(uid=uid))
        except _GONE:
            return

    async def _release(self, namespace: str, name: str, uid: str) -> None:
        try:
            pod = await self._cluster.get(PODS, namespace, name)
            if pod["metadata"]["uid"] != uid:
                return
            # Only our gate: others have theirs for reasons of their own (A17).
            gates = [
                gate
                for gate in pod["spec"].get("schedulingGates") or []
                if gate.get("name") != SCHEDULING_GATE
            ]
            change: Json = {
                "metadata": {
                    "uid": uid,
                    "resourceVersion": pod["metadata"]["resourceVersion"],
                    "labels": {HELD_LABEL: None},
                },
                "spec": {"schedulingGates": gates or None},
            }
            await self._cluster.patch(PODS, namespace, name, change)
        except _GONE:
            return

    async def _nudge(self, namespace: str, name: str, uid: str) -> None:
        at = instant_text(self._now().replace(microsecond=0))
        change: Json = {"metadata": {"uid": uid, "annotations": {NUDGED_AT_ANNOTATION: at}}}
        try:
            await self._cluster.patch(PODS, namespace, name, change)
        except _GONE:
            return

    async def _evict(self, namespace: str, name: str, uid: str) -> None:
        try:
            await self._cluster.evict(namespace, name, only_if=Precondition(uid=uid))
        except _GONE:
            return

    async def _register(self, manifest: Mapping[str, Any]) -> None:
        try:
            namespace = manifest["metadata"]["namespace"]
            await self._cluster.create(CHECKPOINTS, namespace, dict(manifest))
        except AlreadyExists:
            return

    def _tell(self, event: Event, about: Json) -> None:
        metadata = about["metadata"]
        namespace = metadata["namespace"]
        checkpoint = Involved(API_VERSION, KIND, namespace, metadata["name"], metadata["uid"])
        pods = (Involved("v1", "Pod", namespace, name, uid) for name, uid in event.pods)
        for involved in (checkpoint, *pods):
            kind = EventType(event.type.value)
            self._recorder.record(Notice(involved, kind, event.reason, event.message))
