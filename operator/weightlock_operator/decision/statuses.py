"""The status of a checkpoint, from what the operator knows. Law: recall(status_of(m)) says m again.

It is written whole, and only if it says something new: a position in the queue is rounded up, so
that a long queue that moves does not write a status for each checkpoint in it at each step.
"""

from datetime import datetime
from typing import Final

from weightlock.policy.scalars import printable
from weightlock.reasons import Reason, Verdict
from weightlock.verdict.records import instant_text
from weightlock.verdict.records import status_of as record_status
from weightlock_operator.decision.conditions import Condition, conditions_of
from weightlock_operator.decision.facts import Facts
from weightlock_operator.decision.flights import volume_fields
from weightlock_operator.decision.memory import SCHEDULED, Memory, VerifierInfo, Word

MOST_USERS: Final = 20
_ADMITTING: Final = frozenset({Verdict.VERIFIED, Verdict.CLASSICAL_ONLY})
_DIGITS: Final = 253


def new_status(
    memory: Memory, word: Word, waiting: Word | None, facts: Facts
) -> dict[str, object] | None:
    """The status to write; None if the old one says the same."""
    status = status_of(memory, word, waiting, facts)
    return None if status == dict(facts.checkpoint.status) else status


def status_of(memory: Memory, word: Word, waiting: Word | None, facts: Facts) -> dict[str, object]:
    """The whole status. `waiting` says what keeps a verification that is wanted from running."""
    status: dict[str, object] = {
        "observedGeneration": facts.checkpoint.metadata.generation,
        "phase": word.verdict.value,
        "reason": word.reason.value,
        "message": printable(word.message),
    }
    status |= _found(memory, facts)
    if memory.verifier != VerifierInfo():
        status["verifier"] = _verifier(memory.verifier)
    if memory.flight is not None:
        status["verification"] = memory.flight.status(facts.seal_keys[0])
    if waiting is not None and memory.flight is None:
        status["queue"] = _queue(memory.queued_since or facts.now, waiting, facts)
    if memory.attempts:
        status["attempts"] = memory.attempts
    if memory.next_attempt is not None:
        status["nextAttempt"] = instant_text(memory.next_attempt)
    if word.verdict not in _ADMITTING and facts.user_count:
        status["users"] = [use.name for use in facts.users[:MOST_USERS]]
        status["userCount"] = facts.user_count
    status["conditions"] = conditions_of(
        _conditions(memory, word, waiting),
        facts.checkpoint.status.get("conditions"),
        facts.checkpoint.metadata.generation,
        facts.now,
    )
    return status


def _found(memory: Memory, facts: Facts) -> dict[str, object]:
    """What was found: the sealed record, or what a failure was about."""
    record = memory.record
    if record is not None:
        fields = {**record_status(record), "seal": memory.seal}
        fields["signatures"] = _named(fields["signatures"], facts)
        if facts.composition.policies:
            expires = facts.composition.binding.expires(record.verified_at)
            fields["expires"] = instant_text(expires)
        return fields
    found: dict[str, object] = {}
    if memory.basis is not None:
        found["observedGeneration"] = memory.basis.generation
        found["policyHash"] = memory.basis.policy_hash
        if memory.basis.volume is not None:
            found["volume"] = volume_fields(memory.basis.volume)
    if memory.looked_at is not None:
        found["lastVerified"] = instant_text(memory.looked_at)
    return found


def _named(signatures: object, facts: Facts) -> list[dict[str, object]]:
    """The signatures, each with the name by which a policy knows its key."""
    names = {
        authority.keyid: authority.name
        for requirement in reversed(facts.composition.requirements)
        for authority in requirement.signatures.authorities
    }
    found = []
    for each in signatures if isinstance(signatures, list) else []:
        name = names.get(each["keyid"])
        found.append({**each, "authority": name} if name else dict(each))
    return found


def _verifier(info: VerifierInfo) -> dict[str, object]:
    seconds = info.milliseconds / 1000
    fields: dict[str, object] = {
        "image": info.image,
        "job": info.job,
        "node": info.node[:_DIGITS],
        "device": info.device,
        "files": info.files,
        "bytes": info.bytes,
        "seconds": seconds,
        "gbps": round(info.bytes / info.milliseconds / 1e6, 3) if info.milliseconds else 0,
        "shards": info.shards,
    }
    if info.keys:
        fields["keys"] = list(info.keys)
    return fields


def _queue(since: datetime, waiting: Word, facts: Facts) -> dict[str, object]:
    queue: dict[str, object] = {
        "waitingFor": f"{waiting.reason}: {printable(waiting.message)}",
        "since": instant_text(since),
    }
    if waiting.reason is Reason.QUEUED:
        queue["position"] = rounded(facts.place.position)
    return queue


def rounded(position: int) -> int:
    """The position, rounded up to a power of ten: 1, 10, 100..."""
    step = 1
    while step < position:
        step *= 10
    return step


def _conditions(memory: Memory, word: Word, waiting: Word | None) -> tuple[Condition, ...]:
    verified = {Verdict.VERIFIED: True, Verdict.PENDING: None, Verdict.VERIFYING: None}
    is_verified = verified.get(word.verdict, False)
    return (
        Condition("Verified", is_verified, word.reason.value, word.message),
        _scheduled(memory, waiting),
        _fresh(memory, word),
    )


def _scheduled(memory: Memory, waiting: Word | None) -> Condition:
    if memory.flight is not None and waiting is None:
        return Condition(SCHEDULED, True, Reason.VERIFICATION_RUNNING.value, memory.flight.job)
    if memory.trouble is not None and memory.flight is None:
        return Condition(SCHEDULED, False, memory.trouble.reason.value, memory.trouble.message)
    if waiting is not None:
        return Condition(SCHEDULED, False, waiting.reason.value, waiting.message)
    return Condition(SCHEDULED, False, "NothingToDo", "")


def _fresh(memory: Memory, word: Word) -> Condition:
    if memory.record is not None:
        return Condition("Fresh", True, "WithinMaxAge")
    if word.verdict is Verdict.STALE:
        return Condition("Fresh", False, word.reason.value, word.message)
    return Condition("Fresh", None, "NoVerdict")
