"""Whether the recorded verification counts still, and what it is worth under the policies of now.

A changed policy never makes a record stale: who signed is recorded, and judged anew (decision 010).
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Final

from weightlock.policy.hashing import policy_hash
from weightlock.policy.signatures import Authority
from weightlock.reasons import Reason
from weightlock.verdict.cases import Expected
from weightlock.verdict.judge import judge
from weightlock.verdict.records import VerdictRecord, instant_text
from weightlock.verdict.seal import seal, seal_intact
from weightlock.verdict.staleness import Current, stale
from weightlock_operator.decision.backoff import spread
from weightlock_operator.decision.facts import Facts
from weightlock_operator.decision.floors import floor_of, not_kept
from weightlock_operator.decision.landing import KEY_DIGITS
from weightlock_operator.decision.memory import Memory, Word

REFRESH_SHARE: Final = 0.72
REFRESH_SPREAD: Final = 0.11
"""A verdict is refreshed between 72 and 80 per cent of its time, each checkpoint at its own."""

MORE_KEYS_COULD_HELP: Final = frozenset(
    {
        Reason.CLASSICAL_ONLY,
        Reason.KEY_EXPIRED,
        Reason.KEY_NOT_YET_VALID,
        Reason.KEY_REVOKED,
        Reason.SIGNER_MISSING,
        Reason.SIGNER_UNTRUSTED,
    }
)


def without_stale(memory: Memory, facts: Facts) -> tuple[Memory, Word | None]:
    """The memory without a record that counts no more, and why it does not.

    Without any policy there is no age at which it ends; then it is kept, and admits nothing.
    """
    if memory.record is None or not facts.composition.policies:
        return memory, None
    metadata = facts.checkpoint.metadata
    violations = stale(
        memory.record,
        memory.seal,
        facts.seal_keys,
        Current(
            metadata.uid,
            metadata.generation,
            facts.storage.volume,
            facts.writer_seen_at,
            facts.restored_at,
        ),
        max_age=facts.composition.binding.max_age,
        now=facts.now,
    )
    if violations:
        first = Word(violations[0].reason, violations[0].message)
        return replace(memory, record=None, seal=""), first
    if facts.spent is not None and facts.spent.covers(memory.record, facts.now):
        at = instant_text(memory.record.verified_at)
        put_back = f"an earlier status was put back: what was verified at {at} counts no more"
        return replace(memory, record=None, seal=""), Word(Reason.SEAL_BROKEN, put_back)
    return memory, None


def valued(memory: Memory, facts: Facts) -> tuple[Memory, Word | None]:
    """The memory under the newest seal, and what its record is worth now.

    Nothing is sealed anew but what has an intact seal, or ours would vouch for a forgery.
    """
    if memory.record is None:
        return memory, None
    if not seal_intact(memory.record, memory.seal, facts.seal_keys):
        return replace(memory, record=None, seal=""), None
    sealed = seal(memory.record, facts.seal_keys[0])
    worth = judged(memory.record, facts) if facts.composition.policies else None
    return replace(memory, seal=sealed), worth


def judged(record: VerdictRecord, facts: Facts) -> Word:
    """What the record is worth now."""
    spec = facts.checkpoint.spec
    floor = floor_of(record.model, facts) if record.model else 0
    expected = Expected(spec.model_name if spec else None, floor)
    requirements = facts.composition.binding.requirements
    judgement = judge(record.evidence, requirements, facts.now, expected)
    unkept = not_kept(record, facts) if judgement.reason is Reason.VERIFIED else None
    if unkept is not None:
        return unkept
    hint = f". {judgement.hint}" if judgement.hint else ""
    return Word(judgement.reason, judgement.message + hint, judgement.admits)


def refresh_at(began: datetime, facts: Facts) -> datetime:
    """When what was found at that time is looked at again, ahead of its end."""
    share = REFRESH_SHARE * spread(facts.checkpoint.metadata.uid, REFRESH_SPREAD)
    return began + facts.composition.binding.max_age * share


def untried_key_could_help(memory: Memory, word: Word, facts: Facts) -> bool:
    """Whether the model might be signed by a key that was not trusted when it was read."""
    if word.reason not in MORE_KEYS_COULD_HELP or memory.record is None:
        return False
    wanted = {each.keyid[:KEY_DIGITS] for each in _authorities(facts)}
    if memory.verifier.keys:
        return not wanted <= set(memory.verifier.keys)
    return memory.record.policy_hash != policy_hash(facts.composition.policies)


def next_change(memory: Memory, facts: Facts) -> datetime | None:
    """When the same record is worth something else without anything happening."""
    if memory.record is None:
        return None
    binding = facts.composition.binding
    ends = [binding.expires(memory.record.verified_at)] if binding.policies else []
    return min((each for each in (*ends, *_boundaries(facts)) if each > facts.now), default=None)


def _boundaries(facts: Facts) -> Iterator[datetime]:
    for authority in _authorities(facts):
        yield from (each for each in (authority.not_before, authority.not_after) if each)
    for requirement in facts.composition.binding.requirements:
        sunset = requirement.signatures.classical.sunset
        if sunset is not None:
            yield sunset


def _authorities(facts: Facts) -> Iterator[Authority]:
    for requirement in facts.composition.binding.requirements:
        yield from requirement.signatures.authorities
