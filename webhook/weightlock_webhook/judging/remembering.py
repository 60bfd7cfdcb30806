"""What is found out about a checkpoint once, and not again for every pod that mounts it.

The recorded signatures of a checkpoint are judged under the same policy for every pod that mounts
it. The answer depends on the time only where a key begins or ends to count, or where a tolerance
ends, so between two such instants it is the same, and never longer (A23).

Laws: answers as `judge` and `recorded_of` do, at every instant and in whatever order one asks.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from weightlock.policy.checkpoints import Checkpoint
from weightlock.policy.requirements import SignatureRequirements
from weightlock.policy.sources import CsiSource
from weightlock.verdict.cases import Expected
from weightlock.verdict.evidence import Evidence
from weightlock.verdict.judge import judge
from weightlock.verdict.judgement import Judgement
from weightlock.verdict.seal import SealKey
from weightlock_webhook.decision.facts import Recorded, recorded_of
from weightlock_webhook.judging.turns import turns_of_requirements
from weightlock_webhook.recent import Recent

MOST_JUDGEMENTS: Final = 20_000
"""About 1,000 checkpoints under 20 policies. Each takes a kilobyte and more, and what a changed
checkpoint leaves behind is among them, so that many are there after some minutes of changes."""

MOST_RECORDS: Final = 2048
MOST_ATTRIBUTES: Final = 8 << 20
"""Characters of the attributes of all checkpoints that are held on to by it."""

# What is remembered is found by identity: policies and checkpoints are read once, and comparing
# them would cost more than judging. Each entry holds on to what it was found by, so that nothing
# else can get its identity.


@dataclass(frozen=True, slots=True)
class _Judged:
    judgement: Judgement
    evidence: Evidence
    requirements: tuple[SignatureRequirements, ...]
    since: datetime
    until: datetime | None

    def holds(self, now: datetime) -> bool:
        return self.since <= now and (self.until is None or now < self.until)


class RememberingJudge:
    """Remembers judgements."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[object, ...], _Judged] = OrderedDict()

    def __call__(
        self,
        evidence: Evidence,
        requirements: Sequence[SignatureRequirements],
        now: datetime,
        expected: Expected,
    ) -> Judgement:
        """The judgement, from memory if it has been reached and still holds."""
        key = (
            id(evidence),
            expected.model_name,
            expected.version_floor,
            expected.root,
            *map(id, requirements),
        )
        known = self._known.get(key)
        if known is not None and known.holds(now):
            return known.judgement
        kept = tuple(requirements)
        judgement = judge(evidence, kept, now, expected)
        turns = (each for requirement in kept for each in turns_of_requirements(requirement))
        until = min((each for each in turns if each > now), default=None)
        self._known[key] = _Judged(judgement, evidence, kept, now, until)
        if len(self._known) > MOST_JUDGEMENTS:
            self._known.popitem(last=False)
        return judgement


@dataclass(frozen=True, slots=True)
class _Recalled:
    checkpoint: Checkpoint
    keys: tuple[SealKey, ...]
    recorded: Recorded | None


class RememberingRecords:
    """Remembers whose seals are intact."""

    def __init__(self) -> None:
        self._known: Recent[int, _Recalled] = Recent(MOST_RECORDS, MOST_ATTRIBUTES)

    def __call__(self, checkpoint: Checkpoint, keys: tuple[SealKey, ...]) -> Recorded | None:
        """What a checkpoint's status claims; None if it claims no passed verification."""
        known = self._known.get(id(checkpoint))
        if known is not None and known.checkpoint is checkpoint and known.keys is keys:
            return known.recorded
        recorded = recorded_of(checkpoint, keys)
        recalled = _Recalled(checkpoint, keys, recorded)
        self._known.put(id(checkpoint), recalled, _attributes_of(checkpoint))
        return recorded


def _attributes_of(checkpoint: Checkpoint) -> int:
    """What alone of a checkpoint may be long."""
    source = checkpoint.spec.source
    if not isinstance(source, CsiSource):
        return 0
    return sum(len(key) + len(value) for key, value in source.attributes)
