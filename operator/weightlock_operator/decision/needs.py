"""Whether a checkpoint has to be verified (again), and what keeps that from starting."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from weightlock.policy.composition import Composition
from weightlock.policy.hashing import policy_hash
from weightlock.policy.objects import PolicyKind
from weightlock.policy.sources import ImageSource
from weightlock.policy.verification import Limits, Placement
from weightlock.reasons import Reason
from weightlock.verdict.records import instant_text
from weightlock.verdict.staleness import CLOCK_SKEW
from weightlock_operator.decision.facts import Facts
from weightlock_operator.decision.landing import COOLDOWN
from weightlock_operator.decision.memory import Basis, Memory, Word
from weightlock_operator.decision.permission import not_permitted
from weightlock_operator.decision.queue import USUAL_TOTAL, Totals
from weightlock_operator.decision.standing import refresh_at, untried_key_could_help
from weightlock_operator.decision.storage import StorageState
from weightlock_operator.decision.usage import PodUse

MOST_NAMES: Final = 5

INDEPENDENT_OF_POLICY: Final = frozenset(
    {
        Reason.CONTENT_MISMATCH,
        Reason.EXTRA_FILE,
        Reason.MISSING_FILE,
        Reason.UNSAFE_ENTRY,
        Reason.UNSAFE_NAME,
        Reason.EMPTY_MODEL,
        Reason.MALFORMED,
    }
)
"""What is wrong whoever is trusted, so that another policy is no reason to read again."""


class Need(StrEnum):
    """Why a verification is wanted."""

    NOTHING_KNOWN = "NothingKnown"
    """There is no word that counts, about what is there now."""

    REFRESH = "Refresh"
    """There is one, and it stands until the next."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """What keeps a verification from starting; `until` is when that ends by itself."""

    word: Word
    until: datetime | None = None
    waits_for_turn: bool = False


def need(memory: Memory, word: Word | None, facts: Facts) -> Need | None:
    """Whether a verification is wanted; `word` is what the record, if any, is worth now."""
    if facts.checkpoint.spec is None or not facts.composition.policies:
        return None
    if memory.record is not None:
        is_due = facts.now >= refresh_at(memory.record.verified_at, facts)
        helps = word is not None and untried_key_could_help(memory, word, facts)
        return Need.REFRESH if is_due or helps else None
    if memory.failed is None or _is_about_something_else(memory, memory.failed, facts):
        return Need.NOTHING_KNOWN
    is_due = memory.looked_at is None or facts.now >= refresh_at(memory.looked_at, facts)
    return Need.REFRESH if is_due else None


def _is_about_something_else(memory: Memory, failed: Word, facts: Facts) -> bool:
    """Whether what a failure was about has changed since; if not, it stays (A25)."""
    basis, began = memory.basis, memory.looked_at
    if basis is None or began is None or facts.storage.volume is None:
        return True
    if (basis.generation, basis.volume) != (
        facts.checkpoint.metadata.generation,
        facts.storage.volume,
    ):
        return True
    is_of_policy = failed.reason not in INDEPENDENT_OF_POLICY
    if is_of_policy and basis.policy_hash != policy_hash(facts.composition.policies):
        return True
    if facts.restored_at is not None and facts.restored_at >= began:
        return True
    seen = facts.writer_seen_at
    return seen is not None and seen >= began


def rebased(memory: Memory, facts: Facts) -> Memory:
    """The memory without attempts that were about something else than what is there now.

    The pause after the last of them ends soon, but never at once: a spec that flips makes few Jobs.
    """
    if not memory.attempts or memory.record or memory.failed or memory.basis == basis_of(facts):
        return memory
    soon = facts.now + COOLDOWN
    again = min(memory.next_attempt or soon, soon)
    return replace(memory, attempts=0, trouble=None, next_attempt=again, basis=None)


def basis_of(facts: Facts) -> Basis:
    """What a word that is found now is about."""
    return Basis(
        facts.checkpoint.metadata.generation,
        facts.storage.volume,
        policy_hash(facts.composition.policies),
    )


def blocked(memory: Memory, facts: Facts) -> Blocked | None:
    """What keeps a wanted verification from starting, the hardest first."""
    forbidden = not_permitted(facts)
    if forbidden is not None:
        return Blocked(forbidden)
    return _by_storage(facts) or _by_writers(facts) or _by_pause(memory, facts) or _by_queue(facts)


def _by_storage(facts: Facts) -> Blocked | None:
    storage, spec = facts.storage, facts.checkpoint.spec
    if spec is not None and isinstance(spec.source, ImageSource) and not facts.server.image_volumes:
        # Such a server drops the field and mounts an empty folder instead (M11).
        message = "this API server has no image volumes"
        return Blocked(Word(Reason.STORAGE_UNAVAILABLE, message))
    match storage.state:
        case StorageState.UNUSABLE:
            return Blocked(Word(Reason.STORAGE_UNAVAILABLE, storage.message))
        case StorageState.MISSING | StorageState.UNBOUND:
            return Blocked(Word(Reason.STORAGE_PENDING, storage.message))
        case StorageState.WAITS_FOR_CONSUMER if not _may_bind(facts):
            message = f"{storage.message}, and is bound where its first pod is scheduled"
            return Blocked(Word(Reason.WAITING_FOR_CONSUMER, message))
    if storage.is_of_one_pod and facts.users:
        names = _named(facts.users, facts)
        message = f"one pod at a time can mount the volume, and {names} has it"
        return Blocked(Word(Reason.STORAGE_PENDING, message))
    return None


def _may_bind(facts: Facts) -> bool:
    anywhere = facts.composition.verification.placement is Placement.ANYWHERE
    return anywhere or bool(facts.held) or facts.is_requested


def _by_writers(facts: Facts) -> Blocked | None:
    """What is read while somebody may write would be stale before it is recorded (A02)."""
    if facts.writers:
        names = _named(facts.writers, facts)
        message = f"{names} can write to the volume; mount it read-only, or end what writes"
        return Blocked(Word(Reason.WRITER_ACTIVE, message))
    seen = facts.writer_seen_at
    if seen is None or facts.now > seen + CLOCK_SKEW:
        return None
    message = f"a writer ended at {instant_text(seen)}, and clocks may differ by {CLOCK_SKEW}"
    return Blocked(Word(Reason.WRITER_ACTIVE, message), seen + CLOCK_SKEW + timedelta(seconds=1))


def _by_pause(memory: Memory, facts: Facts) -> Blocked | None:
    pauses = [each for each in (memory.next_attempt, facts.not_before) if each]
    again = max(pauses, default=facts.now)
    if facts.now >= again:
        return None
    word = memory.trouble or Word(Reason.QUEUED, "the verification before this was called off")
    return Blocked(word, again)


def _by_queue(facts: Facts) -> Blocked | None:
    if facts.place.may_start:
        return None
    limits = limits_of_turns(facts)
    message = (
        f"waits for its turn; at most {limits.per_namespace} verifications run in a namespace,"
        f" {limits.total} under its policies"
    )
    return Blocked(Word(Reason.QUEUED, message), waits_for_turn=True)


def limits_of_turns(facts: Facts) -> Limits:
    """How many verifications may run at once.

    Where no cluster policy governs, a tenant says it, and the turns are everybody's: more than the
    usual number of them is for an administrator to give (A25).
    """
    limits = facts.composition.limits
    return limits if _is_of_cluster(facts.composition) else limits.narrowed(Limits())


def totals_of(composition: Composition) -> Totals:
    """The governing policies, and how many verifications may run under each."""
    most = None if _is_of_cluster(composition) else USUAL_TOTAL
    granted = ((each.origin, each.spec.verification.limits.total) for each in composition.policies)
    return tuple((origin, min(total, most or total)) for origin, total in granted)


def _is_of_cluster(composition: Composition) -> bool:
    kinds = {policy.kind for policy in composition.policies}
    return PolicyKind.CLUSTER_MODEL_POLICY in kinds


def _named(uses: Iterable[PodUse], facts: Facts) -> str:
    """Pods, by name as far as they are of the checkpoint's namespace."""
    found = list(uses)
    own = [use.name for use in found if use.namespace == facts.namespace]
    more = [f"{len(own) - MOST_NAMES} more"] if len(own) > MOST_NAMES else []
    others = [f"{len(found) - len(own)} of other namespaces"] if len(found) > len(own) else []
    first = ", ".join(own[:MOST_NAMES])
    return " and ".join([*([first] if first else []), *more, *others])
