"""Answers about pods, as the server asks for them (weightlock_webhook.reviews.collaborators).

1. a pod that cannot be read is refused
2. exempt namespaces are not judged, whatever is known: they must work when nothing else does (A30)
3. nothing is decided by watches that are dead
4. the decision, by what is known
5. a pod that waits for a verdict gets one look at what the cache may have missed
6. what would let a container run is confirmed live
7. what still waits for a verdict asks for one, unless this is a dry run (B07)
"""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from weightlock.errors import Refused
from weightlock.reasons import Reason
from weightlock_webhook.cache.knowledge import Knowledge
from weightlock_webhook.decision.answers import Answer, Outcome, Problem
from weightlock_webhook.decision.decide import unreadable
from weightlock_webhook.gathering.gather import Gathering, Subject
from weightlock_webhook.gathering.lookups import Cached
from weightlock_webhook.judging.confirming import CONFIRMED
from weightlock_webhook.judging.recalling import RecalledDecisions
from weightlock_webhook.judging.recognizing import RecognizedPods
from weightlock_webhook.reviews.collaborators import PodQuestion


class Confirmation(Protocol):
    """What holds an answer against the API server."""

    async def confirm(self, subject: Subject, answer: Answer, deadline: float) -> Answer:
        """The answer, or another one by what was read."""
        ...

    async def look(self, subject: Subject, answer: Answer, deadline: float) -> Answer:
        """The answer to a pod that waits for a verdict, by a look at what it waits for."""
        ...


class Requests(Protocol):
    """Where a verdict is asked for."""

    def ask(self, subject: Subject, problem: Problem) -> None:
        """Ask in the background for what a pod waits for."""
        ...


class Judging:
    """Judges pods by what is known, and confirms."""

    def __init__(
        self,
        knowledge: Knowledge,
        gathering: Gathering,
        confirmation: Confirmation,
        requests: Requests,
        clock: Callable[[], datetime],
        decisions: RecalledDecisions,
    ) -> None:
        self._knowledge = knowledge
        self._gathering = gathering
        self._confirmation = confirmation
        self._requests = requests
        self._clock = clock
        self._cached = Cached(knowledge)
        self._pods = RecognizedPods()
        self._decisions = decisions

    def leaves_alone(self, namespace: str) -> bool:
        """Whether nobody there minds pods that hold only scratch space and configuration.

        Raises:
            WeightlockError: if that is not known, or was heard of too long ago.
        """
        self._knowledge.expect_fresh()
        return self._knowledge.policies.governing(namespace).leaves_plain_pods_alone

    async def answer(self, question: PodQuestion, deadline: float) -> Answer:
        """The decision; a positive one rests on live reads of what identity hangs on.

        Raises:
            WeightlockError: if the question cannot be answered in time or at all.
        """
        if question.namespace in self._gathering.allowances.exempt_namespaces:
            return Answer(Reason.NOT_GOVERNED)
        try:
            subject = self._subject(question)
        except Refused as refused:
            return unreadable(refused)
        self._knowledge.expect_fresh()
        facts = self._gathering.facts(subject, self._cached, self._clock())
        answer = self._decisions.decide(subject.pod, facts)
        if _waits(answer, question):
            answer = await self._confirmation.look(subject, answer, deadline)
        if answer.outcome in CONFIRMED and subject.pod.has_storage:
            answer = await self._confirmation.confirm(subject, answer, deadline)
        if not question.dry_run:
            for problem in answer.refusals:
                if problem.awaits_verdict:
                    self._requests.ask(subject, problem)
        return answer

    def _subject(self, question: PodQuestion) -> Subject:
        """The pod of a question.

        Raises:
            Refused: for a pod that the API server would not have sent.
        """
        pod = self._pods.read(question.metadata, question.spec)
        uid = question.metadata.get("uid")
        name = uid if isinstance(uid, str) else ""
        return Subject(pod, question.namespace, question.name, name)


def _waits(answer: Answer, question: PodQuestion) -> bool:
    """Whether nothing but a verdict is missing, and that decides now.

    Holding a pod decides nothing yet; binding it to a node does.
    """
    if answer.outcome is Outcome.HOLD and not question.node:
        return False
    refusals = answer.refusals
    return bool(refusals) and all(problem.awaits_verdict for problem in refusals)
