"""Why a verification in flight will not answer, or what it waits for.

A Job says little by itself: one that may not make pods looks like one that has not begun. So what
its pods, its controller and the scheduler say is read together, and patience ends somewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from weightlock.reasons import Reason
from weightlock_operator.decision.seen import SeenContainer, SeenJob, SeenPod

ASKED_AFTER: Final = (timedelta(seconds=10), timedelta(minutes=1))
"""How long a Job may be without a pod before its controller's events are looked at, and again."""

PATIENCE: Final = timedelta(minutes=5)
"""How long a pod may fail to pull, or a Job to make a pod, before the attempt is given up."""

START_PATIENCE: Final = timedelta(minutes=20)
"""How long a pod may take to mount and to pull: volumes attach slowly, and images are large."""

QUEUE_PATIENCE: Final = timedelta(hours=24)
"""How long a Job may wait for whoever manages its queue. It takes nobody else's turn meanwhile; but
a queue that is not there would keep it for ever, and a policy that was put right would not help."""

CACHE_LAG: Final = timedelta(seconds=30)
"""How long a finished Job may be without its pods, as seen by somebody who watches both."""

_IMAGE_TROUBLE: Final = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
    }
)
_EVICTED: Final = frozenset({"Evicted", "Preempting", "Preempted", "UnexpectedAdmissionError"})
_NOT_CREATED: Final = frozenset({"CreateContainerConfigError", "CreateContainerError"})
_NO_POD: Final = "a quota, a limit range or pod security refuses it; see kubectl describe job"
_SUSPENDED: Final = "it is suspended until whoever manages its queue starts it"
_NO_QUEUE: Final = "see that verification.queueName is a queue that somebody manages"
_TOO_LONG: Final = "the verification took longer than limits.deadline"
_NODE_GONE: Final = frozenset(
    {"NodeLost", "NodeShutdown", "Shutdown", "Terminated", "NodeAffinity"}
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why there will be none."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """None yet. `look_again_at` is when waiting longer may make no sense."""

    is_unscheduled: bool = False
    message: str = ""
    look_again_at: datetime | None = None
    refusal: str = ""
    """Why the Job may not make pods, as its controller says."""


def trouble(job: SeenJob, pods: Sequence[SeenPod], refusal: str, now: datetime) -> Trouble | None:
    """Why there will be no answer. `refusal` is what the Job's controller says, "" for nothing."""
    for pod in pods:
        found = _trouble_of(pod, now)
        if found is not None:
            return found
    if job.failure == "DeadlineExceeded":
        said = next((pod.unschedulable for pod in pods if pod.unschedulable), "")
        late = Trouble(Reason.DEADLINE_EXCEEDED, _TOO_LONG)
        return Trouble(Reason.UNSCHEDULABLE, said) if said else late
    if not job.is_finished:
        return _podless(job, pods, refusal, now)
    if now < (job.finished_at or now) + CACHE_LAG:
        return None
    return _silence(job, pods)


def _silence(job: SeenJob, pods: Sequence[SeenPod]) -> Trouble:
    """What a Job has come to that ended, and of which nothing is left to be read."""
    if job.failure:
        return Trouble(Reason.VERIFIER_CRASHED, f"{job.failure}: {job.message}")
    if any(pod.phase != "Succeeded" for pod in pods):
        said = f"the Job {job.name} ended, and not all of its pods"
        return Trouble(Reason.VERIFIER_TAMPERED, said)
    # A node that was removed takes its pods along, and so may whoever deletes pods.
    said = f"pods of the Job {job.name} were deleted before their report was read"
    return Trouble(Reason.VERIFIER_EVICTED, said)


def asks_why(job: SeenJob, pods: Sequence[SeenPod], now: datetime) -> bool:
    """Whether a Job is without pods for so long that its controller may have said why."""
    return _is_podless(job, pods) and now >= _begun(job) + ASKED_AFTER[0]


def _is_podless(job: SeenJob, pods: Sequence[SeenPod]) -> bool:
    return not (pods or job.is_finished or job.is_suspended)


def _podless(job: SeenJob, pods: Sequence[SeenPod], refusal: str, now: datetime) -> Trouble | None:
    """A Job that may not make pods never says so itself, and would keep its turn to the end."""
    if job.is_suspended:
        return _queued(job, now)
    if pods or now < _begun(job) + PATIENCE:
        return None
    return Trouble(Reason.JOB_REFUSED, f"the Job {job.name} has made no pod: {refusal or _NO_POD}")


def _queued(job: SeenJob, now: datetime) -> Trouble | None:
    if now < _suspended_at(job) + QUEUE_PATIENCE:
        return None
    message = f"the Job {job.name} was suspended for {QUEUE_PATIENCE}; {_NO_QUEUE}"
    return Trouble(Reason.UNSCHEDULABLE, message)


def _suspended_at(job: SeenJob) -> datetime:
    return job.suspended_at or job.created_at


def _begun(job: SeenJob) -> datetime:
    return job.started_at or job.created_at


def _trouble_of(pod: SeenPod, now: datetime) -> Trouble | None:
    container = pod.containers[0] if pod.containers else SeenContainer()
    if pod.phase == "Failed":
        return _failure(pod, container)
    if pod.phase == "Unknown":
        return Trouble(Reason.NODE_LOST, f"the node {pod.node} answers no more")
    is_waiting = container.exit_code is None and container.reason
    return _not_starting(pod, container, now) if is_waiting else None


def _not_starting(pod: SeenPod, container: SeenContainer, now: datetime) -> Trouble | None:
    waited = now - (pod.accepted_at or pod.created_at)
    if waited < PATIENCE:
        return None
    said = f"{container.reason}: {container.message}" if container.message else container.reason
    if container.reason in _IMAGE_TROUBLE:
        return Trouble(Reason.IMAGE_UNAVAILABLE, said)
    if container.reason in _NOT_CREATED:
        return Trouble(Reason.STORAGE_UNAVAILABLE, f"the pod {pod.name} does not start: {said}")
    if waited < START_PATIENCE:
        return None
    message = f"the pod {pod.name} has not started for {START_PATIENCE}: {said}"
    return Trouble(Reason.STORAGE_UNAVAILABLE, f"{message}; see kubectl describe pod")


def _failure(pod: SeenPod, container: SeenContainer) -> Trouble:
    if pod.reason in _EVICTED:
        return Trouble(Reason.VERIFIER_EVICTED, f"{pod.reason}: {pod.message}")
    if pod.reason in _NODE_GONE:
        return Trouble(Reason.NODE_LOST, f"the node {pod.node}: {pod.reason}")
    if pod.reason == "DeadlineExceeded":
        return Trouble(Reason.DEADLINE_EXCEEDED, _TOO_LONG)
    if container.reason == "OOMKilled":
        return Trouble(Reason.OUT_OF_MEMORY, "the verifier needs more memory than its limit")
    code = container.exit_code if container.exit_code is not None else pod.reason
    return Trouble(Reason.VERIFIER_CRASHED, f"the verifier in {pod.name} ended with {code}")


def waiting(job: SeenJob, pods: Sequence[SeenPod], refusal: str, now: datetime) -> Waiting:
    """What it waits for, and when to look again."""
    unscheduled = all(not pod.node for pod in pods)
    said = next((pod.unschedulable for pod in pods if pod.unschedulable), "")
    waits = [
        (pod.accepted_at or pod.created_at) + patience
        for pod in pods
        if pod.containers and not pod.is_over
        for patience in (PATIENCE, START_PATIENCE)
    ]
    if job.is_finished:
        waits.append((job.finished_at or now) + CACHE_LAG)
    elif job.is_suspended:
        said = said or _SUSPENDED
        waits.append(_suspended_at(job) + QUEUE_PATIENCE)
    elif not pods:
        waits += [_begun(job) + patience for patience in (*ASKED_AFTER, PATIENCE)]
    later = min((each for each in waits if each > now), default=None)
    if refusal and _is_podless(job, pods):
        message = f"the Job {job.name} has made no pod yet: {refusal}"
        return Waiting(unscheduled, message, later, message)
    return Waiting(unscheduled, said, later)
