"""Whether a verification in flight has answered, and whether its answer counts.

The Job runs in a namespace whose tenants may do much there. So of everything that looks like a
report only this counts, in this order; whatever else there is makes it VerifierTampered (A07, A08):

1. the Job has the uid that was sealed, our checkpoint for its owner, and the template that was sent
2. each of its pods belongs to that uid, and is that template to the letter
3. nothing else ever ran in the pod: no init, ephemeral or second container, no restart
4. what ran was our image, by its digest
5. there is one succeeded pod for each share, and not two
6. its message is a report, to the letter, and answers this request for this share
7. the reports of all shares agree on what was signed
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from weightlock.errors import Malformed
from weightlock.reasons import Reason, Verdict
from weightlock.reporting import Report, merged, parse_report
from weightlock_operator.decision.facts import Facts, Installation
from weightlock_operator.decision.flights import Flight
from weightlock_operator.decision.seen import SeenContainer, SeenJob, SeenPod

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
class Landed:
    """A report that counts. `verified_at` is when reading began, at the earliest."""

    report: Report
    verified_at: datetime
    node: str


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


Outcome: TypeAlias = Landed | Trouble | Waiting


class _Tampered(Exception):
    """What makes a report count for nothing; it never leaves this module."""


def outcome_of(flight: Flight, facts: Facts) -> Outcome:
    """What became of a verification."""
    job = next((each for each in facts.jobs if each.uid == flight.job_uid), None)
    try:
        if job is None:
            return _without_job(flight, facts.jobs)
        _check_job(job, flight)
        pods = tuple(pod for pod in facts.pods if pod.job_uid == flight.job_uid)
        for pod in pods:
            _check_pod(pod, flight, facts.installation)
        landed = _landed([pod for pod in pods if pod.phase == "Succeeded"], job)
    except _Tampered as error:
        return Trouble(Reason.VERIFIER_TAMPERED, str(error))
    return landed or _trouble(job, pods, facts.now) or _waiting(job, pods, facts.now)


def _without_job(flight: Flight, jobs: Sequence[SeenJob]) -> Trouble:
    if any(each.name == flight.job for each in jobs):
        raise _Tampered(f"the Job {flight.job} is not the one that the operator made")
    return Trouble(Reason.VERIFIER_EVICTED, f"the Job {flight.job} was deleted before it answered")


def _check_job(job: SeenJob, flight: Flight) -> None:
    # Step 1.
    if job.checkpoint_uid != flight.checkpoint_uid or job.nonce != flight.nonce:
        raise _Tampered(f"the labels or owners of the Job {job.name} were changed")
    if job.template_hash != flight.pod_spec_hash:
        raise _Tampered(f"the pod template of the Job {job.name} was changed")


def _check_pod(pod: SeenPod, flight: Flight, installation: Installation) -> None:
    # Step 2.
    if pod.spec_hash != flight.pod_spec_hash or pod.nonce != flight.nonce:
        raise _Tampered(f"the pod {pod.name} is not as the Job's template says")
    # Step 3.
    if pod.has_others or len(pod.containers) > 1:
        raise _Tampered(f"another container ran in the pod {pod.name}")
    if pod.is_injected:
        raise _Tampered(f"an annotation of the pod {pod.name} asks for devices or mounts")
    for container in pod.containers:
        if container.restarts:
            raise _Tampered(f"the verifier in the pod {pod.name} was restarted")
        # Step 4.
        if container.exit_code is not None and not _is_ours(container, installation, pod):
            raise _Tampered(f"the pod {pod.name} ran another image: {container.image_id:.200}")


def _is_ours(container: SeenContainer, installation: Installation, pod: SeenPod) -> bool:
    accepted = {_digest(each) for each in installation.accepted_image_ids}
    accepted |= {_digest(installation.device_image), _digest(installation.cpu_image)}
    never_ran = not container.image_id and pod.phase != "Succeeded"
    return never_ran or _digest(container.image_id) in accepted - {""}


def _digest(reference: str) -> str:
    """The digest that an image reference or an image id ends with; "" for a tag."""
    _, mark, digits = reference.rpartition("sha256:")
    return digits if mark and len(digits) == 64 and set(digits) <= set("0123456789abcdef") else ""  # noqa: PLR2004


def _landed(pods: Sequence[SeenPod], job: SeenJob) -> Landed | Trouble | None:
    found: dict[int, Report] = {}
    for pod in pods:
        # Step 5.
        index = _index(pod, job)
        if index in found:
            raise _Tampered(f"two pods of the Job {job.name} have answered for share {index}")
        # Step 6.
        found[index] = _report(pod, job, index)
    failed = [each for _, each in sorted(found.items()) if each.verdict is Verdict.FAILED]
    if not found or (not failed and len(found) < job.completions):
        return None
    # Bad content in one share is the answer, whatever the others would say.
    whole = replace(failed[0], shard=None) if failed else _merged(list(found.values()))
    if whole.verdict is Verdict.ERROR:
        return Trouble(whole.reason, whole.message)
    nodes = ", ".join(sorted({pod.node for pod in pods}))
    return Landed(whole, min(pod.created_at for pod in pods), nodes)


def _index(pod: SeenPod, job: SeenJob) -> int:
    index = 0 if job.completions == 1 else pod.index
    if index is None or not 0 <= index < job.completions:
        raise _Tampered(f"the pod {pod.name} answers for no share of the Job {job.name}")
    return index


def _report(pod: SeenPod, job: SeenJob, index: int) -> Report:
    message = pod.containers[0].message if pod.containers else ""
    try:
        report = parse_report(message.encode("utf-8", "surrogatepass"))
    except Malformed as error:
        raise _Tampered(f"the pod {pod.name} ended without a report: {error.message}") from error
    # The template's hash was checked, so how many shares there are is as it was asked.
    shard = (report.shard.index, report.shard.count) if report.shard else (0, 1)
    if report.nonce != job.nonce or shard != (index, job.completions):
        raise _Tampered(f"the pod {pod.name} answers another request")
    return report


def _merged(reports: Sequence[Report]) -> Report:
    # Step 7.
    try:
        return merged(reports)
    except Malformed as error:
        raise _Tampered(f"the shares disagree: {error.message}") from error


def _trouble(job: SeenJob, pods: Sequence[SeenPod], now: datetime) -> Trouble | None:
    for pod in pods:
        found = _trouble_of(pod, now)
        if found is not None:
            return found
    if job.failure == "DeadlineExceeded":
        said = next((pod.unschedulable for pod in pods if pod.unschedulable), "")
        late = Trouble(Reason.DEADLINE_EXCEEDED, _TOO_LONG)
        return Trouble(Reason.UNSCHEDULABLE, said) if said else late
    if not job.is_finished:
        return _podless(job, pods, now)
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


def _podless(job: SeenJob, pods: Sequence[SeenPod], now: datetime) -> Trouble | None:
    """A Job that may not make pods never says so itself, and would keep its turn to the end."""
    if job.is_suspended:
        return _queued(job, now)
    if pods or now < _begun(job) + PATIENCE:
        return None
    return Trouble(Reason.JOB_REFUSED, f"the Job {job.name} has made no pod: {_NO_POD}")


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


def _waiting(job: SeenJob, pods: Sequence[SeenPod], now: datetime) -> Waiting:
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
        waits.append(_begun(job) + PATIENCE)
    later = min((each for each in waits if each > now), default=None)
    return Waiting(unscheduled, said, later)
