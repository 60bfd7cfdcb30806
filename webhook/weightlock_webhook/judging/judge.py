"""Answers about pods, as the server asks for them (weightlock_webhook.reviews.collaborators).

1. exempt namespaces are not judged, whatever is known: they must work when nothing else does (A30)
2. a pod that cannot be read is refused
3. nothing is decided by policies that are old, and nothing about storage that must be verified by
   anything that is: whose pods have none goes on whatever a tenant does to the watch of writers;
   a namespace that the watch has not brought yet is read where policies select by labels
4. the decision, by what is known, and by the classes of devices that the pod claims, read live
5. a pod that waits for a verdict gets one look at what the cache may have missed
6. what would let a container run is confirmed live
7. what still waits for a verdict asks for one, unless this is a dry run (B07)
"""

from collections.abc import Sequence
from typing import Protocol

from weightlock.errors import Refused
from weightlock.policy.spec import Enforcement
from weightlock.reasons import Reason
from weightlock_webhook.cache.errors import Stale
from weightlock_webhook.cache.knowledge import Knowledge
from weightlock_webhook.decision.answers import Answer, Outcome, Problem
from weightlock_webhook.decision.decide import unreadable
from weightlock_webhook.decision.facts import Allowances
from weightlock_webhook.gathering.lookups import Cached
from weightlock_webhook.gathering.subjects import Subject
from weightlock_webhook.judging.confirming import CONFIRMED
from weightlock_webhook.judging.deciding import Deciding
from weightlock_webhook.judging.devices import Devices
from weightlock_webhook.judging.pods import Pods
from weightlock_webhook.reviews.collaborators import PodQuestion


class Confirmation(Protocol):
    """What holds an answer against the API server."""

    async def confirm(self, subject: Subject, answer: Answer, deadline: float) -> Answer:
        """The answer, or another one by what was read."""
        ...

    async def look(self, subject: Subject, answer: Answer, deadline: float) -> Answer:
        """The answer to a pod that waits for a verdict, by a look at what it waits for."""
        ...

    async def hear_of(self, namespace: str, deadline: float) -> None:
        """Read a namespace that the watch has not brought yet."""
        ...


class Requests(Protocol):
    """Where a verdict is asked for."""

    def ask(self, subject: Subject, problems: Sequence[Problem]) -> None:
        """Ask in the background for what a pod waits for."""
        ...


class Judging:
    """Judges pods by what is known, and confirms."""

    def __init__(
        self,
        knowledge: Knowledge,
        deciding: Deciding,
        confirmation: Confirmation,
        requests: Requests,
        allowances: Allowances,
        devices: Devices,
    ) -> None:
        self._knowledge = knowledge
        self._deciding = deciding
        self._confirmation = confirmation
        self._requests = requests
        self._allowances = allowances
        self._devices = devices
        self._cached = Cached(knowledge)
        self._pods = Pods()

    def leaves_alone(self, namespace: str) -> bool:
        """Whether nobody there minds pods that hold only scratch space and configuration.

        Raises:
            WeightlockError: if that is not known, or was heard of too long ago.
        """
        self._knowledge.expect_rules()
        try:
            return self._knowledge.policies.governing(namespace).leaves_plain_pods_alone
        except Stale:
            return False  # its labels count, and are still to be read

    def enforcement(self, namespace: str) -> Enforcement | None:
        """How strictly the strictest policy judges pods there; None where none does.

        Raises:
            WeightlockError: if that is not known, or was heard of too long ago.
        """
        self._knowledge.expect_rules()
        return self._knowledge.policies.governing(namespace).enforcement

    async def answer(self, question: PodQuestion, deadline: float) -> Answer:
        """The decision; a positive one rests on live reads of what identity hangs on.

        Raises:
            WeightlockError: if the question cannot be answered in time or at all.
        """
        if question.namespace in self._allowances.exempt_namespaces:
            return Answer(Reason.NOT_GOVERNED)
        try:
            pod, names = self._pods.read(question)
        except Refused as refused:
            return unreadable(refused)
        uid = question.metadata.get("uid")
        uid = uid if isinstance(uid, str) else ""
        subject = Subject(
            pod, question.namespace, question.name, uid, names, is_running=question.is_running
        )
        await self._expect_rules(subject.namespace, deadline)
        if pod.device_claims and pod.has_storage and self._allowances.device_classes:
            classes = await self._devices.classes(subject, deadline, is_binding=bool(question.node))
            subject = subject._replace(device_classes=classes)
        answer = self._deciding.answer(subject, self._cached)
        self._expect_grounds(subject, answer)
        if answer.objections and _waits(answer, question):
            answer = await self._confirmation.look(subject, answer, deadline)
        if pod.has_storage and answer.outcome in CONFIRMED:
            answer = await self._confirmation.confirm(subject, answer, deadline)
            self._expect_grounds(subject, answer)
        if answer.objections and not question.dry_run:
            self._ask(subject, answer)
        return answer

    def _ask(self, subject: Subject, answer: Answer) -> None:
        waits = [problem for problem in answer.refusals if problem.awaits_verdict]
        self._requests.ask(subject, waits)

    async def _expect_rules(self, namespace: str, deadline: float) -> None:
        """(3)."""
        self._knowledge.expect_rules()
        if self._knowledge.policies.has_to_hear_of(namespace):
            await self._confirmation.hear_of(namespace, deadline)

    def _expect_grounds(self, subject: Subject, answer: Answer) -> None:
        """(3) Nothing that must be verified, and nothing amiss: then it hung on the rules alone."""
        if answer.objections or answer.vouched:
            self._knowledge.expect_grounds(subject.namespace)


def _waits(answer: Answer, question: PodQuestion) -> bool:
    """Whether nothing but a verdict is missing, and that decides now.

    Holding a pod decides nothing yet; binding it to a node does.
    """
    if answer.outcome is Outcome.HOLD and not question.node:
        return False
    refusals = answer.refusals
    return bool(refusals) and all(problem.awaits_verdict for problem in refusals)
