"""Decisions that are remembered for as long as everything that they rest on is the same.

A decision is a pure function of a pod and of facts, so it may be remembered beside them. It is
recalled only if each fact is the one that it was made by, and only until the next instant at which
time alone could change it: a verdict expires, a key begins or ends to count, a tolerance ends.
Facts that are equal but not the same objects may be missed; nothing is recalled that is not equal.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from weightlock.verdict.staleness import CLOCK_SKEW
from weightlock_webhook.decision.answers import Answer
from weightlock_webhook.decision.decide import decide
from weightlock_webhook.decision.facts import Facts
from weightlock_webhook.mounts.pods import Pod

MOST_DECISIONS: Final = 4096
_TICK: Final = timedelta(microseconds=1)
"""The finest step of a clock here: what changes after an instant has changed one later."""


@dataclass(frozen=True, slots=True)
class _Remembered:
    pod: Pod
    facts: Facts
    answer: Answer
    until: datetime | None

    def holds(self, facts: Facts) -> bool:
        is_then = self.facts.now <= facts.now and (self.until is None or facts.now < self.until)
        return is_then and _is_alike(self.facts, facts)


class RecalledDecisions:
    """Law: answers as `decide` does, whatever changes in between."""

    def __init__(self) -> None:
        # By the pod's identity: it is remembered with its decision, so no other can get it.
        self._known: OrderedDict[tuple[int, str], _Remembered] = OrderedDict()

    def decide(self, pod: Pod, facts: Facts) -> Answer:
        """The decision, from memory if it is the same."""
        key = id(pod), facts.namespace
        known = self._known.get(key)
        if known is not None and known.holds(facts):
            self._known.move_to_end(key)
            return known.answer
        answer = decide(pod, facts)
        if _tells_the_time(facts):
            return answer
        until = min((each for each in turns(facts) if each > facts.now), default=None)
        self._known[key] = _Remembered(pod, facts, answer, until)
        self._known.move_to_end(key)
        if len(self._known) > MOST_DECISIONS:
            self._known.popitem(last=False)
        return answer


def turns(facts: Facts) -> Iterator[datetime]:
    """Every instant at which the answer may change, and the tick after it."""
    for instant in _instants(facts):
        yield instant
        yield instant + _TICK


def _instants(facts: Facts) -> Iterator[datetime]:
    verified = [
        checkpoint.status.last_verified
        for checkpoint in facts.checkpoints
        if checkpoint.status and checkpoint.status.last_verified
    ]
    for view in facts.governance.views:
        yield from (instant + view.max_age for instant in verified)
        for demand in view.demands:
            signatures = demand.requirements.signatures
            if signatures.classical.sunset is not None:
                yield signatures.classical.sunset
            for authority in signatures.authorities:
                yield from (
                    each for each in (authority.not_before, authority.not_after) if each is not None
                )


def _tells_the_time(facts: Facts) -> bool:
    """Whether a checkpoint was verified in the future, of which the answer says when now is."""
    return any(
        checkpoint.status is not None
        and checkpoint.status.last_verified is not None
        and checkpoint.status.last_verified > facts.now + CLOCK_SKEW
        for checkpoint in facts.checkpoints
    )


def _is_alike(one: Facts, other: Facts) -> bool:
    """Every field but `now`. What is large is compared by identity: it is replaced, not changed."""
    return (
        one.governance is other.governance
        and one.highest_versions is other.highest_versions
        and one.allowances is other.allowances
        and one.judge is other.judge
        and len(one.checkpoints) == len(other.checkpoints)
        and all(map(_is, one.checkpoints, other.checkpoints))
        and one.storage == other.storage
        and one.seal_keys == other.seal_keys
        and one.restored_at == other.restored_at
        and one.device_classes == other.device_classes
    )


def _is(one: object, other: object) -> bool:
    return one is other
