"""What a decision says: an outcome, and for each objection the sentence that a person needs."""

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Final

from weightlock.policy.spec import Enforcement, OnUnverified
from weightlock.reasons import Reason
from weightlock_webhook.mounts.containers import ContainerName
from weightlock_webhook.wording import quoted

MOST_SENTENCES: Final = 10
"""Refusals that one message spells out; whoever has more starts with these."""


class Outcome(StrEnum):
    """From lax to strict."""

    ALLOW = "Allow"
    INJECT = "Inject"
    HOLD = "Hold"
    DENY = "Deny"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that stands against a pod, whoever minds.

    `awaits_verdict` says that a verification can cure it, so that holding the pod makes sense.
    Names in `found`, `expected` and `fix` are quoted already. `expected` is empty where `found` is
    a whole sentence of the judge.
    """

    reason: Reason
    found: str
    expected: str
    fix: str
    volume: str = ""
    container: ContainerName | None = None
    path: str = ""
    checkpoint: str = ""
    awaits_verdict: bool = False

    @property
    def subject(self) -> str:
        """What of the pod it is about."""
        parts = []
        if self.container is not None:
            parts.append(str(self.container))
        if self.volume:
            parts.append(f"volume {quoted(self.volume)}")
        if self.path:
            parts.append(f"path {quoted(self.path)}")
        if self.checkpoint:
            parts.append(f"checkpoint {quoted(self.checkpoint)}")
        return ", ".join(parts) or "pod"

    @property
    def sentence(self) -> str:
        """The whole denial: what was found, what was expected, what to do."""
        what = f"found {self.found}, expected {self.expected}" if self.expected else self.found
        return f"{self.reason}: {self.subject}: {what}. {self.fix}".rstrip()


@dataclass(frozen=True, slots=True)
class Objection:
    """A problem, the policies that mind it, and how strictly the strictest of them does."""

    problem: Problem
    policies: tuple[str, ...]
    enforcement: Enforcement
    response: OnUnverified

    @property
    def outcome(self) -> Outcome:
        """What this objection alone would make of the pod."""
        if self.enforcement is not Enforcement.ENFORCE:
            return Outcome.ALLOW
        if not self.problem.awaits_verdict:
            return Outcome.DENY
        return _RESPONSES[self.response]


_RESPONSES = {
    OnUnverified.DENY: Outcome.DENY,
    OnUnverified.HOLD: Outcome.HOLD,
    OnUnverified.INJECT: Outcome.INJECT,
}
_STRICTNESS = {outcome: rank for rank, outcome in enumerate(Outcome)}


@dataclass(frozen=True, slots=True)
class Vouched:
    """A way to storage, and the checkpoint whose verdict lets a container use it."""

    volume: str
    path: str
    checkpoint: str
    policy: str
    digest: str
    authorities: tuple[str, ...]
    is_classical_only: bool


@dataclass(frozen=True)
class Answer:
    """The answer to one pod. `reason` is the one that metrics count.

    Answers are given again and again, so what follows from one is worked out once.
    """

    reason: Reason
    objections: tuple[Objection, ...] = ()
    vouched: tuple[Vouched, ...] = ()
    policies: tuple[str, ...] = ()
    checkpoints: frozenset[str] = frozenset()
    """The names of those that vouch."""

    @cached_property
    def outcome(self) -> Outcome:
        """The strictest that any objection asks for."""
        if not self.objections:
            return Outcome.ALLOW
        return max((each.outcome for each in self.objections), key=_STRICTNESS.__getitem__)

    @cached_property
    def refusals(self) -> tuple[Problem, ...]:
        """What keeps the pod from running now."""
        return tuple(each.problem for each in self.objections if each.outcome is not Outcome.ALLOW)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the person who made the pod should read although the pod is let in."""
        of_policies = tuple(
            each.problem.sentence
            for each in self.objections
            if each.enforcement is Enforcement.WARN
        )
        return of_policies + tuple(
            f"{Reason.CLASSICAL_ONLY}: checkpoint {quoted(each.checkpoint)} has classical"
            f" signatures only; {each.policy} tolerates that until its sunset. Counter-sign it:"
            " weightlock notarize DIR --upstream-key PUBLISHER.pub --private-key YOUR.key"
            for each in self.vouched
            if each.is_classical_only
        )

    @property
    def waits(self) -> tuple[str, ...]:
        """What a held pod waits for, for whoever made it: nothing else tells before it is bound."""
        if self.outcome is not Outcome.HOLD:
            return ()
        return tuple(
            f"Held: {problem.reason}: {problem.subject}. {problem.fix}" for problem in self.refusals
        )

    @property
    def message(self) -> str:
        """The refusals, one sentence each; the first of them if there are many."""
        sentences = [problem.sentence for problem in self.refusals[:MOST_SENTENCES]]
        more = len(self.refusals) - len(sentences)
        return "\n".join([*sentences, *([f"({more} more)"] if more else [])])


def strictest_outcome(answers: tuple[Answer, ...]) -> Outcome:
    """What becomes of several pods together; Deny of none (A31)."""
    outcomes = (answer.outcome for answer in answers)
    return max(outcomes, key=_STRICTNESS.__getitem__, default=Outcome.DENY)
