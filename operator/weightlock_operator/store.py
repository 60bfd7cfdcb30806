"""What the operator has seen of the cluster, kept slim, in one event loop.

Every change goes through `apply`, whether a watch or a listing brought it, and answers with the
checkpoints that have to be looked at. The same object again changes nothing. Nothing here is
believed where it matters: what identity hangs on is read live before a verdict is written.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from weightlock.policy.checkpoints import CheckpointSpec
from weightlock.policy.objects import Policy
from weightlock.policy.sources import ClaimSource
from weightlock.verdict.floors import VouchedModel
from weightlock.verdict.places import Place as StoragePlace
from weightlock_operator.api.cluster import (
    CHECKPOINTS,
    CLAIMS,
    CLUSTER_POLICIES,
    EVENTS,
    JOBS,
    NAMESPACES,
    POLICIES,
    VOLUMES,
    Json,
    Resource,
    texts,
)
from weightlock_operator.checkpoint_index import NOBODY, CheckpointIndex
from weightlock_operator.decision.holding import HeldPod
from weightlock_operator.decision.places import places_of_source
from weightlock_operator.decision.registration import Request, request_of_event
from weightlock_operator.decision.seen import SeenJob
from weightlock_operator.decision.spent import Spent
from weightlock_operator.decision.usage import PodUse, Storages, uses_of
from weightlock_operator.job_index import JobIndex
from weightlock_operator.kept import is_older
from weightlock_operator.pod_index import Place, PodIndex, awaited_by, claims_of
from weightlock_operator.pod_records import PodRecord
from weightlock_operator.policy_index import PolicyEntry, PolicyIndex
from weightlock_operator.storage_index import StorageIndex
from weightlock_operator.wishes import Wishes


@dataclass(slots=True)
class Store:
    """The state; `now` reads the wall clock."""

    now: Callable[[], datetime]
    namespaces: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """The labels of each."""

    pods: PodIndex = field(default_factory=PodIndex)
    wishes: Wishes = field(default_factory=Wishes)
    spent: dict[str, Spent] = field(default_factory=dict)
    """Which records of a checkpoint count no more, by its uid."""

    users: dict[str, int] = field(default_factory=dict)
    """How many pods ran with a checkpoint at the last look at it, by its uid; to be counted."""

    _checkpoints: CheckpointIndex = field(default_factory=CheckpointIndex)
    _policies: PolicyIndex = field(default_factory=PolicyIndex)
    _storage: StorageIndex = field(default_factory=StorageIndex)
    _jobs: JobIndex = field(default_factory=JobIndex)
    _versions: dict[str, str] = field(default_factory=dict)

    @property
    def checkpoints(self) -> dict[str, Json]:
        """Every checkpoint, by uid."""
        return self._checkpoints.bodies

    @property
    def policies(self) -> dict[str, PolicyEntry]:
        """Every policy, by uid."""
        return self._policies.entries

    @property
    def claims(self) -> dict[Place, Json]:
        """Every claim."""
        return self._storage.claims

    @property
    def volumes(self) -> dict[str, Json]:
        """Every volume, by name."""
        return self._storage.volumes

    def apply(self, resource: Resource, body: Json, *, deleted: bool = False) -> frozenset[str]:
        """Take an object as it is now, or its end; returns the checkpoints that it concerns."""
        metadata = body.get("metadata") or {}
        uid, version = str(metadata.get("uid", "")), str(metadata.get("resourceVersion", ""))
        known = self._versions.get(uid)
        if deleted:
            if known is None and resource is not EVENTS:
                return NOBODY
            self._versions.pop(uid, None)
        elif known == version or is_older(version, known):
            return NOBODY
        elif resource is not EVENTS:
            self._versions[uid] = version
        return self._take(resource, body, deleted=deleted)

    def apply_listing(
        self, resource: Resource, items: Iterable[Json], version: str
    ) -> tuple[frozenset[str], int]:
        """Take a whole list: what is not in it, and is no newer than it, is gone.

        Returns the checkpoints that it concerns, and how many of its objects were news.
        """
        touched: set[str] = set()
        listed: set[str] = set()
        news = 0
        for body in items:
            metadata = body["metadata"]
            uid, known = str(metadata.get("uid", "")), self._versions.get(metadata.get("uid", ""))
            listed.add(uid)
            touched |= self.apply(resource, body)
            news += self._versions.get(uid) != known
        for uid, ghost in self._known(resource):
            if uid not in listed and not is_older(version, self._versions.get(uid)):
                touched |= self.apply(resource, ghost, deleted=True)
                news += 1
        return frozenset(touched), news

    def apply_pod(self, uid: str, record: PodRecord | None) -> frozenset[str]:
        """Take a pod as it is now; None: it is gone or matters no more."""
        if record is None:
            before = self.pods.drop(uid, self.now())
            return self._touched_by(before) if before is not None else NOBODY
        before = self.pods.put(record)
        if record.says_the_same(before):
            return NOBODY
        return self._touched_by(record) | (self._touched_by(before) if before else NOBODY)

    def apply_pods(self, records: Iterable[PodRecord]) -> frozenset[str]:
        """Take all pods that matter; every other one is gone."""
        listed = {record.uid: record for record in records}
        touched: set[str] = set()
        for uid in self.pods.uids - listed.keys():
            touched |= self.apply_pod(uid, None)
        for uid, record in listed.items():
            touched |= self.apply_pod(uid, record)
        return frozenset(touched)

    def spend(self, uid: str, more: Spent | None) -> None:
        """From now on these count no more either."""
        if more is not None and uid in self.checkpoints:
            self.spent[uid] = more.joined(self.spent.get(uid))

    def jobs(self, checkpoint_uid: str) -> tuple[SeenJob, ...]:
        """The Jobs that say they verify a checkpoint, in its namespace."""
        body = self.checkpoints.get(checkpoint_uid)
        namespace = body["metadata"].get("namespace", "") if body else ""
        return self._jobs.of(checkpoint_uid, namespace)

    def has_job(self, checkpoint_uid: str) -> bool:
        """Whether a Job of a checkpoint runs, be it one that no status knows."""
        return bool(self._running_jobs(checkpoint_uid))

    def is_suspended(self, checkpoint_uid: str) -> bool:
        """Whether there is one, and each waits for whoever manages its queue."""
        jobs = self._running_jobs(checkpoint_uid)
        return bool(jobs) and all(job.is_suspended and not job.started_at for job in jobs)

    def job_count(self) -> int:
        """How many Jobs there are."""
        return len(self._jobs)

    def all_jobs(self) -> Iterable[SeenJob]:
        """Every Job with our label."""
        return self._jobs.all()

    def of_namespace(self, namespace: str) -> frozenset[str]:
        """The checkpoints of a namespace."""
        return self._checkpoints.of_namespace(namespace)

    def at(self, place: Place) -> frozenset[str]:
        """The checkpoints on a claim, or on no claim."""
        return self._checkpoints.at(place)

    def uses_of(
        self, namespace: str, spec: CheckpointSpec, exempt: frozenset[str]
    ) -> tuple[PodUse, ...]:
        """The pods that reach into a checkpoint of a namespace, by whatever volume."""
        claims, places = [], places_of_source(spec.source)
        if isinstance(spec.source, ClaimSource):
            claims.append((namespace, spec.source.claim_name))
            places = self._storage.places_of(claims[0])
        others = self._storage.claims_at(places)
        pods = self.pods.using([*claims, *others], places, self.now())
        storages = Storages(places, others, exempt)
        return uses_of(pods, spec.source, spec.path, storages)

    def under_floor(self, vouched: VouchedModel) -> frozenset[str]:
        """The checkpoints that a remembered version may count for."""
        found, namespace = self._checkpoints.of_model(vouched.model), vouched.namespace
        return found & self.of_namespace(namespace) if namespace else found

    def governing(self, namespace: str) -> tuple[tuple[Policy, ...], tuple[str, ...]]:
        """The policies of a namespace, and the names of those that might be and cannot be read."""
        return self._policies.governing(namespace, self.namespaces.get(namespace, {}))

    def is_requested(self, namespace: str, claim: str) -> bool:
        """Whether a refused pod has asked for a claim of late."""
        return self.wishes.has(Request(namespace, claim), self.now())

    def _running_jobs(self, checkpoint_uid: str) -> list[SeenJob]:
        jobs = self.jobs(checkpoint_uid)
        # Of a Job that has our label and is none of ours nobody ever sees to its end.
        ours = [job for job in jobs if job.is_ours_by_label and not job.is_finished]
        return [job for job in ours if job.checkpoint_uid == checkpoint_uid]

    def _take(self, resource: Resource, body: Json, *, deleted: bool) -> frozenset[str]:
        if resource is CHECKPOINTS:
            if deleted:
                self.spent.pop(body["metadata"]["uid"], None)
                self.users.pop(body["metadata"]["uid"], None)
            return self._checkpoints.take(body, deleted=deleted)
        if resource in (POLICIES, CLUSTER_POLICIES):
            return self._take_policy(body, deleted=deleted)
        if resource is CLAIMS:
            return self._on(self._storage.take_claim(body, deleted=deleted))
        if resource is VOLUMES:
            return self._on(self._storage.take_volume(body, deleted=deleted))
        if resource is JOBS:
            return frozenset({self._jobs.take(body, deleted=deleted)}) & self.checkpoints.keys()
        take = {NAMESPACES: self._take_namespace, EVENTS: self._take_event}[resource]
        return take(body, deleted=deleted)

    def _take_policy(self, body: Json, *, deleted: bool) -> frozenset[str]:
        if not self._policies.take(body, deleted=deleted):
            return NOBODY
        namespace = body["metadata"].get("namespace")
        return self.of_namespace(namespace) if namespace else frozenset(self.checkpoints)

    def _take_namespace(self, body: Json, *, deleted: bool) -> frozenset[str]:
        name = body["metadata"]["name"]
        before = self.namespaces.pop(name, None)
        if deleted:
            return NOBODY
        labels = dict(texts(body["metadata"].get("labels")))
        self.namespaces[name] = labels
        return NOBODY if before == labels else self.of_namespace(name)

    def _take_event(self, body: Json, *, deleted: bool) -> frozenset[str]:
        request = None if deleted else request_of_event(body)
        if request is None:
            return NOBODY
        self.wishes.add(request, self.now())
        return self.at((request.namespace, request.claim))

    def _known(self, resource: Resource) -> list[tuple[str, Json]]:
        """Every object of a kind that is kept, as much of it as its end needs."""
        if resource is CHECKPOINTS:
            return list(self.checkpoints.items())
        if resource in (POLICIES, CLUSTER_POLICIES):
            return self._policies.known(resource)
        if resource is CLAIMS:
            return [(each["metadata"]["uid"], each) for each in self.claims.values()]
        if resource is VOLUMES:
            return [(each["metadata"]["uid"], each) for each in self.volumes.values()]
        if resource is JOBS:
            return self._jobs.known()
        return []  # namespaces: one that is gone has nothing in it; events: they only ever come

    def _on(self, place: Place | None) -> frozenset[str]:
        """The checkpoints on a claim, and on all that leads to the same bytes."""
        return self._at_bytes([place], ()) if place is not None else NOBODY

    def _at_bytes(self, claims: Iterable[Place], places: Iterable[StoragePlace]) -> frozenset[str]:
        direct, inline = tuple(claims), tuple(places)
        bytes_at = {*inline, *(each for claim in direct for each in self._storage.places_of(claim))}
        others = {*self._storage.claims_at(bytes_at), *self._storage.claims_shown_at(inline)}
        touched = self._checkpoints.at_storage(bytes_at)
        return touched.union(*(self.at(claim) for claim in {*direct, *others}))

    def _touched_by(self, record: PodRecord) -> frozenset[str]:
        touched: set[str] = {record.checkpoint_uid} & self.checkpoints.keys()
        if record.use:
            touched |= self._at_bytes(claims_of(record), record.places)
        if record.held is not None:
            touched |= self._awaited_by(record.held)
        return frozenset(touched)

    def _awaited_by(self, pod: HeldPod) -> frozenset[str]:
        """The checkpoints that a held pod waits for, and no others of what may be a thousand."""
        awaited = awaited_by(pod)
        named = (self._checkpoints.named(namespace, name) for namespace, _, name in awaited if name)
        at = (self.at((namespace, claim)) for namespace, claim, _ in awaited if claim)
        return frozenset().union(*named, *at)
