"""The decision: every policy that governs a namespace judges the pod, and all must be satisfied.

1. exempt namespaces are not judged; they are fixed by name (A30)
2. without any ClusterModelPolicy there is no floor, and nothing stands on it (A14, A31)
3. each governing policy judges by itself, so one can only ever add objections; those that look at
   volumes alike share the looking
4. equal problems under several policies are one objection, answered as the strictest wants
5. of each policy so many problems are listed; if there are more, that is one more problem, and one
   that no verification cures
6. what a policy that cannot be read may mind is answered as strictly as that policy can be

Laws: more policies never allow more; their order never matters; another volume, mount or container
never turns a denial into an allowance.
"""

from collections.abc import Iterator
from typing import Final

from weightlock.errors import Refused
from weightlock.policy.composition import enforcement_of, on_unverified_of
from weightlock.policy.objects import Policy
from weightlock.policy.spec import Enforcement, OnUnverified
from weightlock.reasons import Reason
from weightlock_webhook.decision.answers import Answer, Objection, Outcome, Problem, Vouched
from weightlock_webhook.decision.case import Case
from weightlock_webhook.decision.facts import Facts
from weightlock_webhook.decision.governance import Unread
from weightlock_webhook.decision.mount_checks import MOUNT_CHECKS
from weightlock_webhook.decision.pod_checks import POD_CHECKS
from weightlock_webhook.decision.verdict_checks import verdicts
from weightlock_webhook.decision.volume_checks import VOLUME_CHECKS
from weightlock_webhook.mounts.pods import Pod, pod_of

MOST_PROBLEMS: Final = 50
"""Of one policy: a person reads fewer, and a pod that is wrong everywhere costs no more (A06)."""

CHECKS = (*POD_CHECKS, *VOLUME_CHECKS, *MOUNT_CHECKS)


def answer_for(metadata: object, spec: object, facts: Facts) -> Answer:
    """The answer to a pod as the API server sends it; one that cannot be read is denied."""
    try:
        return decide(pod_of(metadata, spec), facts)
    except Refused as refused:
        return unreadable(refused)


def unreadable(refused: Refused) -> Answer:
    """The denial of a pod that cannot be read."""
    fix = refused.hint or "Send the pod as the API server would store it."
    problem = Problem(refused.reason, refused.message, "a well-formed pod", fix)
    return Answer(refused.reason, (Objection(problem, (), Enforcement.ENFORCE, OnUnverified.DENY),))


def decide(pod: Pod, facts: Facts) -> Answer:
    """Whether a pod may run, and for each objection what a person needs to know."""
    if facts.namespace in facts.allowances.exempt_namespaces:
        return Answer(Reason.NOT_GOVERNED)
    vouched: list[Vouched] = []
    minded = _Minded()
    for view in facts.governance.views:
        for found, policies in _found(Case.of(pod, facts, view)):
            if isinstance(found, Vouched):
                vouched.append(found)
            elif minded.add(found, policies) and minded.are_full(view.policies):
                break
    problems = {problem: list[Policy]() for problem in _without_floor(pod, facts)}
    problems |= minded.all_of_them()
    objections = tuple(_objection(problem, minds, pod) for problem, minds in problems.items())
    objections += tuple(_unread(pod, facts))
    return Answer(
        _reason(objections, vouched),
        tuple(sorted(objections, key=_weight)),
        tuple(vouched),
        facts.governance.origins,
        frozenset(each.checkpoint for each in vouched),
    )


class _Minded:
    """Problems, and who minds each of them; (4) and (5)."""

    def __init__(self) -> None:
        self._problems: dict[Problem, list[Policy]] = {}
        self._listed: dict[int, int] = {}
        self._beyond: dict[int, Policy] = {}

    def add(self, problem: Problem, policies: tuple[Policy, ...]) -> bool:
        """Whether any of the policies has more problems now than are listed of one."""
        minds = self._problems.get(problem, [])
        is_beyond = False
        for policy in policies:
            if any(policy is each for each in minds):
                continue
            listed = self._listed.get(id(policy), 0)
            if listed >= MOST_PROBLEMS:
                self._beyond[id(policy)] = policy
                is_beyond = True
                continue
            self._listed[id(policy)] = listed + 1
            minds.append(policy)
        if minds:
            self._problems[problem] = minds
        return is_beyond

    def are_full(self, policies: tuple[Policy, ...]) -> bool:
        """Whether nothing more can be said of any of them."""
        return all(id(policy) in self._beyond for policy in policies)

    def all_of_them(self) -> dict[Problem, list[Policy]]:
        """The problems, and that there are more."""
        beyond = list(self._beyond.values())
        return self._problems | ({_TOO_MANY: beyond} if beyond else {})


_TOO_MANY: Final = Problem(
    Reason.LIMIT_EXCEEDED,
    f"more than {MOST_PROBLEMS} things that are wrong with the pod",
    f"none; the first {MOST_PROBLEMS} are told",
    "Correct those first, or mount less.",
)


def _found(case: Case) -> Iterator[tuple[Problem | Vouched, tuple[Policy, ...]]]:
    for check in CHECKS:
        for problem in check(case):
            yield problem, case.view.policies
    yield from verdicts(case)


def _without_floor(pod: Pod, facts: Facts) -> Iterator[Problem]:
    """(2) A tenant's own policy is no floor either: it could say Audit."""
    if pod.has_storage and not facts.governance.has_floor and not facts.allowances.without_policy:
        yield Problem(
            Reason.NO_POLICY,
            "no ClusterModelPolicy in the cluster, and a pod with storage",
            "at least one",
            "Apply a ClusterModelPolicy; with enforcement: Audit it only watches.",
        )


def _unread(pod: Pod, facts: Facts) -> Iterator[Objection]:
    """(6) Nobody can say what it demands, so it demands what nothing satisfies."""
    for each in facts.governance.unread:
        if not _may_be_minded(pod, facts, each):
            continue
        policy, trouble = each.policy, each.policy.trouble
        problem = Problem(
            Reason.POLICY_INVALID,
            f"{policy.origin} cannot be decided upon: {trouble.message}",
            "",
            trouble.hint or "Ask whoever wrote the policy to correct it.",
        )
        yield Objection(problem, (policy.origin,), policy.enforcement, OnUnverified.DENY)


def _may_be_minded(pod: Pod, facts: Facts, unread: Unread) -> bool:
    """Whether a policy with these parts could have anything against the pod."""
    if unread.view is None:
        return bool(pod.volumes or pod.unknown_fields)
    case = Case.of(pod, facts, unread.view)
    return case.is_governed or any(any(check(case)) for check in CHECKS)


def _objection(problem: Problem, minds: list[Policy], pod: Pod) -> Objection:
    enforcement = enforcement_of(minds)
    strict = [policy for policy in minds if policy.spec.enforcement is enforcement]
    response = on_unverified_of(strict)
    if response is OnUnverified.HOLD and pod.node_name:
        # A pod that names its node passes no scheduler, so nothing could hold it (A17, B28).
        response = OnUnverified.DENY
    origins = tuple(sorted(policy.origin for policy in minds))
    return Objection(problem, origins, enforcement, response)


def _weight(objection: Objection) -> tuple[int, str, str, str]:
    problem = objection.problem
    rank = tuple(Outcome).index(objection.outcome)
    return -rank, problem.volume, problem.reason, problem.sentence


def _reason(objections: tuple[Objection, ...], vouched: list[Vouched]) -> Reason:
    """The word that metrics count: the first refusal, else the first warning, else the verdict."""
    if objections:
        return min(objections, key=_weight).problem.reason
    if not vouched:
        return Reason.NOT_GOVERNED
    classical = any(each.is_classical_only for each in vouched)
    return Reason.CLASSICAL_ONLY if classical else Reason.VERIFIED
