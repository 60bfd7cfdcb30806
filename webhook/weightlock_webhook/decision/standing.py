"""Whether the verdict of one checkpoint stands, for one path, under one policy.

1. there is a record of a verification that passed; a failed one says why
2. the record counts: sealed, about this object and this storage, fresh (A10, A28)
3. no later look at the same place has found bad content
4. what was recorded satisfies the policy as it is now, with keys and dates as they are now (A23)
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, TypeAlias

from weightlock.policy.checkpoints import Checkpoint
from weightlock.reasons import Reason, Verdict, verdict_of
from weightlock.verdict.cases import Expected
from weightlock.verdict.evidence import Evidence
from weightlock.verdict.floors import highest_seen
from weightlock.verdict.records import RECORDED_VERDICTS, VerdictRecord
from weightlock.verdict.staleness import Current, Sealed, stale_of
from weightlock_webhook.decision.answers import Problem, Vouched
from weightlock_webhook.decision.governance import Demand
from weightlock_webhook.decision.identity import volume_now
from weightlock_webhook.decision.reaches import Reach
from weightlock_webhook.wording import LONGEST_MESSAGE, quoted

Found: TypeAlias = Problem | Vouched

CONTENT_REASONS: Final = frozenset(
    {
        Reason.CONTENT_MISMATCH,
        Reason.EXTRA_FILE,
        Reason.MISSING_FILE,
        Reason.UNSAFE_ENTRY,
        Reason.UNSAFE_NAME,
    }
)
"""Failures that say what lies on the storage, and so contradict an earlier verdict on it."""


@dataclass(frozen=True, slots=True)
class Grounds:
    """What there is to judge of a checkpoint: alike for policies of a view and an age."""

    checkpoint: str
    evidence: Evidence
    registered: str | None
    """The model that the checkpoint is registered as, if any."""

    digest: str


def grounds_of(
    checkpoint: Checkpoint, reach: Reach, rivals: list[Checkpoint], max_age: timedelta
) -> Grounds | Problem:
    """What there is to judge, or why nothing of it counts; `rivals` are all that cover the path."""
    facts = reach.case.facts
    recorded = facts.recall(checkpoint, facts.seal_keys)
    if recorded is None:
        return _without_record(checkpoint, reach)
    record = recorded.record
    violations = stale_of(
        Sealed(
            record,
            recorded.is_intact,
            _current(checkpoint, reach),
            max_age,
            facts.now,
        )
    )
    if violations:
        first = violations[0]
        problem = reach.problem(first.reason, first.message, "", first.hint)
        return replace(problem, checkpoint=checkpoint.metadata.name, awaits_verdict=True)
    contradiction = _contradiction(record, rivals)
    if contradiction is not None:
        return _failed(contradiction, reach)
    return Grounds(
        checkpoint.metadata.name,
        recorded.evidence,
        checkpoint.spec.model_name,
        str(record.digest) if record.digest else "",
    )


def standing(grounds: Grounds | Problem, demand: Demand, reach: Reach) -> Found:
    """Who vouches for the path under one policy, or why this checkpoint does not."""
    if isinstance(grounds, Problem):
        return grounds
    facts, evidence = reach.case.facts, grounds.evidence
    floors, model = facts.highest_versions, evidence.model.name if evidence.model else ""
    expected = Expected(grounds.registered, highest_seen(floors, (demand.origin,), model))
    judgement = facts.judge(evidence, (demand.requirements,), facts.now, expected)
    if not judgement.admits:
        problem = reach.problem(judgement.reason, judgement.message, "", judgement.hint)
        return replace(problem, checkpoint=grounds.checkpoint)
    return Vouched(
        volume=reach.mount.volume,
        path=reach.path,
        checkpoint=grounds.checkpoint,
        policy=demand.origin,
        digest=grounds.digest,
        authorities=judgement.authorities,
        is_classical_only=judgement.reason is not Reason.VERIFIED,
    )


def _current(checkpoint: Checkpoint, reach: Reach) -> Current:
    claim, name = reach.volume.claim, reach.mount.volume
    written_at = reach.case.facts.storage.written_at.get(name)
    return Current(
        checkpoint.metadata.uid,
        checkpoint.metadata.generation,
        volume_now(checkpoint, reach.volume),
        claim.writer_seen_at if claim else written_at,
        reach.case.facts.restored_at,
    )


def _without_record(checkpoint: Checkpoint, reach: Reach) -> Problem:
    status = checkpoint.status
    if status is not None and status.phase is Verdict.FAILED:
        return _failed(checkpoint, reach)
    phase = status.phase if status else Verdict.PENDING
    said = f" ({quoted(status.reason)})" if status and status.reason else ""
    since = " without status.lastVerified" if phase in RECORDED_VERDICTS else ""
    problem = reach.problem(
        Reason.NOT_VERIFIED,
        f"phase {phase}{said}{since}",
        f"phase {Verdict.VERIFIED}",
        _describe(checkpoint),
    )
    return replace(problem, checkpoint=checkpoint.metadata.name, awaits_verdict=True)


def _failed(checkpoint: Checkpoint, reach: Reach) -> Problem:
    """A checkpoint whose verification said no. Its status is not sealed, and needs no seal."""
    message = checkpoint.status.message if checkpoint.status else ""
    problem = reach.problem(
        _failure(checkpoint) or Reason.NOT_VERIFIED,
        f"phase {Verdict.FAILED}: {quoted(message, longest=LONGEST_MESSAGE)}",
        f"phase {Verdict.VERIFIED}",
        _describe(checkpoint),
    )
    return replace(problem, checkpoint=checkpoint.metadata.name)


def _failure(checkpoint: Checkpoint) -> Reason | None:
    """The reason that a failed status gives, if it is one of ours."""
    text = checkpoint.status.reason if checkpoint.status else ""
    known = {reason.value: reason for reason in Reason if verdict_of(reason) is Verdict.FAILED}
    return known.get(text)


def _describe(checkpoint: Checkpoint) -> str:
    name, namespace = checkpoint.metadata.name, checkpoint.metadata.namespace
    return f"See: kubectl describe modelcheckpoint --namespace {namespace} {name}"


def _contradiction(record: VerdictRecord, rivals: list[Checkpoint]) -> Checkpoint | None:
    """A checkpoint of the same place that failed on its content since, and so has no record."""
    for rival in rivals:
        status = rival.status
        is_later_failure = (
            status is not None
            and status.phase is Verdict.FAILED
            and status.volume == record.volume
            and status.last_verified is not None
            and status.last_verified > record.verified_at
        )
        if is_later_failure and _failure(rival) in CONTENT_REASONS:
            return rival
    return None
