"""Decisions, remembered for as long as nothing that they rest on has changed.

Most pods are copies: the replicas of a Deployment and the workers of a Job differ in nothing that a
decision looks at. So the same pod on equal ground has the same answer, until the first instant at
which a key, a tolerance or a verdict begins or ends; never longer (A23).

Law: what is remembered is what would be decided.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from weightlock_webhook.decision.answers import Answer
from weightlock_webhook.decision.decide import decide
from weightlock_webhook.gathering.gather import Gathering, Ground, Subject
from weightlock_webhook.gathering.lookups import Lookup
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


@dataclass(frozen=True, slots=True)
class _Remembered:
    pod: Pod
    ground: Ground
    answer: Answer
    since: datetime
    until: datetime | None

    def holds(self, subject: Subject, ground: Ground, now: datetime) -> bool:
        return (
            self.pod is subject.pod
            and self.since <= now
            and (self.until is None or now < self.until)
            and self.ground == ground
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
        ground = self._gathering.ground(subject, lookup)
        now = self._clock()
        # By the pod's identity: equal pods are one object (weightlock_webhook.judging.pods), and
        # comparing them would cost more than it saves.
        # A name says nothing of storage before the pod has a uid, and copies have many names.
        name = subject.name if subject.uid else ""
        key = id(subject.pod), subject.namespace, name, subject.uid, subject.is_running
        known = self._known.get(key)
        if known is not None and known.holds(subject, ground, now):
            return known.answer
        facts = self._gathering.facts(subject, ground, now)
        answer = decide(subject.pod, facts)
        until = min((turn for turn in turns_of(facts) if turn > now), default=None)
        weight = weight_of(subject.pod, answer)
        if weight <= HEAVIEST:
            remembered = _Remembered(subject.pod, ground, answer, now, until)
            self._known.put(key, remembered, weight)
        return answer


def weight_of(pod: Pod, answer: Answer) -> int:
    """How many parts are held on to by remembering an answer."""
    parts = len(pod.volumes) + len(pod.mounts) + len(pod.containers)
    return 1 + parts + len(answer.objections) + len(answer.vouched)
