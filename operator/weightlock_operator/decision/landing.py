"""What becomes of the verification in flight: it goes on, or is over and leaves something behind.

A flight that is about something else by now is called off: another spec, another storage, no policy
left. A changed policy is no reason: its report says who signed, and that is judged afterwards.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from weightlock.policy.checkpoints import RecordedSignature, VolumeStatus
from weightlock.policy.hashing import policy_hash
from weightlock.policy.requirements import trusted_keys
from weightlock.reasons import Reason, Verdict
from weightlock.verdict.records import VerdictRecord
from weightlock.verdict.seal import seal
from weightlock_operator.decision.actions import Action, DeleteJob, Finished
from weightlock_operator.decision.backoff import delay_after
from weightlock_operator.decision.facts import Facts
from weightlock_operator.decision.flights import DeviceKind, Flight
from weightlock_operator.decision.jobs import KEPT_FOR
from weightlock_operator.decision.memory import Basis, Memory, VerifierInfo, Word
from weightlock_operator.decision.reports import Landed, outcome_of
from weightlock_operator.decision.seen import SeenJob
from weightlock_operator.decision.storage import StorageState
from weightlock_operator.decision.troubles import Trouble, Waiting

COOLDOWN: Final = timedelta(seconds=30)
"""From one start to the next, where the first is called off: a spec that flips makes few Jobs."""

ORPHAN_AGE: Final = timedelta(minutes=1)

_UNSEEN: Final = "the claim was bound while it was read, and nobody saw to what"

MOST_KEYS: Final = 64
KEY_DIGITS: Final = 16


@dataclass(frozen=True, slots=True)
class Step:
    """What is known after looking at the flight, and what has to be done for it."""

    memory: Memory
    before: tuple[Action, ...] = ()
    after: tuple[DeleteJob, ...] = ()
    """What may go once the status says what came of it: a Job is the evidence until then."""

    finished: Finished | None = None
    waiting: Waiting | None = None
    falls_back: bool = False
    """Whether the device did not come, and the CPU takes over in the same slot."""


def landed(memory: Memory, facts: Facts) -> Step:
    """Look at the flight, if there is one."""
    flight = memory.flight
    if flight is None:
        return Step(memory)
    grounded = replace(memory, flight=None, queued_since=None)
    delete = DeleteJob(facts.checkpoint.metadata.namespace, flight.job, flight.job_uid)
    if is_obsolete(flight, facts):
        again = max(facts.now, min(flight.started_at, facts.now) + COOLDOWN)
        return Step(replace(grounded, attempts=0, trouble=None, next_attempt=again), (delete,))
    outcome = outcome_of(flight, facts)
    if isinstance(outcome, Waiting):
        if _gives_up_device(flight, outcome, facts):
            return Step(grounded, (delete,), falls_back=True)
        return Step(replace(memory, flight=_bound(flight, facts)), waiting=outcome)
    if isinstance(outcome, Landed) and _bound(flight, facts) != flight:
        # It answered before anybody had seen what the claim was bound to while it read.
        outcome = Trouble(Reason.CHANGED_WHILE_READING, _UNSEEN)
    if isinstance(outcome, Trouble):
        return _troubled(grounded, flight, outcome, facts, delete)
    # What has answered stays until its time is over; shares that still run need not go on.
    unfinished = any(each.uid == flight.job_uid and not each.is_finished for each in facts.jobs)
    is_failed = outcome.report.verdict is Verdict.FAILED
    return Step(
        _answered(grounded, flight, outcome, facts),
        after=(delete,) if is_failed and unfinished else (),
        finished=_finished(outcome),
    )


def is_obsolete(flight: Flight, facts: Facts) -> bool:
    """Whether nobody wants to know any more what the verification would find."""
    checkpoint, storage = facts.checkpoint, facts.storage
    if checkpoint.spec is None or not facts.composition.policies:
        return True
    if flight.generation != checkpoint.metadata.generation:
        return True
    if storage.state is StorageState.WAITS_FOR_CONSUMER:
        return _bound_late(flight.volume) != VolumeStatus(
            storage.claim_uid, path=flight.volume.path
        )
    return storage.volume is None or not is_volume_of(flight, storage.volume)


def is_volume_of(flight: Flight, volume: VolumeStatus) -> bool:
    """Whether the Job read this volume, or one that the claim was bound to later."""
    if _is_bound(flight):
        return flight.volume == volume
    return flight.volume == _bound_late(volume)


def _bound(flight: Flight, facts: Facts) -> Flight:
    """The flight with what its claim was bound to, once that is known.

    A claim that has lost its volume can be bound again, to another of the same name (A28). So a
    claim that was bound for the Job is held to the volume that it was first seen with.
    """
    volume = facts.storage.volume
    return flight if volume is None or _is_bound(flight) else replace(flight, volume=volume)


def _is_bound(flight: Flight) -> bool:
    return bool(flight.volume.pv_name) or not flight.volume.pvc_uid


def _bound_late(volume: VolumeStatus) -> VolumeStatus:
    return VolumeStatus(volume.pvc_uid, path=volume.path)


def orphans(memory: Memory, facts: Facts) -> tuple[DeleteJob, ...]:
    """Jobs of ours that are of no use: those that no status knows, and those that ended long ago.

    One that has ended is of no use either once its claim is being deleted: its pod would keep the
    claim from going for as long as the Job is there.

    The operator may end between making a Job and recording it. Such a Job is never believed; but
    one that was made just now may be one whose status is not here yet. What has ended is deleted
    here only where the server does not do it.
    """
    flying = memory.flight.job_uid if memory.flight else ""
    return tuple(
        DeleteJob(facts.checkpoint.metadata.namespace, job.name, job.uid)
        for job in facts.jobs
        if job.uid != flying and _is_useless(job, facts)
    )


def _is_useless(job: SeenJob, facts: Facts) -> bool:
    if not job.is_ours_by_label or job.checkpoint_uid != facts.checkpoint.metadata.uid:
        return False
    if job.is_finished:
        return (
            facts.storage.is_being_deleted
            or facts.now >= (job.finished_at or job.created_at) + 2 * KEPT_FOR
        )
    return facts.now >= job.created_at + ORPHAN_AGE


def _gives_up_device(flight: Flight, waiting: Waiting, facts: Facts) -> bool:
    fallback = facts.composition.verification.device.fallback
    if fallback is None or flight.device is DeviceKind.CPU or not waiting.is_unscheduled:
        return False
    return facts.now >= flight.started_at + fallback.after


def _troubled(
    grounded: Memory, flight: Flight, trouble: Trouble, facts: Facts, delete: DeleteJob
) -> Step:
    attempts = grounded.attempts + 1
    wait = delay_after(attempts, facts.composition.limits.retries, flight.checkpoint_uid)
    memory = replace(
        grounded,
        attempts=attempts,
        trouble=Word(trouble.reason, trouble.message),
        next_attempt=facts.now + wait,
        basis=grounded.basis if grounded.failed else _basis(flight, facts),
    )
    seconds = (facts.now - flight.started_at).total_seconds()
    finished = Finished(Verdict.ERROR, trouble.reason, flight.device.value, seconds)
    return Step(memory, after=(delete,), finished=finished)


def _answered(grounded: Memory, flight: Flight, outcome: Landed, facts: Facts) -> Memory:
    report = outcome.report
    began = min(outcome.verified_at, facts.now)
    memory = replace(
        grounded,
        record=None,
        seal="",
        failed=None,
        looked_at=began,
        basis=_basis(flight, facts),
        verifier=_verifier(flight, outcome, facts),
        attempts=0,
        trouble=None,
        next_attempt=None,
    )
    if not report.is_good:
        return replace(memory, failed=Word(report.reason, report.message))
    record = _record(flight, outcome, facts)
    return replace(memory, record=record, seal=seal(record, facts.seal_keys[0]))


def _record(flight: Flight, outcome: Landed, facts: Facts) -> VerdictRecord:
    report = outcome.report
    return VerdictRecord(
        checkpoint_uid=flight.checkpoint_uid,
        generation=flight.generation,
        volume=facts.storage.volume or flight.volume,
        digest=report.digest,
        signatures=tuple(
            RecordedSignature(each.algorithm, each.keyid)
            for each in report.signatures
            if each.valid and each.trusted and each.algorithm is not None
        ),
        model=report.model,
        policy_hash=flight.policy_hash,
        verifier_image=_image(flight, facts),
        verified_at=min(outcome.verified_at, facts.now),
    )


def _basis(flight: Flight, facts: Facts) -> Basis:
    return Basis(flight.generation, facts.storage.volume, flight.policy_hash)


def _image(flight: Flight, facts: Facts) -> str:
    installation = facts.installation
    on_device = flight.device is DeviceKind.DEVICE
    return installation.device_image if on_device else installation.cpu_image


def _verifier(flight: Flight, outcome: Landed, facts: Facts) -> VerifierInfo:
    report = outcome.report
    job = next((each for each in facts.jobs if each.uid == flight.job_uid), None)
    keys: tuple[str, ...] = ()
    if flight.policy_hash == policy_hash(facts.composition.policies):
        known = trusted_keys(facts.composition.requirements)
        keys = tuple(sorted({key.keyid[:KEY_DIGITS] for key in known}))
    return VerifierInfo(
        image=_image(flight, facts),
        job=flight.job,
        node=outcome.node,
        device=report.device,
        files=report.files,
        bytes=report.bytes,
        milliseconds=report.milliseconds,
        shards=job.completions if job else 1,
        keys=keys if len(keys) <= MOST_KEYS else (),
    )


def _finished(outcome: Landed) -> Finished:
    report = outcome.report
    return Finished(report.verdict, report.reason, report.device, report.seconds, report.bytes)
