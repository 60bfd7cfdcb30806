"""From facts about a checkpoint to what to do about it: pure, and the same for whoever asks.

Levels, never edges: what was recorded and what is there decide, not what happened. So a missed
event, a repeated one and a restart in between lead to the same state. The steps:

1. read the memory back out of the status; without a seal key nothing in it can be believed
2. look at the verification in flight: it goes on, is over, or is called off
3. drop a record that counts no more; judge one that does, under the policies of now
4. decide whether a verification is wanted, and whether one can start
5. say one word: phase, reason, message
6. act: the rollback floor before the status, events and evictions after it
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from weightlock.errors import LimitExceeded, Malformed
from weightlock.policy.checkpoints import VolumeStatus
from weightlock.policy.hashing import policy_hash
from weightlock.reasons import Reason, Verdict
from weightlock_operator import jobs, needs, standing, statuses
from weightlock_operator.actions import (
    Action,
    CreateJob,
    Decision,
    DeleteJob,
    RaiseFloor,
    earliest,
)
from weightlock_operator.announcing import announced, evicted
from weightlock_operator.backoff import delay_after
from weightlock_operator.facts import Facts
from weightlock_operator.flights import DeviceKind, Flight
from weightlock_operator.landing import ORPHAN_AGE, Step, landed, orphans
from weightlock_operator.memory import Memory, Word, recall
from weightlock_operator.needs import Blocked, Need
from weightlock_operator.pod_specs import changed_fields
from weightlock_operator.queue import Place, Ticket
from weightlock_operator.seen import SeenJob, template_spec

NO_KEY_RETRY: Final = timedelta(seconds=10)
_NEEDS_THE_CPU: Final = frozenset(
    {Reason.ENGINE_UNAVAILABLE, Reason.ENGINE_FAULT, Reason.UNSCHEDULABLE}
)


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at a checkpoint, as far as it got."""

    facts: Facts
    before: Memory
    """What the status said when the look began."""

    step: Step
    memory: Memory
    worth: Word | None
    """What the record is worth now."""

    gone_stale: Word | None
    need: Need | None
    blocked: Blocked | None


def actions_for(facts: Facts) -> Decision:
    """What to do about a checkpoint."""
    if facts.checkpoint.is_deleting:
        return Decision()
    if not facts.seal_keys:
        return Decision(requeue_after=NO_KEY_RETRY)
    look = _look(facts)
    order = _order(look)
    if order is not None:
        return _started(look, order)
    return _decision(look, look.memory, _word(look))


def ticket_for(facts: Facts) -> Ticket | None:
    """A place in the queue, if the checkpoint wants to be verified and only a turn is missing.

    `facts.place` is not looked at: whoever asks finds the place with the ticket, and puts it there.
    """
    if not facts.seal_keys or facts.checkpoint.is_deleting:
        return None
    look = _look(replace(facts, place=Place()))
    return _ticket(look, look.memory)


def job_started(facts: Facts, create: CreateJob, answer: object) -> Decision:
    """What follows once the API server has answered that the Job exists."""
    look = _look(facts)
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
    return _decision(running, memory, _word(running))


def job_refused(facts: Facts, create: CreateJob, message: str) -> Decision:
    """What follows once the API server has refused the Job, for a quota or a pod security level."""
    look, memory = _look(facts), create.memory
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
    return _decision(troubled, memory, _word(troubled))


def _look(facts: Facts) -> _Look:
    # Step 1.
    before = recall(facts)
    memory = needs.rebased(before, facts)
    # Step 2.
    step = landed(memory, facts)
    # Step 3.
    memory, gone_stale = standing.without_stale(step.memory, facts)
    memory, worth = standing.valued(memory, facts)
    # Step 4.
    need = needs.need(memory, worth, facts) if memory.flight is None else None
    memory = _queued(memory, need, facts)
    blocked = needs.blocked(memory, facts) if need else None
    if step.falls_back and blocked is not None and blocked.waits_for_turn:
        blocked = None  # it keeps the turn that it had
    return _Look(facts, before, step, memory, worth, gone_stale, need, blocked)


def _queued(memory: Memory, need: Need | None, facts: Facts) -> Memory:
    if need is None:
        return memory if memory.flight else replace(memory, queued_since=None)
    memory = replace(memory, queued_since=memory.queued_since or facts.now)
    if need is Need.NOTHING_KNOWN and memory.failed is not None:
        # What failed is about something else by now.
        basis = memory.basis if memory.attempts else None
        return replace(memory, failed=None, looked_at=None, basis=basis)
    return memory


def _word(look: _Look) -> Word:
    """Step 5: the one word that the status says."""
    facts, memory = look.facts, look.memory
    if facts.checkpoint.spec is None:
        return Word(Reason.MALFORMED, facts.checkpoint.unusable)
    if not facts.composition.policies:
        return _without_policy(facts)
    if look.worth is not None and memory.record is not None:
        return look.worth
    if memory.failed is not None:
        return memory.failed
    if memory.flight is not None:
        waiting = look.step.waiting
        said = f": {waiting.message}" if waiting and waiting.message else ""
        message = f"the Job {memory.flight.job} verifies the checkpoint{said}"
        return Word(Reason.VERIFICATION_RUNNING, message)
    return _waiting_word(look)


def _waiting_word(look: _Look) -> Word:
    """The word while nobody looks: trouble first, then why the last verdict counts no more."""
    blocked, previous = look.blocked, look.before.word
    queued = Word(Reason.QUEUED, "waits to be verified")
    waiting = blocked.word if blocked else queued
    if waiting.verdict is Verdict.ERROR:
        return waiting
    if look.gone_stale is not None:
        return look.gone_stale
    if previous is not None and previous.verdict is Verdict.STALE and look.before.record is None:
        return previous
    return waiting


def _without_policy(facts: Facts) -> Word:
    if facts.invalid_policies:
        names = ", ".join(sorted(facts.invalid_policies)[: needs.MOST_NAMES])
        return Word(Reason.POLICY_INVALID, f"no usable policy governs the namespace; see {names}")
    message = "no ModelPolicy and no ClusterModelPolicy governs the namespace"
    return Word(Reason.NO_POLICY, message)


def _order(look: _Look) -> jobs.Order | None:
    """The verification to start now, if one is wanted and nothing is in its way."""
    spec = look.facts.checkpoint.spec
    if look.need is None or look.blocked is not None or spec is None:
        return None
    known = look.memory.verifier.bytes or None
    return jobs.Order(look.facts, spec, _device(look), jobs.shard_count(look.facts, known))


def _device(look: _Look) -> DeviceKind:
    device = look.facts.composition.verification.device
    if not device.resource and not device.resource_claim_template_name:
        return DeviceKind.CPU
    trouble = look.memory.trouble
    gave_up = look.step.falls_back or (trouble is not None and trouble.reason in _NEEDS_THE_CPU)
    return DeviceKind.CPU if device.fallback is not None and gave_up else DeviceKind.DEVICE


def _started(look: _Look, order: jobs.Order) -> Decision:
    facts = look.facts
    try:
        manifest = jobs.job_for(order)
    except LimitExceeded as error:
        create = CreateJob({}, look.memory, order.device)
        return job_refused(facts, create, f"{error.message}. {error.hint}")
    word = _word(look)
    return Decision(
        before=(*look.step.before, *orphans(look.memory, facts)),
        create=CreateJob(manifest, look.memory, order.device),
        is_flying=True,
        verdict=word.verdict,
        reason=word.reason,
        admits=word.admits,
        finished=look.step.finished,
    )


def _decision(look: _Look, memory: Memory, word: Word) -> Decision:
    """Step 6."""
    facts = look.facts
    waiting = look.blocked.word if look.blocked else None
    before: tuple[Action, ...] = (
        *look.step.before,
        *orphans(memory, facts),
        *_raised_floor(memory, word, facts),
    )
    return Decision(
        before=before,
        status=statuses.new_status(memory, word, waiting, facts),
        after=(*announced(look.before, memory, word, facts), *evicted(word, facts)),
        requeue_after=_again_after(look, memory),
        ticket=_ticket(look, memory),
        is_flying=memory.flight is not None,
        verdict=word.verdict,
        reason=word.reason,
        admits=word.admits,
        finished=look.step.finished,
    )


def _raised_floor(memory: Memory, word: Word, facts: Facts) -> tuple[RaiseFloor, ...]:
    """The version is remembered before anybody may load it, or a crash would forget it (A22)."""
    model = memory.record.model if memory.record else None
    if model is None or word.verdict is not Verdict.VERIFIED:
        return ()
    if model.version <= facts.floors.get(model.name, 0):
        return ()
    return (RaiseFloor(model.name, model.version),)


def _again_after(look: _Look, memory: Memory) -> timedelta | None:
    facts, waiting = look.facts, look.step.waiting
    fallback = facts.composition.verification.device.fallback
    began = memory.record.verified_at if memory.record else memory.looked_at
    has_policy = bool(facts.composition.policies) and memory.flight is None
    moments: list[datetime | None] = [
        look.blocked.until if look.blocked else None,
        waiting.look_again_at if waiting else None,
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
    later = earliest(*(each for each in moments if each is not None and each > facts.now))
    return later - facts.now if later else None


def _ticket(look: _Look, memory: Memory) -> Ticket | None:
    """A place in the queue, for whoever only waits for a turn."""
    if look.blocked is None or not look.blocked.waits_for_turn:
        return None
    facts, limits = look.facts, look.facts.composition.limits
    return Ticket(
        checkpoint_uid=facts.checkpoint.metadata.uid,
        namespace=facts.checkpoint.metadata.namespace,
        since=memory.queued_since or facts.now,
        is_awaited=bool(facts.held) or facts.is_requested,
        per_namespace=limits.per_namespace,
        total=limits.total,
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
