"""One look at a checkpoint: what is known of it, and the one word that says so.

weightlock_operator.decision.reconcile lists the steps, and acts on what is seen here.
"""

from dataclasses import dataclass, replace
from typing import Final

from weightlock.reasons import Reason, Verdict
from weightlock_operator.decision import jobs, needs, standing
from weightlock_operator.decision.actions import DeleteJob
from weightlock_operator.decision.backoff import delay_after
from weightlock_operator.decision.facts import Facts
from weightlock_operator.decision.flights import DeviceKind
from weightlock_operator.decision.landing import ORPHAN_AGE, Step, landed, orphans
from weightlock_operator.decision.memory import Memory, Word, recall
from weightlock_operator.decision.needs import Blocked, Need
from weightlock_operator.decision.troubles import Waiting

_NEEDS_THE_CPU: Final = frozenset(
    {Reason.ENGINE_UNAVAILABLE, Reason.ENGINE_FAULT, Reason.UNSCHEDULABLE}
)


@dataclass(frozen=True, slots=True)
class Look:
    """What one look has found."""

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


def look_at(facts: Facts) -> Look:
    """Steps 1 to 4 of weightlock_operator.decision.reconcile."""
    # Step 1.
    before = recall(facts)
    memory = needs.rebased(before, facts)
    # Step 2.
    step = landed(memory, facts)
    # Step 3.
    attempts = memory.attempts
    memory, gone_stale = standing.without_stale(step.memory, facts)
    memory, worth = standing.valued(memory, facts)
    # Step 4.
    need = needs.need(memory, worth, facts) if memory.flight is None else None
    if need is Need.NOTHING_KNOWN and step.finished and step.finished.verdict is not Verdict.ERROR:
        memory = _stillborn(memory, attempts + 1, facts)
    memory = _queued(memory, need, facts)
    blocked = needs.blocked(memory, facts) if need else None
    if need and (blocked is None or blocked.waits_for_turn):
        blocked = _by_job(memory, step, facts) or blocked
    if step.falls_back and blocked is not None and blocked.waits_for_turn:
        blocked = None  # it keeps the turn that it had
    return Look(facts, before, step, memory, worth, gone_stale, need, blocked)


def _by_job(memory: Memory, step: Step, facts: Facts) -> Blocked | None:
    """What keeps a second Job from running beside one that no status knows (A25)."""
    going = (*step.before, *step.after, *orphans(memory, facts))
    gone = {action.uid for action in going if isinstance(action, DeleteJob)}
    for job in facts.jobs:
        is_own = job.is_ours_by_label and job.checkpoint_uid == facts.checkpoint.metadata.uid
        if is_own and not job.is_finished and job.uid not in gone:
            message = f"the Job {job.name}, which counts for nothing, has to end first"
            return Blocked(Word(Reason.QUEUED, message), job.created_at + ORPHAN_AGE)
    return None


def _stillborn(memory: Memory, attempts: int, facts: Facts) -> Memory:
    """The memory after an answer that counted no more when it came, which may happen again.

    A restore in the future, an age that is shorter than the reading takes, clocks that are apart:
    without a pause the next reading would begin at once, for ever.
    """
    wait = delay_after(attempts, facts.composition.limits.retries, facts.checkpoint.metadata.uid)
    return replace(memory, attempts=attempts, next_attempt=facts.now + wait)


def _queued(memory: Memory, need: Need | None, facts: Facts) -> Memory:
    if need is None:
        return memory if memory.flight else replace(memory, queued_since=None)
    memory = replace(memory, queued_since=memory.queued_since or facts.now)
    if need is Need.NOTHING_KNOWN and memory.failed is not None:
        # What failed is about something else by now.
        basis = memory.basis if memory.attempts else None
        return replace(memory, failed=None, looked_at=None, basis=basis)
    return memory


def word_of(look: Look) -> Word:
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
        return Word(Reason.VERIFICATION_RUNNING, _flying(memory.flight.job, look.step.waiting))
    return _waiting_word(look)


def _flying(job: str, waiting: Waiting | None) -> str:
    if waiting and waiting.refusal:
        return waiting.refusal
    said = f": {waiting.message}" if waiting and waiting.message else ""
    return f"the Job {job} verifies the checkpoint{said}"


def _waiting_word(look: Look) -> Word:
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


def order_of(look: Look) -> jobs.Order | None:
    """The verification to start now, if one is wanted and nothing is in its way."""
    spec = look.facts.checkpoint.spec
    if look.need is None or look.blocked is not None or spec is None:
        return None
    known = look.memory.verifier.bytes or None
    return jobs.Order(look.facts, spec, _device(look), jobs.shard_count(look.facts, known))


def _device(look: Look) -> DeviceKind:
    device = look.facts.composition.verification.device
    if not device.resource and not device.resource_claim_template_name:
        return DeviceKind.CPU
    trouble = look.memory.trouble
    gave_up = look.step.falls_back or (trouble is not None and trouble.reason in _NEEDS_THE_CPU)
    return DeviceKind.CPU if device.fallback is not None and gave_up else DeviceKind.DEVICE
