"""A small cluster in memory that carries out decisions: Jobs run, pods report, writes can fail.

It keeps what an API server keeps and nothing of what the operator knows; each look gathers facts
from it anew, so restarting the operator is doing nothing.
"""

import copy
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from tests.support import crds
from tests.unit.policy.builders import NOW, PQ, Json, policy_object

from weightlock.digests import Digest, HashAlgorithm
from weightlock.formats.manifest import ModelIdentity
from weightlock.formats.shards import Shard
from weightlock.formats.spki import PublicKeyInfo
from weightlock.policy.composition import Composition
from weightlock.policy.objects import Policy, policies_governing
from weightlock.policy.sources import ClaimSource
from weightlock.reasons import Reason
from weightlock.reporting import Report, ReportedSignature, Request, parse_request, report_json
from weightlock.verdict.floors import VouchedModel
from weightlock.verdict.records import instant_text
from weightlock.verdict.seal import SealKey
from weightlock_operator.decision import reconcile
from weightlock_operator.decision.actions import (
    Action,
    CreateJob,
    Decision,
    DeleteJob,
    Event,
    EvictPod,
    RaiseFloor,
)
from weightlock_operator.decision.facts import Facts, Installation, Registered, ServerFeatures
from weightlock_operator.decision.holding import HeldPod
from weightlock_operator.decision.policies import Invalid, read_policy
from weightlock_operator.decision.queue import Place, Running, places
from weightlock_operator.decision.readings import read as read_pod
from weightlock_operator.decision.seen import SeenJob, SeenPod
from weightlock_operator.decision.spent import Spent
from weightlock_operator.decision.storage import Storage, claimed_storage, described_storage
from weightlock_operator.decision.usage import uses_of

NAMESPACE = "team-a"
IMAGE_DIGEST = "sha256:" + "1d" * 32
DEVICE_IMAGE = f"registry.example/weightlock-verifier@{IMAGE_DIGEST}"
CPU_IMAGE = "registry.example/weightlock-verifier-cpu@sha256:" + "2c" * 32
INSTALLATION = Installation(DEVICE_IMAGE, CPU_IMAGE)
KEY = SealKey(b"k" * 32)
OTHER_KEY = SealKey(b"o" * 32)
MODEL = ModelIdentity("llama-70b", 7)
RELEASED = VouchedModel("ClusterModelPolicy post-quantum", "llama-70b")
"""The model as the policy that governs by default vouches for it."""

ROOT = Digest(HashAlgorithm.SHA256, b"\xab" * 32)


class Crash(Exception):
    """The operator ended."""


class Refused(Exception):
    """The API server said no."""


@dataclass(frozen=True)
class Content:
    """What lies on the volume: signed by whom, and what is wrong with it."""

    signers: tuple[PublicKeyInfo, ...] = (PQ,)
    reason: Reason = Reason.VERIFIED
    model: ModelIdentity = MODEL


def claim_object(
    name: str = "llama", uid: str = "claim-1", volume: str = "pv-1", **more: object
) -> Json:
    return {
        "metadata": {"name": name, "uid": uid, "namespace": NAMESPACE},
        "spec": {"volumeName": volume, "accessModes": ["ReadWriteMany"], **more},
        "status": {"phase": "Bound" if volume else "Pending"},
    }


def volume_object(name: str = "pv-1", claim_uid: str = "claim-1", handle: str = "h-1") -> Json:
    return {
        "metadata": {"name": name, "uid": f"uid-of-{name}"},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "capacity": {"storage": "100Gi"},
            "claimRef": {"uid": claim_uid},
            "csi": {"driver": "csi.example", "volumeHandle": handle},
        },
    }


def checkpoint_object(**spec: object) -> Json:
    return {
        "apiVersion": "weightlock.dev/v1beta1",
        "kind": "ModelCheckpoint",
        "metadata": {
            "name": "llama-step-1200",
            "namespace": NAMESPACE,
            "uid": "0a1b2c3d-4e5f-6789-abcd-ef0123456789",
            "generation": 1,
        },
        "spec": {
            "source": {"persistentVolumeClaim": {"claimName": "llama"}, "path": "/step-1200"},
            **spec,
        },
    }


@dataclass
class Cluster:
    """The objects, the clock, and a number of API writes after which the operator ends."""

    checkpoint: Json = field(default_factory=checkpoint_object)
    policies: list[Json] = field(default_factory=lambda: [policy_object()])
    claim: Json | None = field(default_factory=claim_object)
    volume: Json | None = field(default_factory=volume_object)
    storage_class: Json | None = None
    content: Content = field(default_factory=Content)
    jobs: dict[str, Json] = field(default_factory=dict)
    pods: dict[str, Json] = field(default_factory=dict)
    others: list[Json] = field(default_factory=list)
    floors: dict[VouchedModel, int] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    evictions: list[str] = field(default_factory=list)
    keys: tuple[SealKey, ...] = (KEY,)
    now: datetime = NOW
    restored_at: datetime | None = None
    spent: Spent | None = None
    """What the operator remembers; None after a restart."""

    server: ServerFeatures = field(default_factory=ServerFeatures)
    is_requested: bool = False
    running: list[Running] = field(default_factory=list)
    refuse_jobs: str = ""
    refusal: str = ""
    """What the Job controller says about pods that it may not make."""

    mutate_job: Callable[[Json], None] = lambda job: None
    crash_after: int | None = None
    jobs_made: int = 0
    status_writes: int = 0
    finished: list[Reason] = field(default_factory=list)
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    # What the operator sees.

    @property
    def status(self) -> Json:
        found = self.checkpoint.get("status", {})
        assert isinstance(found, dict)
        return found

    @property
    def phase(self) -> object:
        return self.status.get("phase")

    @property
    def reason(self) -> object:
        return self.status.get("reason")

    def facts(self, **more: object) -> Facts:
        registered = Registered.from_object(copy.deepcopy(self.checkpoint))
        uid = registered.metadata.uid
        read = [read_policy(each) for each in self.policies]
        usable = [each for each in read if isinstance(each, Policy)]
        held = [HeldPod.from_object(pod) for pod in self.others]
        facts = Facts(
            checkpoint=registered,
            composition=Composition.of(policies_governing(usable, NAMESPACE, {})),
            storage=self.storage(registered),
            seal_keys=self.keys,
            installation=INSTALLATION,
            nonce=f"n{next(self.numbers):015d}",
            now=self.now,
            place=Place(),
            jobs=tuple(map(SeenJob.from_object, self.jobs.values())),
            pods=tuple(map(SeenPod.from_object, self.pods.values())),
            job_refusal=self.refusal,
            held=tuple(pod for pod in held if pod),
            uses=uses_of(map(read_pod, self.others), registered.spec.source, registered.spec.path)
            if registered.spec
            else (),
            is_requested=self.is_requested,
            invalid_policies=tuple(each.name for each in read if isinstance(each, Invalid)),
            floors=dict(self.floors),
            restored_at=self.restored_at,
            spent=self.spent,
            server=self.server,
        )
        ticket = reconcile.ticket_for(facts)
        if ticket is not None:
            facts = replace(facts, place=places([ticket], self.running)[uid])
        return replace(facts, **more)  # type: ignore[arg-type]

    def storage(self, registered: Registered) -> Storage:
        if registered.spec is None or isinstance(registered.spec.source, ClaimSource):
            spec = registered.spec or Registered.from_object(checkpoint_object()).spec
            assert spec is not None
            return claimed_storage(spec, self.claim, self.volume, self.storage_class)
        return described_storage(registered.spec)

    # What the operator does.

    def look(self) -> Decision:
        """One look, with all that follows from it."""
        facts = self.facts()
        decision = reconcile.actions_for(facts)
        if decision.finished:
            self.finished.append(decision.finished.reason)
        self.carry_out(decision.before)
        if decision.create is not None:
            decision = self.created(facts, decision.create)
            self.carry_out(decision.before)
        if decision.status is not None:
            self.write()
            self.status_writes += 1
            assert crds.errors(decision.status, crds.schema("modelcheckpoints", "status")) == []
            self.checkpoint["status"] = copy.deepcopy(dict(decision.status))
        if decision.spent is not None:
            self.spent = decision.spent.joined(self.spent)
        self.carry_out(decision.after)
        return decision

    def created(self, facts: Facts, create: CreateJob) -> Decision:
        self.write()
        try:
            answer = self.create(create.manifest)
        except Refused as error:
            return reconcile.job_refused(facts, create, str(error))
        return reconcile.job_started(facts, create, answer)

    def create(self, manifest: Mapping[str, object]) -> Json:
        if self.refuse_jobs:
            raise Refused(self.refuse_jobs)
        job = copy.deepcopy(dict(manifest))
        name = str(step(job, "metadata.name"))
        if name in self.jobs:
            raise Refused(f"jobs.batch {name} already exists")
        step(job, "metadata").update(uid=f"job-{name}", creationTimestamp=instant_text(self.now))  # type: ignore[attr-defined]
        step(job, "spec.template.spec").update(serviceAccount="default")  # type: ignore[attr-defined]
        self.mutate_job(job)
        self.jobs[name] = job
        self.jobs_made += 1
        return job

    def carry_out(self, actions: tuple[Action, ...]) -> None:
        for action in actions:
            match action:
                case DeleteJob(name=name, uid=uid):
                    self.write()
                    if name in self.jobs and step(self.jobs[name], "metadata.uid") == uid:
                        self.delete_job(name)
                case RaiseFloor(vouched=vouched, version=version):
                    self.write()
                    self.floors[vouched] = max(version, self.floors.get(vouched, 0))
                case Event():
                    self.events.append(action)
                case EvictPod(name=name):
                    self.write()
                    self.evictions.append(name)
                case _:
                    raise AssertionError(action)

    def write(self) -> None:
        """One write to the API; the operator may end just before it."""
        if self.crash_after is not None:
            if not self.crash_after:
                self.crash_after = None
                raise Crash
            self.crash_after -= 1

    # What the cluster does.

    def delete_job(self, name: str) -> None:
        uid = step(self.jobs.pop(name), "metadata.uid")
        self.pods = {
            key: pod
            for key, pod in self.pods.items()
            if step(pod, "metadata.ownerReferences.0.uid") != uid
        }

    def run_jobs(self, **changes: object) -> None:
        """Every Job that has not ended runs its pods and ends."""
        for job in list(self.jobs.values()):
            if "status" not in job:
                for index in range(int(str(step(job, "spec.completions")))):
                    self.run_pod(job, index, **changes)
                self.end_job(job, "Complete")

    def end_job(self, job: Json, kind: str, reason: str = "") -> None:
        job["status"] = {
            "conditions": [
                {
                    "type": kind,
                    "status": "True",
                    "reason": reason,
                    "message": "",
                    "lastTransitionTime": instant_text(self.now),
                }
            ]
        }

    def start_pod(self, job: Json, index: int = 0, *, node: str = "node-a") -> Json:
        template = step(job, "spec.template")
        assert isinstance(template, dict)
        spec = copy.deepcopy(template["spec"])
        spec.update(
            nodeName=node,
            priority=0,
            tolerations=[{"key": "node.kubernetes.io/not-ready", "operator": "Exists"}],
        )
        metadata = copy.deepcopy(template["metadata"])
        name = f"{step(job, 'metadata.name')}-{index}"
        owner = {"kind": "Job", "uid": step(job, "metadata.uid"), "controller": True}
        metadata.update(
            name=name,
            namespace=NAMESPACE,
            uid=f"pod-{name}-{next(self.numbers)}",
            creationTimestamp=instant_text(self.now),
            ownerReferences=[owner],
        )
        metadata["annotations"]["batch.kubernetes.io/job-completion-index"] = str(index)
        pod: Json = {"metadata": metadata, "spec": spec, "status": {"phase": "Pending"}}
        self.pods[metadata["uid"]] = pod
        return pod

    def run_pod(self, job: Json, index: int = 0, **changes: object) -> Json:
        """A pod that ends with a report; `changes` are to the report."""
        pod = self.start_pod(job, index)
        request = request_of(job)
        report = replace(self.report(request, index), **changes)  # type: ignore[arg-type]
        pod["status"] = succeeded(report_json(report).decode(), str(step(job, IMAGE_PATH)))
        return pod

    def report(self, request: Request, index: int) -> Report:
        signed = [key for key in self.content.signers if key in request.trust]
        good = self.content.reason is Reason.VERIFIED
        reason = self.content.reason if signed or not good else Reason.SIGNER_UNTRUSTED
        if reason is Reason.VERIFIED and not any(key.algorithm.is_post_quantum for key in signed):
            reason = Reason.CLASSICAL_ONLY
        shard = Shard(index, request.shard.count) if request.shard else None
        return Report(
            nonce=request.nonce,
            reason=reason,
            message="as it was found",
            hint="",
            model=self.content.model if signed else None,
            digest=ROOT if signed else None,
            signatures=tuple(
                ReportedSignature(key.algorithm, key.keyid, True, True, True)
                if key in signed
                else ReportedSignature(key.algorithm, key.keyid, None, False, True)
                for key in self.content.signers
            ),
            payload="cd" * 32 if signed else None,
            shard=shard,
            files=3,
            bytes=1000,
            milliseconds=500,
            device="cpu",
            started_at=self.now,
            version="0.1.0",
        )

    def pass_time(self, **amount: float) -> None:
        self.now += timedelta(**amount)

    def settle(self, looks: int = 12) -> None:
        """Look, and let Jobs run, until nothing changes any more."""
        for _ in range(looks):
            before = (copy.deepcopy(self.checkpoint), copy.deepcopy(self.jobs))
            self.run_jobs()
            self.look()
            if before == (self.checkpoint, self.jobs):
                return
        raise AssertionError(f"does not settle: {self.status}")


IMAGE_PATH = "spec.template.spec.containers.0.image"


def step(value: object, path: str) -> object:
    for key in path.split("."):
        if isinstance(value, list):
            value = value[int(key)]
        else:
            assert isinstance(value, dict), path
            value = value[key]
    return value


def request_of(job: Json) -> Request:
    arguments = step(job, "spec.template.spec.containers.0.args")
    assert isinstance(arguments, list)
    pieces = [each.removeprefix("--request=") for each in arguments if "--request=" in each]
    return parse_request("".join(pieces))


def succeeded(message: str, image: str) -> Json:
    state = {"terminated": {"exitCode": 0, "reason": "Completed", "message": message}}
    container = {"name": "verifier", "imageID": image, "restartCount": 0, "state": state}
    return {"phase": "Succeeded", "containerStatuses": [container]}


def pod_object(
    name: str = "trainer", *, read_only: bool = True, phase: str = "Running", **more: object
) -> Json:
    """A pod that mounts the claim."""
    return {
        "metadata": {
            "name": name,
            "uid": f"uid-of-{name}",
            "namespace": NAMESPACE,
            "creationTimestamp": instant_text(NOW),
        },
        "spec": {
            "nodeName": "node-a",
            "volumes": [
                {
                    "name": "models",
                    "persistentVolumeClaim": {"claimName": "llama", "readOnly": read_only},
                }
            ],
            "containers": [
                {"name": "main", "volumeMounts": [{"name": "models", "mountPath": "/models"}]}
            ],
            **more,
        },
        "status": {"phase": phase},
    }
