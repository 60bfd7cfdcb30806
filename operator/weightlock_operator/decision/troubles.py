"""Why a verification in flight will not answer, or what it waits for.

A Job says little by itself: one that may not make pods looks like one that has not begun. So what
its pods, its controller and the scheduler say is read together, and patience ends somewhere.

Nodes, controllers and the API server have clocks of their own. Patience begins no earlier than the
verification did by ours, or it would have ended before it began where ours is ahead (E10).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from weightlock.reasons import Reason
from weightlock_operator.decision.seen import SeenContainer, SeenJob, SeenPod

ASKED_AFTER: Final = (timedelta(seconds=10), timedelta(seconds=30), timedelta(minutes=1))
"""How long a Job may be without a pod before its controller's events are looked at, and again: a
controller that has much to do says it late."""

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


@dataclass(frozen=True, slots=True)
class Course:
    """How a verification has gone so far."""

    job: SeenJob
    pods: Sequence[SeenPod]
    started_at: datetime
    """By our clock."""

    now: datetime
    refusal: str = ""
    """What the Job's controller says about pods that it could not make."""

    @property
    def has_no_pods(self) -> bool:
        """Whether there should be pods, and there are none."""
        return not (self.pods or self.job.is_finished or self.job.is_suspended)

    @property
    def asks_why(self) -> bool:
        """Whether that is so for so long that the Job's controller may have said why."""
        return self.has_no_pods and self.now >= self.begun_at + ASKED_AFTER[0]

    @property
    def begun_at(self) -> datetime:
        """When the Job's controller took it up."""
        return self._ours(self.job.started_at or self.job.created_at)

    @property
    def suspended_at(self) -> datetime:
        """When it was suspended last."""
        return self._ours(self.job.suspended_at or self.job.created_at)

    def accepted_at(self, pod: SeenPod) -> datetime:
        """When a node took a pod up."""
        return self._ours(pod.accepted_at or pod.created_at)

    def _ours(self, instant: datetime) -> datetime:
        """An instant of another clock; ours may have gone back since, and then says nothing."""
        return max(instant, self.started_at) if self.started_at <= self.now else instant


def trouble(course: Course) -> Trouble | None:
    """Why there will be no answer."""
    job, pods = course.job, course.pods
    for pod in pods:
        found = _trouble_of(pod, course)
        if found is not None:
            return found
    if job.failure == "DeadlineExceeded":
        said = next((pod.unschedulable for pod in pods if pod.unschedulable), "")
        late = Trouble(Reason.DEADLINE_EXCEEDED, _TOO_LONG)
        return Trouble(Reason.UNSCHEDULABLE, said) if said else late
    if not job.is_finished:
        return _podless(course)
    if course.now < (job.finished_at or course.now) + CACHE_LAG:
        return None
    return _silence(job, pods)


def waiting(course: Course) -> Waiting:
    """What it waits for, and when to look again."""
    job, pods, now = course.job, course.pods, course.now
    unscheduled = all(not pod.node for pod in pods)
    said = next((pod.unschedulable for pod in pods if pod.unschedulable), "")
    waits = [
        course.accepted_at(pod) + patience
        for pod in pods
        if pod.containers and not pod.is_over
        for patience in (PATIENCE, START_PATIENCE)
    ]
    if job.is_finished:
        waits.append((job.finished_at or now) + CACHE_LAG)
    elif job.is_suspended:
        said = said or _SUSPENDED
        waits.append(course.suspended_at + QUEUE_PATIENCE)
    elif not pods:
        waits += [course.begun_at + patience for patience in (*ASKED_AFTER, PATIENCE)]
    later = min((each for each in waits if each > now), default=None)
    if course.refusal and course.has_no_pods:
        message = f"the Job {job.name} has made no pod yet: {course.refusal}"
        return Waiting(unscheduled, message, later, message)
    return Waiting(unscheduled, said, later)


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


def _podless(course: Course) -> Trouble | None:
    """A Job that may not make pods never says so itself, and would keep its turn to the end."""
    job = course.job
    if job.is_suspended:
        return _queued(course)
    if not course.has_no_pods or course.now < course.begun_at + PATIENCE:
        return None
    said = course.refusal or _NO_POD
    return Trouble(Reason.JOB_REFUSED, f"the Job {job.name} has made no pod: {said}")


def _queued(course: Course) -> Trouble | None:
    if course.now < course.suspended_at + QUEUE_PATIENCE:
        return None
    message = f"the Job {course.job.name} was suspended for {QUEUE_PATIENCE}; {_NO_QUEUE}"
    return Trouble(Reason.UNSCHEDULABLE, message)


def _trouble_of(pod: SeenPod, course: Course) -> Trouble | None:
    container = pod.containers[0] if pod.containers else SeenContainer()
    if pod.phase == "Failed":
        return _failure(pod, container)
    if pod.phase == "Unknown":
        return Trouble(Reason.NODE_LOST, f"the node {pod.node} answers no more")
    is_waiting = container.exit_code is None and container.reason
    return _not_starting(pod, container, course) if is_waiting else None


def _not_starting(pod: SeenPod, container: SeenContainer, course: Course) -> Trouble | None:
    waited = course.now - course.accepted_at(pod)
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
