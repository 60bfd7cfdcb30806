"""Facts about one checkpoint: from what was seen, or read live where a verdict hangs on it.

A first look uses the store and costs no request; most looks end there. If it comes to a Job or a
verdict, what that rests on is read live and decided upon again (A28, A38).
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from weightlock.cluster_names import VERIFICATION_LABEL
from weightlock.errors import Malformed
from weightlock.policy.checkpoints import Checkpoint
from weightlock.policy.composition import Composition
from weightlock.policy.sources import ClaimSource
from weightlock_operator.api.cluster import (
    CHECKPOINTS,
    CLAIMS,
    JOBS,
    PODS,
    STORAGE_CLASSES,
    VOLUMES,
    Cluster,
    Json,
    Resource,
)
from weightlock_operator.api.cluster_errors import NotFound
from weightlock_operator.api.seal_keys import SealKeys
from weightlock_operator.api.versions import Versions
from weightlock_operator.decision.facts import Facts, Installation, Registered, ServerFeatures
from weightlock_operator.decision.flights import Flight
from weightlock_operator.decision.holding import HeldPod
from weightlock_operator.decision.seen import SeenJob, SeenPod
from weightlock_operator.decision.storage import (
    Storage,
    StorageState,
    claimed_storage,
    described_storage,
)
from weightlock_operator.decision.troubles import Course
from weightlock_operator.decision.usage import PodUse
from weightlock_operator.refusals import Refusals
from weightlock_operator.store import Store
from weightlock_operator.turns import Turns

NONCE_BYTES: Final = 8
NO_STORAGE: Final = Storage(StorageState.UNUSABLE, message="the spec names no storage")


@dataclass(slots=True)
class Surroundings:
    """What is the same for every checkpoint; renewed by weightlock_operator.upkeep."""

    installation: Installation
    exempt: frozenset[str]
    features: ServerFeatures
    keys: SealKeys
    restored_at: datetime | None


class Gatherer:
    """Puts facts together."""

    def __init__(
        self,
        cluster: Cluster,
        store: Store,
        *,
        turns: Turns,
        versions: Versions,
        surroundings: Surroundings,
        nonce: Callable[[], str] = lambda: secrets.token_hex(NONCE_BYTES),
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._turns = turns
        self._versions = versions
        self.surroundings = surroundings
        self._nonce = nonce
        self._refusals = Refusals(cluster)

    async def from_store(self, body: Json) -> Facts:
        """What was seen. Only what the store cannot have is asked for: a Job that it lacks.

        Raises:
            Malformed: the checkpoint has no sound metadata.
            ClusterTrouble: the Job could not be asked for.
        """
        registered = Registered.from_object(body)
        uid, namespace = registered.metadata.uid, registered.metadata.namespace
        jobs, pods = self._store.jobs(uid), self._store.pods.seen(uid)
        flight = self._flight(body)
        if flight is not None and all(job.uid != flight.job_uid for job in jobs):
            jobs += await self._job(namespace, flight)
        storage = await self._stored_storage(registered, namespace)
        refusal = await self._refusal(namespace, flight, jobs, pods)
        return self._facts(registered, storage, jobs, pods, refusal)

    async def live(self, body: Json, facts: Facts) -> Facts:
        """The same with storage, Job and pods read live. `body` may be live already.

        Raises:
            ClusterTrouble: something could not be read.
        """
        registered = Registered.from_object(body)
        namespace = registered.metadata.namespace
        jobs, pods = facts.jobs, facts.pods
        flight = self._flight(body)
        if flight is not None:
            others = tuple(job for job in jobs if job.uid != flight.job_uid)
            jobs = others + await self._job(namespace, flight)
            pods = await self._pods(namespace, flight)
        storage = await self._live_storage(registered, namespace)
        return self._facts(registered, storage, jobs, pods, facts.job_refusal)

    async def live_checkpoint(self, body: Json) -> Json | None:
        """The checkpoint as it is; None if it is another one or none by now."""
        metadata = body["metadata"]
        try:
            live = await self._cluster.get(CHECKPOINTS, metadata["namespace"], metadata["name"])
        except NotFound:
            return None
        return live if live["metadata"]["uid"] == metadata["uid"] else None

    async def live_job(self, namespace: str, name: str) -> Json | None:
        """A Job as it is; None if there is none.

        Raises:
            ClusterTrouble: it could not be read.
        """
        return await self._get(JOBS, namespace, name)

    def again(self, body: Json, facts: Facts) -> Facts:
        """The facts about another state of the same checkpoint, with a place as of now."""
        registered = Registered.from_object(body)
        refusal = facts.job_refusal
        return self._facts(registered, facts.storage, facts.jobs, facts.pods, refusal)

    def _facts(
        self,
        registered: Registered,
        storage: Storage,
        jobs: tuple[SeenJob, ...],
        pods: tuple[SeenPod, ...],
        job_refusal: str,
    ) -> Facts:
        namespace, uid = registered.metadata.namespace, registered.metadata.uid
        around, now = self.surroundings, self._store.now()
        governing, invalid = self._store.governing(namespace)
        if namespace in around.exempt:
            governing, invalid = (), ()
        held = self._held(registered)
        return Facts(
            checkpoint=registered,
            composition=Composition.of(governing),
            storage=storage,
            seal_keys=around.keys.accepted,
            installation=around.installation,
            nonce=self._nonce(),
            now=now,
            not_before=now + self._turns.pause(uid),
            place=self._turns.place(uid),
            jobs=jobs,
            pods=pods,
            job_refusal=job_refusal,
            held=held,
            uses=self._uses(registered),
            is_requested=self._is_requested(registered),
            invalid_policies=invalid,
            floors=self._versions.floors,
            restored_at=around.restored_at,
            spent=self._store.spent.get(uid),
            server=around.features,
        )

    def _flight(self, body: Json) -> Flight | None:
        status = body.get("status") or {}
        if "verification" not in status:
            return None
        uid = body["metadata"]["uid"]
        return Flight.from_status(status["verification"], uid, self.surroundings.keys.accepted)

    async def _job(self, namespace: str, flight: Flight) -> tuple[SeenJob, ...]:
        try:
            return (SeenJob.from_object(await self._cluster.get(JOBS, namespace, flight.job)),)
        except (NotFound, Malformed):
            return ()

    async def _pods(self, namespace: str, flight: Flight) -> tuple[SeenPod, ...]:
        labels = f"{VERIFICATION_LABEL}={flight.nonce}"
        listing = await self._cluster.list(PODS, namespace, labels=labels)
        # One that cannot be read must not be left out: a second pod makes a report count less.
        return tuple(SeenPod.from_object(pod) for pod in listing.items)

    async def _refusal(
        self,
        namespace: str,
        flight: Flight | None,
        jobs: tuple[SeenJob, ...],
        pods: tuple[SeenPod, ...],
    ) -> str:
        """Why the Job in flight has no pods, if it has had none for a while."""
        now = self._store.now()
        job = next((each for each in jobs if flight and each.uid == flight.job_uid), None)
        if flight is None or job is None:
            return ""
        own = tuple(pod for pod in pods if pod.job_uid == job.uid)
        if not Course(job, own, flight.started_at, now).asks_why:
            return ""
        return await self._refusals.of(namespace, job.uid, now)

    async def _stored_storage(self, registered: Registered, namespace: str) -> Storage:
        spec = registered.spec
        if spec is None:
            return NO_STORAGE
        if not isinstance(spec.source, ClaimSource):
            return described_storage(spec)
        claim = self._store.claims.get((namespace, spec.source.claim_name))
        name = (claim or {}).get("spec", {}).get("volumeName", "")
        volume = self._store.volumes.get(name)
        return claimed_storage(spec, claim, volume, await self._storage_class(claim))

    async def _live_storage(self, registered: Registered, namespace: str) -> Storage:
        spec = registered.spec
        if spec is None:
            return NO_STORAGE
        if not isinstance(spec.source, ClaimSource):
            return described_storage(spec)
        claim = await self._get(CLAIMS, namespace, spec.source.claim_name)
        name = ((claim or {}).get("spec") or {}).get("volumeName", "")
        volume = await self._get(VOLUMES, "", name) if name else None
        return claimed_storage(spec, claim, volume, await self._storage_class(claim))

    async def _storage_class(self, claim: Json | None) -> Json | None:
        """Only of a claim that waits: of any other it says nothing."""
        if claim is None or (claim.get("status") or {}).get("phase") == "Bound":
            return None
        name = claim["spec"].get("storageClassName")
        return await self._get(STORAGE_CLASSES, "", name) if name else None

    async def _get(self, resource: Resource, namespace: str, name: str) -> Json | None:
        try:
            return await self._cluster.get(resource, namespace, name)
        except NotFound:
            return None

    def _held(self, registered: Registered) -> tuple[HeldPod, ...]:
        if registered.spec is None:
            return ()
        checkpoint = Checkpoint(registered.metadata, registered.spec)
        namespace, source = registered.metadata.namespace, registered.spec.source
        awaited = [(namespace, "", registered.metadata.name)]
        if isinstance(source, ClaimSource):
            awaited.append((namespace, source.claim_name, ""))
        held = self._store.pods.waiting_for(awaited)
        return tuple(pod for pod in held if pod.waits_for(checkpoint))

    def _uses(self, registered: Registered) -> tuple[PodUse, ...]:
        spec, namespace = registered.spec, registered.metadata.namespace
        if spec is None:
            return ()
        return self._store.uses_of(namespace, spec, self.surroundings.exempt)

    def _is_requested(self, registered: Registered) -> bool:
        spec = registered.spec
        if spec is None or not isinstance(spec.source, ClaimSource):
            return False
        return self._store.is_requested(registered.metadata.namespace, spec.source.claim_name)
