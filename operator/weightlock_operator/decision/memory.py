"""What the operator knows of a checkpoint from one look to the next: its status, read back.

Nothing else is kept, so any replica, restarted at any moment, decides the same. What a status says
is believed as far as its seals go; the rest can only make the operator look again, or wait.

A status with a seal carries the record of a verification that found the content as signed. Whether
that is enough is judged anew each time, so the record outlives a phase Failed that was a matter of
policy only: what a policy takes, it can give back without a second reading.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from weightlock.errors import Malformed
from weightlock.policy import scalars
from weightlock.policy.checkpoints import Checkpoint, CheckpointStatus, VolumeStatus
from weightlock.policy.fields import Fields
from weightlock.reasons import Reason, Verdict, verdict_of
from weightlock.verdict.records import VerdictRecord, record_of
from weightlock.verdict.staleness import CLOCK_SKEW
from weightlock_operator.decision.backoff import LONGEST
from weightlock_operator.decision.facts import Facts
from weightlock_operator.decision.flights import Flight

SCHEDULED: Final = "Scheduled"
_MOST: Final = 2**31


@dataclass(frozen=True, slots=True)
class Word:
    """A reason with its sentence. `admits` says that pods may load what it is about."""

    reason: Reason
    message: str
    admits: bool = False

    @property
    def verdict(self) -> Verdict:
        """The verdict that the reason stands for."""
        return verdict_of(self.reason)


@dataclass(frozen=True, slots=True)
class Basis:
    """What the last word was about; if that changes, the word counts no more."""

    generation: int
    volume: VolumeStatus | None
    policy_hash: str


@dataclass(frozen=True, slots=True)
class VerifierInfo:
    """How the last verification went, for people; `image` is part of the sealed record."""

    image: str = ""
    job: str = ""
    node: str = ""
    device: str = ""
    files: int = 0
    bytes: int = 0
    milliseconds: int = 0
    shards: int = 1
    keys: tuple[str, ...] = ()
    """The first digits of the ids of all keys that were tried; empty if that is unknown."""


@dataclass(frozen=True, slots=True)
class Memory:
    """A status, read back. `seal` and `record` are both there or neither is."""

    word: Word | None = None
    record: VerdictRecord | None = None
    seal: str = ""
    failed: Word | None = None
    """What a verification found wrong, which no policy could cure."""

    looked_at: datetime | None = None
    """When that one began to read."""

    basis: Basis | None = None
    verifier: VerifierInfo = field(default_factory=VerifierInfo)
    flight: Flight | None = None
    attempts: int = 0
    trouble: Word | None = None
    """Why the last attempt gave no answer."""

    next_attempt: datetime | None = None
    queued_since: datetime | None = None


def recall(facts: Facts) -> Memory:
    """What the status says; nothing, if it cannot be read."""
    status = facts.checkpoint.status
    if not status or "phase" not in status:
        return Memory()
    try:
        return _recalled(facts, status)
    except Malformed:
        return Memory()


def _recalled(facts: Facts, raw: Mapping[str, object]) -> Memory:
    parsed = CheckpointStatus.from_status(raw)
    fields = Fields(raw, "status", None, Malformed)
    word = Word(_reason(parsed), parsed.message)
    record = _record(facts, parsed)
    attempts = fields.integer_or("attempts", 0, _MOST, 0)
    queue = fields.section("queue", None)
    # Nothing seals why a checkpoint failed, so whoever may write a status may write another reason;
    # one that belongs to another phase would be said as that phase.
    flight = _flight(facts, fields)
    is_failed = record is None and word.verdict is Verdict.FAILED is parsed.phase
    return Memory(
        word=word,
        record=record,
        seal=parsed.seal if record else "",
        failed=word if is_failed else None,
        looked_at=_past(parsed.last_verified, facts),
        basis=_basis(parsed, fields) if record is None else None,
        verifier=_verifier(fields.section("verifier", None)),
        flight=flight,
        attempts=attempts,
        trouble=_trouble(fields) if attempts and flight is None else None,
        next_attempt=_at_most(
            fields.optional_text("nextAttempt", scalars.moment), facts.now + LONGEST
        ),
        queued_since=_at_most(queue.optional_text("since", scalars.moment), facts.now),
    )


def _at_most(instant: datetime | None, latest: datetime) -> datetime | None:
    """An instant that a clock which went wrong cannot have put into years to come (E10)."""
    return instant and min(instant, latest)


def _past(instant: datetime | None, facts: Facts) -> datetime | None:
    """An instant, if it is none of the future."""
    return instant if instant is None or instant <= facts.now + CLOCK_SKEW else None


def _basis(parsed: CheckpointStatus, fields: Fields) -> Basis | None:
    if not fields.has("policyHash"):
        return None
    volume = parsed.volume if fields.has("volume") else None
    return Basis(parsed.observed_generation, volume, parsed.policy_hash)


def _reason(parsed: CheckpointStatus) -> Reason:
    """The reason; one of a later version counts as unknown."""
    known = {reason.value: reason for reason in Reason}
    return known.get(parsed.reason, Reason.INTERNAL_ERROR)


def _record(facts: Facts, parsed: CheckpointStatus) -> VerdictRecord | None:
    spec = facts.checkpoint.spec
    if not parsed.seal or spec is None:
        return None
    # The phase is no part of the record; a sealed status has one whatever policy made of it.
    status = replace(parsed, phase=Verdict.VERIFIED)
    return record_of(Checkpoint(facts.checkpoint.metadata, spec, status))


def _flight(facts: Facts, fields: Fields) -> Flight | None:
    if not fields.has("verification"):
        return None
    uid = facts.checkpoint.metadata.uid
    return Flight.from_status(fields.raw("verification"), uid, facts.seal_keys)


def _trouble(fields: Fields) -> Word | None:
    """The last attempt's, which stands in the condition that says why nothing is scheduled."""
    known = {reason.value: reason for reason in Reason if verdict_of(reason) is Verdict.ERROR}
    for condition in fields.sections("conditions", None):
        reason = known.get(condition.text_or("reason", str, ""))
        if condition.text_or("type", str, "") == SCHEDULED and reason is not None:
            return Word(reason, condition.text_or("message", str, ""))
    return None


def _verifier(fields: Fields) -> VerifierInfo:
    return VerifierInfo(
        image=fields.text_or("image", str, ""),
        job=fields.text_or("job", str, ""),
        node=fields.text_or("node", str, ""),
        device=fields.text_or("device", str, ""),
        files=fields.integer_or("files", 0, scalars.MAX_QUANTITY, 0),
        bytes=fields.integer_or("bytes", 0, scalars.MAX_QUANTITY, 0),
        milliseconds=round(1000 * _number(fields, "seconds")),
        shards=fields.integer_or("shards", 1, _MOST, 1),
        keys=fields.texts("keys", str),
    )


def _number(fields: Fields, key: str) -> float:
    value = fields.raw(key) if fields.has(key) else 0
    return float(value) if isinstance(value, int | float) and 0 <= value < _MOST else 0.0
