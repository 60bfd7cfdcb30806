"""From facts about a checkpoint to what to do about it: pure, and the same for whoever asks.

Levels, never edges: what was recorded and what is there decide, not what happened. So a missed
event, a repeated one and a restart in between lead to the same state. The steps:

1. read the memory back out of the status; without a seal key nothing in it can be believed
2. look at the verification in flight: it goes on, is over, or is called off
3. drop a record that counts no more; judge one that does, under the policies of now
4. decide whether a verification is wanted, and whether one can start
5. say one word: phase, reason, message
6. act: the rollback floor before the status; what has landed goes, events and evictions after it
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from weightlock.errors import LimitExceeded, Malformed
from weightlock.policy.checkpoints import VolumeStatus
from weightlock.policy.hashing import policy_hash
from weightlock.reasons import Reason, Verdict
from weightlock.verdict.seal import seal_intact
from weightlock_operator.decision import jobs, needs, standing, statuses
from weightlock_operator.decision.actions import (
    Action,
    CreateJob,
    Decision,
    DeleteJob,
    RaiseFloor,
    earliest,
)
from weightlock_operator.decision.announcing import EVICT_EVERY, announced, evicted, refused
from weightlock_operator.decision.backoff import delay_after
from weightlock_operator.decision.facts import Facts
from weightlock_operator.decision.flights import DeviceKind, Flight
from weightlock_operator.decision.floors import news_of
from weightlock_operator.decision.landing import ORPHAN_AGE, Step, orphans
from weightlock_operator.decision.looks import Look, look_at, order_of, word_of
from weightlock_operator.decision.memory import Memory, Word
from weightlock_operator.decision.pod_specs import changed_fields
from weightlock_operator.decision.queue import Place, Ticket
from weightlock_operator.decision.seen import SeenJob, template_spec
from weightlock_operator.decision.spent import Spent, spent

NO_KEY_RETRY: Final = timedelta(seconds=10)
NOT_KEPT_RETRY: Final = timedelta(minutes=5)
"""Nobody says when a version that was refused can be remembered; asking reads nothing again."""


def actions_for(facts: Facts) -> Decision:
    """What to do about a checkpoint."""
    if facts.checkpoint.is_deleting:
        return Decision()
    if not facts.seal_keys:
        return Decision(requeue_after=NO_KEY_RETRY)
    look = look_at(facts)
    order = order_of(look)
    if order is not None:
        return _started(look, order)
    return _decision(look, look.memory, word_of(look))


def ticket_for(facts: Facts) -> Ticket | None:
    """A place in the queue, if the checkpoint wants to be verified and only a turn is missing.

    `facts.place` is not looked at: whoever asks finds the place with the ticket, and puts it there.
    """
    if not facts.seal_keys or facts.checkpoint.is_deleting:
        return None
    look = look_at(replace(facts, place=Place()))
    return _ticket(look, look.memory)


def job_started(facts: Facts, create: CreateJob, answer: object) -> Decision:
    """What follows once the API server has answered that the Job exists."""
    look = look_at(facts)
    try:
        job = SeenJob.from_object(answer)
        changed = changed_fields(template_spec(create.manifest), template_spec(answer))
    except Malformed as error:
        return job_refused(facts, create, error.message)
    if changed:
        message = f"something changed the Job on its way into the cluster: {', '.join(changed)}"
        delete = DeleteJob(facts.checkpoint.metadata.namespace, job.name, job.uid)
        refused = job_refused(facts, create, message)
        return replace(refused, after=(delete, *refused.after))
    flight = _flight(create, job, facts)
    memory = replace(create.memory, flight=flight, queued_since=None, next_attempt=None)
    running = replace(look, step=Step(memory), memory=memory, need=None, blocked=None)
    return _decision(running, memory, word_of(running))


def job_refused(facts: Facts, create: CreateJob, message: str) -> Decision:
    """What follows once the API server has refused the Job, for a quota or a pod security level."""
    look, memory = look_at(facts), create.memory
    attempts = memory.attempts + 1
    uid = facts.checkpoint.metadata.uid
    wait = delay_after(attempts, facts.composition.limits.retries, uid)
    memory = replace(
        memory,
        flight=None,
        attempts=attempts,
        trouble=Word(Reason.JOB_REFUSED, message),
        next_attempt=facts.now + wait,
        basis=memory.basis if memory.failed else needs.basis_of(facts),
    )
    blocked = needs.blocked(memory, facts)
    troubled = replace(look, step=Step(memory), memory=memory, blocked=blocked)
    return _decision(troubled, memory, word_of(troubled))


def _started(look: Look, order: jobs.Order) -> Decision:
    facts = look.facts
    try:
        manifest = jobs.job_for(order)
    except LimitExceeded as error:
        create = CreateJob({}, look.memory, order.device)
        return job_refused(facts, create, f"{error.message}. {error.hint}")
    word = word_of(look)
    return Decision(
        # Whatever the next Job comes after, it must not run beside it. A floor that is refused must
        # be known before there is a Job, or it would be taken back and made again and again.
        before=(
            *look.step.before,
            *look.step.after,
            *_orphans(look, look.memory),
            *_raised_floor(look.memory, word, facts),
        ),
        create=CreateJob(manifest, look.memory, order.device),
        is_flying=True,
        verdict=word.verdict,
        reason=word.reason,
        admits=word.admits,
        finished=look.step.finished,
    )


def _decision(look: Look, memory: Memory, word: Word) -> Decision:
    """Step 6."""
    facts = look.facts
    waiting = _waits_for(look, memory)
    evictions = evicted(word, facts)
    again_at = _again_at(look, memory)
    if word.reason is Reason.VERSION_NOT_KEPT:
        again_at = earliest(again_at, facts.now + NOT_KEPT_RETRY)
    if evictions:
        again_at = earliest(again_at, facts.now + EVICT_EVERY)
    before: tuple[Action, ...] = (
        *look.step.before,
        *_orphans(look, memory),
        *_raised_floor(memory, word, facts),
    )
    return Decision(
        before=before,
        status=statuses.new_status(memory, word, waiting, facts),
        after=(
            *look.step.after,
            *announced(look.before, memory, word, facts),
            *refused(waiting, memory, facts),
            *evictions,
        ),
        requeue_after=again_at - facts.now if again_at else None,
        ticket=_ticket(look, memory),
        is_flying=memory.flight is not None,
        verdict=word.verdict,
        reason=word.reason,
        admits=word.admits,
        finished=look.step.finished,
        spent=_spent(look, memory),
    )


def _waits_for(look: Look, memory: Memory) -> Word | None:
    """What keeps a verification that is wanted from running."""
    if memory.flight is None:
        return look.blocked.word if look.blocked else None
    refusal = look.step.waiting.refusal if look.step.waiting else ""
    return Word(Reason.JOB_REFUSED, refusal) if refusal else None


def _spent(look: Look, memory: Memory) -> Spent | None:
    """What is not kept is spent, also if somebody took it out of the status before this look."""
    before, facts = look.before, look.facts
    # A forged record must spend nothing.
    is_ours = before.record and seal_intact(before.record, before.seal, facts.seal_keys)
    known = (
        look.step.memory.record,
        before.record if is_ours else None,
        facts.spent.kept if facts.spent else None,
    )
    return spent(memory.record, known, facts.now)


def _orphans(look: Look, memory: Memory) -> tuple[DeleteJob, ...]:
    """Without the Job that has just landed: it goes after the status, or not at all yet."""
    return tuple(each for each in orphans(memory, look.facts) if each not in look.step.after)


def _raised_floor(memory: Memory, word: Word, facts: Facts) -> tuple[RaiseFloor, ...]:
    """The version is remembered before anybody may load it, or a crash would forget it (A22)."""
    record = memory.record
    if record is None or record.model is None or word.verdict is not Verdict.VERIFIED:
        return ()
    version = record.model.version
    return tuple(RaiseFloor(each, version) for each in news_of(record, facts))


def _again_at(look: Look, memory: Memory) -> datetime | None:
    facts, waiting = look.facts, look.step.waiting
    fallback = facts.composition.verification.device.fallback
    began = memory.record.verified_at if memory.record else memory.looked_at
    has_policy = bool(facts.composition.policies) and memory.flight is None
    moments: list[datetime | None] = [
        look.blocked.until if look.blocked else None,
        waiting.look_again_at if waiting else None,
        facts.now + ORPHAN_AGE if look.step.after else None,  # whether it is gone
        standing.next_change(memory, facts),
        standing.refresh_at(began, facts) if began and has_policy else None,
    ]
    flight = memory.flight
    flying = flight.job_uid if flight else ""
    moments += [
        job.created_at + ORPHAN_AGE
        for job in facts.jobs
        if job.uid != flying and not job.is_finished
    ]
    if flight is not None and fallback is not None and flight.device is DeviceKind.DEVICE:
        moments.append(flight.started_at + fallback.after)
    return earliest(*(each for each in moments if each is not None and each > facts.now))


def _ticket(look: Look, memory: Memory) -> Ticket | None:
    """A place in the queue, for whoever only waits for a turn."""
    if look.blocked is None or not look.blocked.waits_for_turn:
        return None
    facts, limits = look.facts, needs.limits_of_turns(look.facts)
    return Ticket(
        checkpoint_uid=facts.checkpoint.metadata.uid,
        namespace=facts.checkpoint.metadata.namespace,
        since=memory.queued_since or facts.now,
        is_awaited=bool(facts.held) or facts.is_requested,
        per_namespace=limits.per_namespace,
        totals=needs.totals_of(facts.composition),
    )


def _flight(create: CreateJob, job: SeenJob, facts: Facts) -> Flight:
    metadata, storage = facts.checkpoint.metadata, facts.storage
    spec = facts.checkpoint.spec
    path = spec.path if spec else VolumeStatus().path
    return Flight(
        checkpoint_uid=metadata.uid,
        generation=metadata.generation,
        job=job.name,
        job_uid=job.uid,
        nonce=facts.nonce,
        attempt=create.memory.attempts + 1,
        pod_spec_hash=job.template_hash,
        device=create.device,
        policy_hash=policy_hash(facts.composition.policies),
        started_at=facts.now,
        volume=storage.volume or VolumeStatus(storage.claim_uid, path=path),
    )
