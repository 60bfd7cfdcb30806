"""What the operator has seen of the cluster, kept slim, in one event loop.

Every change goes through `apply`, whether a watch or a listing brought it, and answers with the
checkpoints that have to be looked at. The same object again changes nothing. Nothing here is
believed where it matters: what identity hangs on is read live before a verdict is written.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeVar

from weightlock.cluster_names import CHECKPOINT_UID_LABEL
from weightlock.errors import Malformed
from weightlock.policy.objects import Policy, PolicyKind, policies_governing
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
from weightlock_operator.decision.policies import Invalid, read_policy
from weightlock_operator.decision.registration import Request, request_of_event
from weightlock_operator.decision.seen import SeenJob
from weightlock_operator.pod_index import ELSEWHERE, Place, PodIndex, places_of
from weightlock_operator.pod_records import PodRecord
from weightlock_operator.wishes import Wishes

NOBODY: Final[frozenset[str]] = frozenset()

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class PolicyEntry:
    """A policy object: what it says, and what its status said when it was last seen."""

    resource: Resource
    body: Json
    found: Policy | Invalid


@dataclass(slots=True)
class Store:
    """The state; `now` reads the wall clock."""

    now: Callable[[], datetime]
    checkpoints: dict[str, Json] = field(default_factory=dict)
    policies: dict[str, PolicyEntry] = field(default_factory=dict)
    namespaces: dict[str, Mapping[str, str]] = field(default_factory=dict)
    claims: dict[Place, Json] = field(default_factory=dict)
    volumes: dict[str, Json] = field(default_factory=dict)
    pods: PodIndex = field(default_factory=PodIndex)
    wishes: Wishes = field(default_factory=Wishes)
    _jobs: defaultdict[str, dict[str, SeenJob]] = field(default_factory=lambda: defaultdict(dict))
    _job_owner: dict[str, str] = field(default_factory=dict)
    _at: defaultdict[Place, set[str]] = field(default_factory=lambda: defaultdict(set))
    _in: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _versions: dict[str, str] = field(default_factory=dict)

    def apply(self, resource: Resource, body: Json, *, deleted: bool = False) -> frozenset[str]:
        """Take an object as it is now, or its end; returns the checkpoints that it concerns."""
        metadata = body.get("metadata") or {}
        uid, version = str(metadata.get("uid", "")), str(metadata.get("resourceVersion", ""))
        known = self._versions.get(uid)
        if deleted:
            if known is None and resource is not EVENTS:
                return NOBODY
            self._versions.pop(uid, None)
        elif known == version or _is_older(version, known):
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
            if uid not in listed and not _is_older(version, self._versions.get(uid)):
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

    def jobs(self, checkpoint_uid: str) -> tuple[SeenJob, ...]:
        """The Jobs that say they verify a checkpoint."""
        return tuple(self._jobs.get(checkpoint_uid, {}).values())

    def job_count(self) -> int:
        """How many Jobs there are."""
        return len(self._job_owner)

    def all_jobs(self) -> Iterable[SeenJob]:
        """Every Job with our label."""
        return (job for jobs in self._jobs.values() for job in jobs.values())

    def of_namespace(self, namespace: str) -> frozenset[str]:
        """The checkpoints of a namespace."""
        return frozenset(self._in.get(namespace, ()))

    def at(self, place: Place) -> frozenset[str]:
        """The checkpoints on a claim, or on no claim."""
        return frozenset(self._at.get(place, ()))

    def governing(self, namespace: str) -> tuple[tuple[Policy, ...], tuple[str, ...]]:
        """The policies of a namespace, and the names of those that might be and cannot be read."""
        labels = self.namespaces.get(namespace, {})
        usable = [each.found for each in self.policies.values() if isinstance(each.found, Policy)]
        invalid = tuple(
            each.found.name
            for each in self.policies.values()
            if isinstance(each.found, Invalid)
            and each.body["metadata"].get("namespace", namespace) == namespace
        )
        return policies_governing(usable, namespace, labels), invalid

    def is_requested(self, namespace: str, claim: str) -> bool:
        """Whether a refused pod has asked for a claim of late."""
        return self.wishes.has(Request(namespace, claim), self.now())

    def _take(self, resource: Resource, body: Json, *, deleted: bool) -> frozenset[str]:
        take = {
            CHECKPOINTS: self._take_checkpoint,
            POLICIES: self._take_policy,
            CLUSTER_POLICIES: self._take_policy,
            NAMESPACES: self._take_namespace,
            CLAIMS: self._take_claim,
            VOLUMES: self._take_volume,
            JOBS: self._take_job,
            EVENTS: self._take_event,
        }[resource]
        return take(body, deleted)

    def _take_checkpoint(self, body: Json, deleted: bool) -> frozenset[str]:
        uid, place = body["metadata"]["uid"], place_of(body)
        namespace = body["metadata"].get("namespace", "")
        before = self.checkpoints.pop(uid, None)
        if before is not None:
            _discard(self._at, place_of(before), uid)
            _discard(self._in, namespace, uid)
        if deleted:
            return frozenset({uid})
        self.checkpoints[uid] = slim(body)
        self._at[place].add(uid)
        self._in[namespace].add(uid)
        # A write of our own comes back as an event; it changes nothing that we do not know.
        return NOBODY if before is not None and is_same(before, body) else frozenset({uid})

    def _take_policy(self, body: Json, deleted: bool) -> frozenset[str]:
        uid = body["metadata"]["uid"]
        before = self.policies.pop(uid, None)
        if not deleted:
            cluster = body.get("kind") == PolicyKind.CLUSTER_MODEL_POLICY
            resource = CLUSTER_POLICIES if cluster else POLICIES
            self.policies[uid] = PolicyEntry(resource, slim(body), read_policy(body))
            generation = body["metadata"].get("generation")
            if before is not None and before.body["metadata"].get("generation") == generation:
                return NOBODY  # its status
        namespace = body["metadata"].get("namespace")
        return self.of_namespace(namespace) if namespace else frozenset(self.checkpoints)

    def _take_namespace(self, body: Json, deleted: bool) -> frozenset[str]:
        name = body["metadata"]["name"]
        before = self.namespaces.pop(name, None)
        if deleted:
            return NOBODY
        labels = dict(texts(body["metadata"].get("labels")))
        self.namespaces[name] = labels
        return NOBODY if before == labels else self.of_namespace(name)

    def _take_claim(self, body: Json, deleted: bool) -> frozenset[str]:
        metadata, spec = body["metadata"], body.get("spec") or {}
        place = (metadata.get("namespace", ""), metadata["name"])
        before = self.claims.get(place)
        if deleted:
            if before is None or before["metadata"]["uid"] != metadata["uid"]:
                return NOBODY  # another of that name is here already
            del self.claims[place]
            return self.at(place)
        kept = ("accessModes", "volumeMode", "volumeName", "storageClassName")
        status = body.get("status") or {}
        found: Json = {
            "metadata": _identity(metadata),
            "spec": {key: spec[key] for key in kept if spec.get(key) is not None},
            "status": {"phase": status.get("phase", "")},
        }
        self.claims[place] = found
        return NOBODY if _says_the_same(before, found) else self.at(place)

    def _take_volume(self, body: Json, deleted: bool) -> frozenset[str]:
        metadata, spec = body["metadata"], body.get("spec") or {}
        before = self.volumes.get(metadata["name"])
        if deleted:
            if before is None or before["metadata"]["uid"] != metadata["uid"]:
                return NOBODY
            del self.volumes[metadata["name"]]
        else:
            found: Json = {"metadata": _identity(metadata), "spec": spec}
            self.volumes[metadata["name"]] = found
            if _says_the_same(before, found):
                return NOBODY
        claim = spec.get("claimRef") or {}
        return self.at((claim.get("namespace", ""), claim.get("name", ""))) if claim else NOBODY

    def _take_job(self, body: Json, deleted: bool) -> frozenset[str]:
        uid = body["metadata"]["uid"]
        owner = texts(body["metadata"].get("labels")).get(CHECKPOINT_UID_LABEL, "")
        before = self._job_owner.pop(uid, None)
        if before is not None:
            self._jobs[before].pop(uid, None)
            if not self._jobs[before]:
                del self._jobs[before]
        if not deleted and owner:
            try:
                self._jobs[owner][uid] = SeenJob.from_object(body)
                self._job_owner[uid] = owner
            except Malformed as error:
                _log.warning("a Job with a label of ours cannot be read: %s", error.message)
        return frozenset({owner}) & self.checkpoints.keys()

    def _take_event(self, body: Json, deleted: bool) -> frozenset[str]:
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
            return [
                (uid, each.body) for uid, each in self.policies.items() if each.resource is resource
            ]
        if resource is CLAIMS:
            return [(each["metadata"]["uid"], each) for each in self.claims.values()]
        if resource is VOLUMES:
            return [(each["metadata"]["uid"], each) for each in self.volumes.values()]
        if resource is JOBS:
            return [
                (uid, {"metadata": {"uid": uid, "labels": {CHECKPOINT_UID_LABEL: owner}}})
                for uid, owner in self._job_owner.items()
            ]
        return []  # namespaces: one that is gone has nothing in it; events: they only ever come

    def _touched_by(self, record: PodRecord) -> frozenset[str]:
        touched: set[str] = {record.checkpoint_uid} & self.checkpoints.keys()
        for place in places_of(record):
            touched |= self.at(place)
        if record.held is not None:
            touched |= self.of_namespace(record.namespace)
        return frozenset(touched)


def place_of(checkpoint: Json) -> Place:
    """Where a checkpoint lies: its namespace and claim, or elsewhere."""
    source = (checkpoint.get("spec") or {}).get("source") or {}
    claim = source.get("persistentVolumeClaim") if isinstance(source, Mapping) else None
    name = claim.get("claimName") if isinstance(claim, Mapping) else None
    return (checkpoint["metadata"].get("namespace", ""), str(name)) if name else ELSEWHERE


def slim(body: Json) -> Json:
    """An object without what nobody here reads."""
    metadata = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
    return {**body, "metadata": metadata}


def is_same(one: Json, other: Json) -> bool:
    """Whether two states of a checkpoint differ in nothing that is looked at."""
    parts = ("spec", "status")
    return all(one.get(key) == other.get(key) for key in parts) and (
        one["metadata"].get("generation") == other["metadata"].get("generation")
    )


def _identity(metadata: Json) -> Json:
    return {
        key: metadata[key]
        for key in ("name", "namespace", "uid", "resourceVersion", "deletionTimestamp")
        if key in metadata
    }


def _says_the_same(before: Json | None, after: Json) -> bool:
    """Whether nothing but the resource version differs."""
    if before is None:
        return False
    version = {"resourceVersion": ""}
    one, other = ({**body, "metadata": {**body["metadata"], **version}} for body in (before, after))
    return one == other


def _is_older(version: str, than: str | None) -> bool:
    """Whether a version came before another; only numbers can be compared."""
    if than is None or not (version.isdigit() and than.isdigit()):
        return False
    return int(version) < int(than)


_K = TypeVar("_K")


def _discard(index: defaultdict[_K, set[str]], key: _K, uid: str) -> None:
    found = index.get(key)
    if found is not None:
        found.discard(uid)
        if not found:
            del index[key]
