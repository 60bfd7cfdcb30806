"""What pods of a namespace wait for: lets go who may, registers what nobody registered.

Looked at per namespace, since one pod may wait for several checkpoints. Each thing is done by
itself: a checkpoint that a quota keeps from being registered must not hold anybody else's pod.
"""

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from weightlock.errors import Malformed
from weightlock.policy import scalars
from weightlock.policy.checkpoints import Checkpoint, CheckpointSpec
from weightlock.policy.composition import Composition
from weightlock.policy.volumes import VolumeFacts
from weightlock_operator.acting import Actor
from weightlock_operator.api.cluster import Json
from weightlock_operator.api.cluster_errors import ClusterTrouble, NotLeader
from weightlock_operator.decision.actions import Action, RegisterCheckpoint, ReleasePod
from weightlock_operator.decision.holding import HeldPod, release
from weightlock_operator.decision.registration import Request, registration, requests_of_pod
from weightlock_operator.looking import GRANTING, REFUSALS
from weightlock_operator.store import Store

NUDGE_EVERY: Final = timedelta(seconds=30)
"""A scheduler without gates tries a pod again by itself about as often."""

_log = logging.getLogger(__name__)


class Lobby:
    """Sees to waiting pods."""

    def __init__(self, actor: Actor, store: Store, exempt: frozenset[str]) -> None:
        self._actor = actor
        self._store = store
        self._exempt = exempt

    async def see_to(self, namespace: str) -> timedelta | None:
        """Do what can be done for a namespace's pods; when to come again.

        Raises:
            ClusterTrouble: something could not be done that may soon be possible.
        """
        if namespace in self._exempt:
            return None
        held = self._store.pods.held(namespace)
        bodies = [self._store.checkpoints[uid] for uid in self._store.of_namespace(namespace)]
        released = [*self._unlabelled(namespace), *self._releases(held, bodies)]
        done = await self._do([*released, *self._registrations(namespace, held, bodies)])
        return None if done and not released else NUDGE_EVERY

    async def _do(self, actions: Iterable[Action]) -> bool:
        """Do each; whether none was refused."""
        done, trouble = True, None
        for action in actions:
            try:
                await self._actor.before([action], {})
            except NotLeader:
                raise
            except REFUSALS as refusal:
                _log.warning("%s: %s", type(action).__name__, refusal.message)
                done = False
            except ClusterTrouble as error:
                trouble = trouble or error
        if trouble is not None:
            raise trouble
        return done

    def _unlabelled(self, namespace: str) -> Iterable[Action]:
        """Who runs or has ended is held no more; without gates nobody else says so."""
        for record in self._store.pods.let_in(namespace):
            yield ReleasePod(record.namespace, record.name, record.uid)

    def _registrations(
        self, namespace: str, held: Iterable[HeldPod], bodies: Iterable[Json]
    ) -> Iterable[Action]:
        wanted = [request for pod in held for request in requests_of_pod(pod)]
        wanted += self._store.wishes.of(namespace, self._store.now())
        if not wanted:
            return
        governing, _ = self._store.governing(namespace)
        composition = Composition.of(governing)
        known = list(_specs(bodies))
        for request in dict.fromkeys(wanted):
            action = self._registration(request, composition, known)
            if action is not None:
                _log.info("registering claim %s/%s", namespace, request.claim)
                known += _specs([action.manifest])
                yield action

    def _registration(
        self, request: Request, composition: Composition, known: list[CheckpointSpec | None]
    ) -> RegisterCheckpoint | None:
        claim = self._store.claims.get((request.namespace, request.claim))
        if claim is None:
            return None  # a claim that is not there need not be verified
        volume = VolumeFacts(
            "persistentVolumeClaim",
            storage_class=claim["spec"].get("storageClassName"),
            claim_name=request.claim,
        )
        return registration(request, composition, volume, known)

    def _releases(self, held: Iterable[HeldPod], bodies: Iterable[Json]) -> Iterable[Action]:
        admitted = tuple(_admitted(bodies))
        for pod in held:
            action = release(pod, admitted, nudge=self._may_nudge(pod, self._store.now()))
            if action is not None:
                yield action

    @staticmethod
    def _may_nudge(pod: HeldPod, now: datetime) -> bool:
        try:
            return not pod.nudged_at or now - scalars.moment(pod.nudged_at) >= NUDGE_EVERY
        except Malformed:
            return True


def _specs(bodies: Iterable[Mapping[str, object]]) -> Iterable[CheckpointSpec | None]:
    for body in bodies:
        try:
            yield CheckpointSpec.from_spec(body.get("spec"))
        except Malformed:
            yield None  # it takes room all the same


def _admitted(bodies: Iterable[Json]) -> Iterable[Checkpoint]:
    for body in bodies:
        if (body.get("status") or {}).get("phase") in GRANTING:
            try:
                yield Checkpoint.from_object(body)
            except Malformed:
                continue
