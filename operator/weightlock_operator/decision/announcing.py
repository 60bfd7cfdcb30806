"""What people are told when a verdict changes, and whom a failure ends."""

from datetime import timedelta
from typing import Final

from weightlock.policy.scalars import printable
from weightlock.policy.spec import Enforcement, OnFailure
from weightlock.reasons import Verdict
from weightlock_operator.decision.actions import Event, EventType, EvictPod
from weightlock_operator.decision.conditions import reason_of
from weightlock_operator.decision.facts import Facts
from weightlock_operator.decision.memory import SCHEDULED, Memory, Word

MOST_PODS: Final = 20

EVICT_EVERY: Final = timedelta(seconds=30)
"""A disruption budget that refuses now may not do so then."""

_GOOD: Final = frozenset({Verdict.VERIFIED, Verdict.VERIFYING, Verdict.PENDING})


def announced(before: Memory, after: Memory, word: Word, facts: Facts) -> tuple[Event, ...]:
    """An event if the word is another than before, or an attempt to refresh it failed."""
    events: list[Event] = []
    is_new = before.word is None or before.word.reason is not word.reason
    if is_new and (word.verdict is not Verdict.PENDING or before.word is not None):
        events.append(_event(word, facts, _told(word, facts)))
    trouble = after.trouble
    if trouble is not None and trouble != before.trouble and trouble.reason is not word.reason:
        events.append(_event(trouble, facts, ()))
    return tuple(events)


def refused(waiting: Word | None, memory: Memory, facts: Facts) -> tuple[Event, ...]:
    """An event when it is first known that the Job in flight may make no pods."""
    if waiting is None or memory.flight is None:
        return ()
    known = reason_of(SCHEDULED, facts.checkpoint.status.get("conditions"))
    return () if known == waiting.reason.value else (_event(waiting, facts, ()),)


def evicted(word: Word, facts: Facts) -> tuple[EvictPod, ...]:
    """The pods that must not go on with what failed, if an enforcing policy says so.

    Of the checkpoint's namespace only: whether it fails is for its tenants to say, and a pod that
    happens to have the same export is not theirs.
    """
    binding = facts.composition.binding
    is_meant = binding.on_failure is OnFailure.EVICT and binding.enforcement is Enforcement.ENFORCE
    if word.verdict is not Verdict.FAILED or not is_meant or not binding.policies:
        return ()
    # Some at a time, and others each time: whoever a budget protects stands before nobody else.
    targets = facts.users
    turn = int(facts.now.timestamp() / EVICT_EVERY.total_seconds())
    first = turn * MOST_PODS % len(targets) if len(targets) > MOST_PODS else 0
    chosen = (*targets[first:], *targets[:first])[:MOST_PODS]
    return tuple(EvictPod(facts.namespace, use.name, use.uid) for use in chosen)


def _event(word: Word, facts: Facts, pods: tuple[tuple[str, str], ...]) -> Event:
    kind = EventType.NORMAL if word.verdict in _GOOD else EventType.WARNING
    count = facts.user_count
    running = f" ({count} running pods use it)" if word.verdict is Verdict.FAILED and count else ""
    return Event(kind, word.reason.value, printable(word.message) + running, pods)


def _told(word: Word, facts: Facts) -> tuple[tuple[str, str], ...]:
    """The pods that it concerns: those that wait, and of a failure those that run."""
    pods = [(pod.name, pod.uid) for pod in facts.held]
    if word.verdict is Verdict.FAILED:
        pods += [(use.name, use.uid) for use in facts.users]
    return tuple(pods[:MOST_PODS])
