"""Decisions, remembered for as long as nothing that they rest on has changed.

Most pods are copies: the replicas of a Deployment and the workers of a Job differ in nothing that a
decision looks at. So the same pod on equal ground has the same answer, until the first instant at
which a key, a tolerance or a verdict begins or ends; never longer (A23). While everything that the
ground was put together from is the same, it is not even put together again.

Law: what is remembered is what would be decided.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from weightlock_webhook.decision.answers import Answer
from weightlock_webhook.decision.decide import decide
from weightlock_webhook.gathering.footing import Footing
from weightlock_webhook.gathering.gather import Gathering, Ground
from weightlock_webhook.gathering.lookups import Lookup
from weightlock_webhook.gathering.subjects import Subject
from weightlock_webhook.judging.turns import turns_of
from weightlock_webhook.mounts.pods import Pod
from weightlock_webhook.recent import Recent

MOST_ANSWERS: Final = 4096
"""Answers that are remembered, those that were asked for last; each takes some kilobytes."""

HEAVIEST: Final = 256
"""Parts of a pod and of its answer together, of about a kilobyte each; beyond, it is not kept:
a pod with so many is nobody's copy, or stands to be changed."""

ALL_TOGETHER: Final = 100_000
"""The parts of all that are remembered."""


@dataclass(slots=True)
class _Remembered:
    pod: Pod
    ground: Ground
    footing: Footing | None
    """None if this ground has none."""

    answer: Answer
    since: datetime
    until: datetime | None

    def lasts(self, subject: Subject, now: datetime) -> bool:
        return (
            self.pod is subject.pod
            and self.since <= now
            and (self.until is None or now < self.until)
        )


class Deciding:
    """Decides about pods by what a lookup finds."""

    def __init__(self, gathering: Gathering, clock: Callable[[], datetime]) -> None:
        self._gathering = gathering
        self._clock = clock
        self._known: Recent[tuple[object, ...], _Remembered] = Recent(MOST_ANSWERS, ALL_TOGETHER)

    def answer(self, subject: Subject, lookup: Lookup) -> Answer:
        """The decision.

        Raises:
            WeightlockError: if what it rests on cannot be told.
        """
        now = self._clock()
        # By the pod's identity: equal pods are one object (weightlock_webhook.judging.pods), and
        # comparing them would cost more than it saves.
        # A name says nothing of storage before the pod has a uid, and copies have many names.
        name = subject.name if subject.uid else ""
        key = id(subject.pod), subject.namespace, name, subject.uid, subject.is_running
        known = self._known.get(key)
        if known is None or not known.lasts(subject, now):
            return self._decided(subject, self._gathering.ground(subject, lookup), key, lookup)
        footing = known.footing and self._gathering.footing(subject, lookup)
        if footing is not None and known.footing == footing:
            return known.answer
        ground = self._gathering.ground(subject, lookup)
        if known.ground != ground:
            return self._decided(subject, ground, key, lookup)
        known.footing = self._footing(subject, ground, lookup)
        return known.answer

    def _decided(
        self,
        subject: Subject,
        ground: Ground,
        key: tuple[object, ...],
        lookup: Lookup,
    ) -> Answer:
        now = self._clock()
        facts = self._gathering.facts(subject, ground, now)
        answer = decide(subject.pod, facts)
        until = min((turn for turn in turns_of(facts) if turn > now), default=None)
        weight = weight_of(subject.pod, answer)
        if weight <= HEAVIEST:
            footing = self._footing(subject, ground, lookup)
            remembered = _Remembered(subject.pod, ground, footing, answer, now, until)
            self._known.put(key, remembered, weight)
        return answer

    def _footing(self, subject: Subject, ground: Ground, lookup: Lookup) -> Footing | None:
        has_one = self._gathering.has_footing(subject, ground)
        return self._gathering.footing(subject, lookup) if has_one else None


def weight_of(pod: Pod, answer: Answer) -> int:
    """How many parts are held on to by remembering an answer."""
    parts = len(pod.volumes) + len(pod.mounts) + len(pod.containers)
    return 1 + parts + len(answer.objections) + len(answer.vouched)
