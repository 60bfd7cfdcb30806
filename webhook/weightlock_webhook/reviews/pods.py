"""Pods as they are made, changed and bound.

What is asked of a new pod, in this order:

1. exempt namespaces are not judged; the configuration leaves them out, and so does this (A30)
2. a static pod runs whatever is said: its mirror is let in, and counted (B02)
3. a pod with the marks of a verification must be one, and is then not judged (A15)
4. it brings none of our other keys
5. the judge answers; Hold and Inject are allowances only for a pod that is held or injected

An update is not judged again (B12): nothing that a pod may change adds storage, but annotations by
which a container runtime does (B21): with other ones of those it is judged as if it were new. It
must leave alone what holds or injects the pod; only the operator lets a held pod go, and only when
the judge allows it at that moment (A17).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from weightlock.cluster_names import JOB_CONTROLLER_USER
from weightlock.errors import WeightlockError
from weightlock.reasons import Reason
from weightlock_webhook import documents
from weightlock_webhook.decision.answers import Answer, Outcome
from weightlock_webhook.documents import Metadata, Pod, Request, User
from weightlock_webhook.guards import pods as guards
from weightlock_webhook.guards.keys import is_marked
from weightlock_webhook.guards.refusals import GuardReason, Refusal
from weightlock_webhook.guards.users import Accounts
from weightlock_webhook.guards.verification_pods import Claimed, job_of, not_a_verification
from weightlock_webhook.recent import Following
from weightlock_webhook.responses import Response, allowed, denied, judged, refused, settled
from weightlock_webhook.reviews.collaborators import Mutation, PodJudge, PodQuestion
from weightlock_webhook.reviews.plain import plain_review
from weightlock_webhook.reviews.reading import Reading
from weightlock_webhook.wording import quoted

MIRROR: Final = "MirrorPod"
VERIFICATION: Final = "VerificationPod"
EXEMPT: Final = "ExemptNamespace"
UNCHANGED: Final = "Unchanged"
_JOB_CONTROLLER: Final = User(JOB_CONTROLLER_USER)


@dataclass(frozen=True, slots=True)
class Rules:
    """What this installation says of pods."""

    accounts: Accounts
    exempt_namespaces: frozenset[str]
    verifier_images: frozenset[str] = frozenset()


class PodReviews:
    """Answers for pods, their bindings and their ephemeral containers."""

    def __init__(self, judge: PodJudge, mutation: Mutation, reading: Reading, rules: Rules) -> None:
        self.judge = judge
        self._mutation = mutation
        self._reading = reading
        self._rules = rules
        self._responses = Following(settled)

    def at_once(self, body: bytes) -> str | None:
        """The uid of a review of a new pod that holds nothing that anybody has to verify.

        It is allowed; None is no answer yet.
        """
        found = plain_review(body)
        if found is None:
            return None
        uid, namespace = found
        if namespace in self._rules.exempt_namespaces:
            return None
        try:
            return uid if self.judge.leaves_alone(namespace) else None
        except WeightlockError:
            return None  # which is why it cannot be judged in full either

    async def validate(self, request: Request, deadline: float) -> Response:
        """A pod is made or changed; all mutators are through."""
        if request.namespace in self._rules.exempt_namespaces:
            return allowed(EXEMPT)
        pod = documents.pod_of(request)
        if request.operation == "UPDATE":
            return await self._updated(request, pod, deadline)
        exception = await self._exception(request, pod, deadline)
        if exception is not None:
            return exception
        question = question_of(request, pod)
        answer = await self.judge.answer(question, deadline)
        is_held = answer.outcome is Outcome.HOLD
        reserved = guards.reserved_keys_set(pod.metadata, is_held=is_held)
        return refused(reserved) if reserved else self._settled(question, answer)

    async def mutate(self, request: Request, deadline: float) -> Response:
        """A pod is made: hold or inject it if that is the answer; all else is validation's."""
        if request.namespace in self._rules.exempt_namespaces:
            return allowed(EXEMPT)
        pod = documents.pod_of(request)
        if is_marked(pod.metadata) or _is_mirror(request, pod):
            return allowed(UNCHANGED)
        question = question_of(request, pod)
        answer = await self.judge.answer(question, deadline)
        if answer.outcome in {Outcome.HOLD, Outcome.INJECT}:
            return judged(answer, patch=self._mutation.patch(question, answer))
        return allowed(UNCHANGED)

    async def ephemeral(self, request: Request, deadline: float) -> Response:
        """A container joins a running pod: the pod is judged with it, as if it were new (A18)."""
        if request.namespace in self._rules.exempt_namespaces:
            return allowed(EXEMPT)
        pod = await self._with_ephemeral(request, deadline)
        if pod is None:
            return refused(_pod_not_found(request.name))
        if is_marked(pod.metadata):
            return refused(guards.protected("given other containers"))
        question = replace(question_of(request, pod), is_running=True)
        return self._running(question, await self.judge.answer(question, deadline))

    async def bind(self, request: Request, deadline: float) -> Response:
        """The scheduler binds a pod: the authoritative look, at the pod as it is now.

        Between admission and now its claims may have become others (A28), and where the server
        knows no gates this is what holds it.
        """
        if request.namespace in self._rules.exempt_namespaces:
            return allowed(EXEMPT)
        binding = documents.decoded(request.object, documents.BINDING, "binding")
        wrong = _binding_wrong(request, binding)
        if wrong:
            return refused(wrong)
        name = request.name or binding.metadata.name or ""
        pod = await self._reading.pod(request.namespace, name, deadline)
        if pod is None or binding.metadata.uid not in {None, "", pod.metadata.uid}:
            return refused(_pod_not_found(name))
        if is_marked(pod.metadata):
            wrong = await self._verification(_JOB_CONTROLLER, request.namespace, pod, deadline)
            return refused(wrong) if wrong else allowed(VERIFICATION)
        bound = replace(pod, metadata=_annotated(pod.metadata, binding.metadata))
        question = question_of(request, bound, node=binding.target.name)
        return self._running(question, await self.judge.answer(question, deadline))

    async def _exception(self, request: Request, pod: Pod, deadline: float) -> Response | None:
        """Steps 2 and 3."""
        if _is_mirror(request, pod):
            return allowed(MIRROR)
        if not is_marked(pod.metadata):
            return None
        wrong = await self._verification(request.user_info, request.namespace, pod, deadline)
        return refused(wrong) if wrong else allowed(VERIFICATION)

    async def _verification(
        self, user: User, namespace: str, pod: Pod, deadline: float
    ) -> Refusal | None:
        owner = job_of(pod.metadata)
        job = await self._reading.job(namespace, owner.name, deadline) if owner else None
        claimed = Claimed(
            user,
            pod.metadata,
            pod.spec,
            job.metadata if job else None,
            job.spec if job else {},
            self._rules.verifier_images,
        )
        return not_a_verification(claimed)

    async def _updated(self, request: Request, pod: Pod, deadline: float) -> Response:
        before = documents.decoded(request.old_object, documents.POD, "old pod")
        user, accounts = request.user_info, self._rules.accounts
        wrong = guards.verification_pod_updated(user, before.metadata, pod.metadata, accounts)
        if wrong:
            return refused(wrong)
        if is_marked(pod.metadata):
            return allowed(VERIFICATION)
        wrong = guards.reserved_keys_changed(user, before.metadata, pod.metadata, accounts)
        if wrong:
            return refused(wrong)
        question = question_of(request, pod)
        denial = await self._injections(question, before, pod, deadline)
        broken = self._mutation.tampered(question, _whole(before), _whole(pod))
        if denial or not broken:
            return denial or allowed(UNCHANGED)
        if not accounts.is_operator(user):
            return refused(Refusal(GuardReason.HOLD_BROKEN, f"{GuardReason.HOLD_BROKEN}: {broken}"))
        answer = await self.judge.answer(question, deadline)
        return judged(answer) if answer.outcome is Outcome.ALLOW else denied(answer, broken)

    async def _injections(
        self, question: PodQuestion, before: Pod, pod: Pod, deadline: float
    ) -> Response | None:
        """The refusal of annotations by which a runtime would add to a pod that was let in."""
        if not guards.injections_changed(before.metadata, pod.metadata):
            return None
        question = replace(question, is_running=bool(_node_of(pod.spec)))
        answer = await self.judge.answer(question, deadline)
        return denied(answer) if answer.outcome is Outcome.DENY else None

    def _settled(self, question: PodQuestion, answer: Answer) -> Response:
        """Step 5, for a pod that is being made."""
        match answer.outcome:
            case Outcome.ALLOW | Outcome.DENY:
                return self._responses(answer)
            case _:
                lacking = self._mutation.missing(question, answer)
                return denied(answer, lacking) if lacking else judged(answer)

    def _running(self, question: PodQuestion, answer: Answer) -> Response:
        """For a pod that is about to run or does: to be held is too late."""
        return denied(answer) if answer.outcome is Outcome.HOLD else self._settled(question, answer)

    async def _with_ephemeral(self, request: Request, deadline: float) -> Pod | None:
        if request.kind.kind == "Pod":
            return documents.pod_of(request)
        # Before 1.22 the containers come alone.
        added = documents.decoded(
            request.object, documents.EPHEMERAL_CONTAINERS, "list of ephemeral containers"
        )
        live = await self._reading.pod(request.namespace, request.name, deadline)
        if live is None:
            return None
        return Pod({**live.spec, "ephemeralContainers": added.ephemeral_containers}, live.metadata)


def question_of(request: Request, pod: Pod, *, node: str = "") -> PodQuestion:
    """What the judge is asked."""
    return PodQuestion(
        request.namespace,
        _metadata(pod.metadata),
        pod.spec,
        pod.metadata.name or request.name,
        node,
        request.is_dry_run,
    )


def _metadata(metadata: Metadata) -> Mapping[str, object]:
    return {
        "name": metadata.name,
        "uid": metadata.uid,
        "labels": metadata.labels,
        "annotations": metadata.annotations,
    }


def _whole(pod: Pod) -> Mapping[str, object]:
    return {"metadata": _metadata(pod.metadata), "spec": pod.spec}


def _is_mirror(request: Request, pod: Pod) -> bool:
    """A mirror says so, which is looked at first: a spec that nobody needs is not decoded."""
    if guards.MIRROR_ANNOTATION not in (pod.metadata.annotations or {}):
        return False
    return guards.is_mirror_of(request.user_info, pod.metadata, _node_of(pod.spec))


def _node_of(spec: Mapping[str, object]) -> str:
    name = spec.get("nodeName")
    return name if isinstance(name, str) else ""


def _binding_wrong(request: Request, binding: documents.Binding) -> Refusal | None:
    """A binding writes its annotations and labels into the pod (A37)."""
    named = binding.metadata.name or ""
    if request.name and named and request.name != named:
        return Refusal(Reason.MALFORMED, f"{Reason.MALFORMED}: the binding names two pods", 400)
    return guards.reserved_keys_bound(binding.metadata)


def _annotated(metadata: Metadata, binding: Metadata) -> Metadata:
    """A pod's metadata as it will be once it is bound."""
    if not binding.annotations:
        return metadata
    annotations = {**(metadata.annotations or {}), **binding.annotations}
    return msgspec.structs.replace(metadata, annotations=annotations)


def _pod_not_found(name: str) -> Refusal:
    return Refusal("NotFound", f"NotFound: the pod {quoted(name)} was not found", 404)
