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
from datetime import datetime
from typing import TypeAlias

from weightlock.errors import Malformed
from weightlock.reasons import Reason, Verdict
from weightlock.reporting import Report, merged, parse_report
from weightlock_operator.decision.facts import Facts, Installation
from weightlock_operator.decision.flights import Flight
from weightlock_operator.decision.seen import SeenContainer, SeenJob, SeenPod
from weightlock_operator.decision.troubles import Course, Trouble, Waiting, trouble, waiting


@dataclass(frozen=True, slots=True)
class Landed:
    """A report that counts. `verified_at` is when reading began, at the earliest."""

    report: Report
    verified_at: datetime
    node: str


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
    course = Course(job, pods, flight.started_at, facts.now, facts.job_refusal)
    return landed or trouble(course) or waiting(course)


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
