"""A judge that remembers its answers for as long as they hold.

The recorded signatures of a checkpoint are judged under the same policy for every pod that mounts
it. The answer depends on the time only where a key begins or ends to count, or where a tolerance
ends, so between two such instants it is the same, and never longer (A23).
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from weightlock.policy.requirements import SignatureRequirements
from weightlock.verdict.cases import Expected
from weightlock.verdict.evidence import Evidence
from weightlock.verdict.judge import judge
from weightlock.verdict.judgement import Judgement
from weightlock_webhook.judging.turns import turns_of_requirements

MOST_JUDGEMENTS: Final = 100_000
"""About 10,000 checkpoints under 10 policies; each takes some hundred bytes."""


@dataclass(frozen=True, slots=True)
class _Remembered:
    judgement: Judgement
    requirements: tuple[SignatureRequirements, ...]
    since: datetime
    until: datetime | None

    def holds(self, now: datetime) -> bool:
        return self.since <= now and (self.until is None or now < self.until)


class RememberingJudge:
    """Law: answers as `judge` does, at every instant and in whatever order it is asked."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[object, ...], _Remembered] = OrderedDict()

    def __call__(
        self,
        evidence: Evidence,
        requirements: Sequence[SignatureRequirements],
        now: datetime,
        expected: Expected,
    ) -> Judgement:
        """The judgement, from memory if it has been reached and still holds."""
        # By identity: policies are read once, and comparing them would cost more than judging. The
        # entry holds on to them, so that no other can get their identity.
        key = (evidence, expected, *map(id, requirements))
        known = self._known.get(key)
        if known is not None and known.holds(now):
            self._known.move_to_end(key)
            return known.judgement
        kept = tuple(requirements)
        judgement = judge(evidence, kept, now, expected)
        until = min(
            (
                each
                for requirement in kept
                for each in turns_of_requirements(requirement)
                if each > now
            ),
            default=None,
        )
        self._known[key] = _Remembered(judgement, kept, now, until)
        if len(self._known) > MOST_JUDGEMENTS:
            self._known.popitem(last=False)
        return judgement
