"""Hold and Inject, as reviews ask for them (weightlock_webhook.reviews.collaborators)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from weightlock.errors import WeightlockError
from weightlock_webhook.cache.features import Features
from weightlock_webhook.decision.answers import Answer, Outcome
from weightlock_webhook.decision.governance import Governance
from weightlock_webhook.mutation import holding, injecting
from weightlock_webhook.reviews.collaborators import PatchOperation, PodQuestion


class Models(Protocol):
    """What is known of the model that a checkpoint names."""

    def expected(
        self, namespace: str, checkpoint: str, policies: Iterable[str]
    ) -> tuple[str | None, int]:
        """The registered name, and the highest version that these policies have vouched for.

        (None, 0) if nobody has said.
        """
        ...


@dataclass(frozen=True, slots=True)
class PodMutation:
    """What the answers do to pods of a server with such features.

    `image` is the verifier's, by digest; without one nothing is injected and such pods are refused.
    """

    governing: Callable[[str], Governance]
    models: Models
    features: Callable[[], Features]
    image: str = ""

    def patch(self, question: PodQuestion, answer: Answer) -> Sequence[PatchOperation]:
        """What makes the pod one that may be stored under this answer; empty if nothing does."""
        if answer.outcome is Outcome.HOLD:
            gates = self.features().has_scheduling_gates
            return holding.holding_patch(question.metadata, question.spec, answer, has_gates=gates)
        if answer.outcome is not Outcome.INJECT or not self.image:
            return ()
        try:
            containers = self._containers(question, answer)
        except WeightlockError:
            return ()  # `missing` says why
        return injecting.injecting_patch(question.spec, containers)

    def missing(self, question: PodQuestion, answer: Answer) -> str:
        """What the final pod lacks of what the answer demands, as a sentence; empty if nothing."""
        match answer.outcome:
            case Outcome.ALLOW:
                return ""
            case Outcome.HOLD:
                gates = self.features().has_scheduling_gates
                return holding.not_held(question.metadata, question.spec, has_gates=gates)
            case Outcome.INJECT if self.image:
                return self._not_injected(question, answer)
            case Outcome.INJECT:
                return "This installation names no image of the verifier to inject."
            case _:
                return "The pod is refused."

    def tampered(
        self, question: PodQuestion, before: Mapping[str, object], after: Mapping[str, object]
    ) -> str:
        """What an update took away of what held or injected the pod, as a sentence; else empty."""
        del question
        return holding.let_go(before, after) or injecting.injected_changed(before, after)

    def _not_injected(self, question: PodQuestion, answer: Answer) -> str:
        try:
            containers = self._containers(question, answer)
        except WeightlockError as error:
            return f"No container can verify the pod's volumes: {error.message}"
        return injecting.not_injected(question.spec, containers)

    def _containers(
        self, question: PodQuestion, answer: Answer
    ) -> tuple[Mapping[str, object], ...]:
        checkpoints = {
            (problem.volume, problem.path or "/"): problem.checkpoint for problem in answer.refusals
        }
        wanted = []
        for each in injecting.wanted_of(answer, self.governing(question.namespace)):
            checkpoint = checkpoints.get((each.volume, each.path), "")
            policies = [demand.origin for demand in each.demands]
            name, floor = self.models.expected(question.namespace, checkpoint, policies)
            wanted.append(replace(each, model_name=name, version_floor=floor))
        return injecting.containers_for(wanted, self.image)
