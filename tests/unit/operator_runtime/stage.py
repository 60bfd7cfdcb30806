"""A whole operator around a cluster in memory, without watches, clocks or threads."""

from __future__ import annotations

import asyncio
import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tests.support.memory_cluster import Hands, MemoryCluster
from tests.support.node_agent import Content, ended
from tests.unit.policy.builders import policy_object

from weightlock.verdict.seal import SealKey
from weightlock_operator.acting import Actor
from weightlock_operator.api.cluster import (
    CHECKPOINTS,
    CLAIMS,
    CLUSTER_POLICIES,
    JOBS,
    NAMESPACES,
    PODS,
    VOLUMES,
    Json,
    Resource,
)
from weightlock_operator.api.events import Recorder
from weightlock_operator.api.seal_keys import SealKeys
from weightlock_operator.api.versions import Versions
from weightlock_operator.controller import Controller
from weightlock_operator.decision.facts import Installation, ServerFeatures
from weightlock_operator.gathering import Gatherer, Surroundings
from weightlock_operator.lobby import Lobby
from weightlock_operator.looking import Looked, Looker
from weightlock_operator.metrics import Metrics
from weightlock_operator.pod_records import record_of_pod
from weightlock_operator.store import Store
from weightlock_operator.turns import Turns
from weightlock_operator.work import WorkQueue

NAMESPACE = "team-a"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
IMAGE = "registry.example/verifier@sha256:" + "1d" * 32


@dataclass
class Stage:
    """`look()` sees all that is in the cluster, unless `blind` says what it does not hear."""

    cluster: MemoryCluster = field(default_factory=MemoryCluster)
    hands: Hands = field(default_factory=Hands)
    now: datetime = NOW
    blind: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.pass_time(0)
        self.restart()
        self.cluster.add(NAMESPACES, {"metadata": {"name": NAMESPACE, "labels": {}}})
        policy: Json = copy.deepcopy(dict(policy_object()))
        policy["metadata"]["generation"] = 1
        self.cluster.add(CLUSTER_POLICIES, policy)

    def restart(self) -> None:
        """A new operator, which knows nothing."""
        self.store = Store(lambda: self.now)
        self.turns = Turns(self.hands)
        self.queue = WorkQueue(self.hands)
        self.metrics = Metrics("test")
        self.versions = Versions(self.cluster, "weightlock-system")
        self.recorder = Recorder(
            self.cluster, instance="one", clock=self.hands, wall=lambda: self.now
        )
        self.actor = Actor(self.cluster, self.versions, self.recorder, lambda: self.now)
        self.around = Surroundings(
            installation=Installation(IMAGE, IMAGE),
            exempt=frozenset({"kube-system"}),
            features=ServerFeatures(),
            keys=SealKeys(SealKey(b"k" * 32), None),
            restored_at=None,
        )
        gatherer = Gatherer(
            self.cluster,
            self.store,
            turns=self.turns,
            versions=self.versions,
            surroundings=self.around,
        )
        self.looker = Looker(
            gatherer, self.actor, store=self.store, turns=self.turns, metrics=self.metrics
        )
        self.lobby = Lobby(self.actor, self.store, self.around.exempt)
        self.controller = Controller(
            self.store,
            self.turns,
            looker=self.looker,
            lobby=self.lobby,
            queue=self.queue,
            metrics=self.metrics,
        )
        asyncio.run(self.versions.load())

    def good(self, name: str = "llama") -> str:
        """A bound claim with a checkpoint on it; its uid."""
        claim = self.cluster.add(
            CLAIMS,
            {
                "metadata": {"name": name, "namespace": NAMESPACE},
                "spec": {"volumeName": f"pv-{name}", "accessModes": ["ReadWriteMany"]},
                "status": {"phase": "Bound"},
            },
        )
        reference = {"namespace": NAMESPACE, "name": name, "uid": claim["metadata"]["uid"]}
        self.cluster.add(
            VOLUMES,
            {
                "metadata": {"name": f"pv-{name}"},
                "spec": {
                    "claimRef": reference,
                    "csi": {"driver": "csi.example", "volumeHandle": name},
                },
            },
        )
        return self.checkpoint(name)

    def checkpoint(self, name: str) -> str:
        source = {"persistentVolumeClaim": {"claimName": name}, "path": "/"}
        made = self.cluster.add(
            CHECKPOINTS,
            {
                "apiVersion": "weightlock.dev/v1beta1",
                "kind": "ModelCheckpoint",
                "metadata": {"name": name, "namespace": NAMESPACE, "generation": 1},
                "spec": {"source": source},
            },
        )
        return str(made["metadata"]["uid"])

    def hear(self) -> None:
        """As if every watch had delivered everything."""
        for resource in (NAMESPACES, CLUSTER_POLICIES, VOLUMES, CLAIMS, JOBS, CHECKPOINTS):
            if resource.plural not in self.blind:
                self.store.apply_listing(resource, self.all(resource), "999999999")
        if "pods" not in self.blind:
            found = (record_of_pod(pod) for pod in self.all(PODS))
            self.store.apply_pods([each for each in found if each is not None])

    def look(self, uid: str) -> Looked:
        self.hear()
        return asyncio.run(self.looker.look(uid))

    def all(self, resource: Resource) -> list[Json]:
        return [
            copy.deepcopy(body)
            for (plural, _, _), body in self.cluster.objects.items()
            if plural == resource.plural
        ]

    def status(self, name: str = "llama") -> Json:
        found: Json = self.cluster.objects["modelcheckpoints", NAMESPACE, name].get("status") or {}
        return found

    def word(self, name: str = "llama") -> tuple[object, object]:
        return (self.status(name).get("phase"), self.status(name).get("reason"))

    def run_jobs(self, content: Content | None = None) -> None:
        """Job controller and kubelet."""
        for job in self.all(JOBS):
            if job.get("status"):
                continue
            template = job["spec"]["template"]
            owner = {"kind": "Job", "uid": job["metadata"]["uid"], "controller": True}
            pod = {
                "metadata": {
                    **template["metadata"],
                    "name": f"{job['metadata']['name']}-x",
                    "namespace": NAMESPACE,
                    "ownerReferences": [owner],
                },
                "spec": {**template["spec"], "nodeName": "node-a"},
            }
            pod["status"] = ended(pod, content or Content(), self.now)
            self.cluster.add(PODS, pod)
            at = self.now.strftime("%Y-%m-%dT%H:%M:%SZ")
            job["status"] = {
                "conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": at}]
            }
            self.cluster.add(JOBS, job)

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.cluster.time = self.now.strftime("%Y-%m-%dT%H:%M:%SZ")
        self.hands.seconds += seconds


def verified(stage: Stage, name: str = "llama") -> str:
    uid = stage.good(name)
    stage.look(uid)
    stage.run_jobs()
    stage.look(uid)
    assert stage.word(name) == ("Verified", "Verified")
    return uid


def work(stage: Stage, *keys: str) -> None:
    """Let one worker do what is queued."""

    async def run() -> None:
        for key in keys:
            stage.queue.add(key)
        worker = asyncio.create_task(stage.controller.work())
        while not stage.queue.is_idle:
            await asyncio.sleep(0)
        worker.cancel()

    stage.hear()
    asyncio.run(run())
