"""Several policies, their enforcement, and what becomes of a pod whose verdict is still to come."""

from typing import Any

import pytest
from tests.unit.policy.builders import EC, PQ, PQ_TOO, authority, policy, rule, signatures
from tests.unit.webhook.cluster import NAMESPACE, NO_POLICIES, answer, checkpoint, facts
from tests.unit.webhook.objects import (
    Object,
    claim_volume,
    container,
    mount,
    pod_spec,
    volume,
)

from weightlock.errors import PolicyInvalid
from weightlock.formats.spki import PublicKeyInfo
from weightlock.policy.objects import Metadata, Policy, PolicyKind
from weightlock.policy.spec import Enforcement
from weightlock.policy.unreadable import UnreadablePolicy
from weightlock.reasons import Reason, Verdict
from weightlock_webhook.decision.answers import Answer, Outcome, strictest_outcome
from weightlock_webhook.decision.facts import Allowances
from weightlock_webhook.decision.governance import Governance

WRITABLE = pod_spec(containers=[container(mount(readOnly=False))])
LAX = policy("lax", mounts={"readOnly": "Optional"})
STRICT = policy("strict")
AUDIT = policy("audit", enforcement="Audit")
WARN = policy("warn", enforcement="Warn")
OWN = policy("own", NAMESPACE, mounts={"readOnly": "Optional"})
OWN_AUDIT = policy("own-audit", NAMESPACE, enforcement="Audit")
ELSEWHERE = policy(
    "elsewhere", namespaceSelector={"matchLabels": {"kubernetes.io/metadata.name": "other"}}
)


@pytest.mark.parametrize(
    ("policies", "outcome", "warnings"),
    [
        pytest.param([LAX], Outcome.ALLOW, 0, id="a policy that lets writers in"),
        pytest.param([STRICT], Outcome.DENY, 0, id="one that does not"),
        pytest.param([LAX, STRICT], Outcome.DENY, 0, id="the stricter of two"),
        pytest.param([WARN], Outcome.ALLOW, 1, id="one that warns"),
        pytest.param([AUDIT], Outcome.ALLOW, 0, id="one that only watches"),
        pytest.param([AUDIT, WARN, LAX], Outcome.ALLOW, 1, id="three that let it pass"),
        pytest.param([WARN, STRICT], Outcome.DENY, 0, id="a warning weakens nothing"),
        pytest.param([STRICT, OWN], Outcome.DENY, 0, id="a namespace's own policy weakens nothing"),
        pytest.param([STRICT, OWN_AUDIT], Outcome.DENY, 0, id="nor does one that only watches"),
        pytest.param([LAX, ELSEWHERE], Outcome.ALLOW, 0, id="one for another namespace"),
        pytest.param([ELSEWHERE], Outcome.ALLOW, 0, id="only one for another namespace"),
        pytest.param([OWN], Outcome.DENY, 0, id="no cluster policy below the namespace's own"),
        pytest.param([OWN_AUDIT], Outcome.DENY, 0, id="nor below one that only watches"),
    ],
)
def test_every_policy_must_be_satisfied(
    policies: list[Policy], outcome: Outcome, warnings: int
) -> None:
    found = answer(WRITABLE, facts(*policies))
    assert (found.outcome, len(found.warnings)) == (outcome, warnings)


def test_no_policy_at_all_is_no_permission() -> None:
    refused = answer(pod_spec(), facts(governance=NO_POLICIES))
    assert [each.reason for each in refused.refusals] == [Reason.NO_POLICY]
    assert answer(
        pod_spec(volume("x", emptyDir={}), containers=[]), facts(governance=NO_POLICIES)
    ).outcome is (Outcome.ALLOW)
    without = facts(governance=NO_POLICIES, allowances=Allowances(without_policy=True))
    assert answer(pod_spec(), without).outcome is Outcome.ALLOW


def test_exempt_namespaces_are_exempt_by_name() -> None:
    for name in ("kube-system", "weightlock-system"):
        exempt = facts(namespace=name, governance=NO_POLICIES)
        assert answer(WRITABLE, exempt).outcome is Outcome.ALLOW
    labelled = facts(labels={"kubernetes.io/metadata.name": "kube-system"})
    assert answer(WRITABLE, labelled).outcome is Outcome.DENY


def test_a_problem_under_two_policies_is_told_once() -> None:
    (objection,) = answer(WRITABLE, facts(WARN, STRICT)).objections
    assert objection.policies == ("ClusterModelPolicy strict", "ClusterModelPolicy warn")


def test_a_key_that_one_policy_denies_counts_for_none() -> None:
    both = signatures(authority("release", PQ), authority("second", PQ_TOO))
    trusting = policy("trusting", signatures=both)
    denying = policy(
        "denying",
        signatures=signatures(authority("second", PQ_TOO)),
        denied={"keyids": [PQ.keyid]},
    )
    refused = answer(pod_spec(), facts(trusting, denying))
    assert {each.reason for each in refused.refusals} == {
        Reason.KEY_REVOKED,
        Reason.SIGNER_UNTRUSTED,
    }


def test_a_warning_policy_denies_keys_for_itself_only() -> None:
    denying = policy("denying", enforcement="Warn", denied={"keyids": [PQ.keyid]})
    found = answer(pod_spec(), facts(policy(), denying))
    assert (found.outcome, len(found.warnings)) == (Outcome.ALLOW, 1)


HOLD = policy("hold", onUnverified="Hold")
INJECT = policy("inject", onUnverified="Inject")
DENY = policy("deny")
WARN_DENY = policy("warn-deny", enforcement="Warn")


@pytest.mark.parametrize(
    ("policies", "spec", "outcome"),
    [
        pytest.param([HOLD], pod_spec(), Outcome.HOLD, id="held until verified"),
        pytest.param([INJECT], pod_spec(), Outcome.INJECT, id="verified in the pod"),
        pytest.param([HOLD, INJECT], pod_spec(), Outcome.HOLD, id="hold is stricter than inject"),
        pytest.param([HOLD, DENY], pod_spec(), Outcome.DENY, id="deny is stricter than both"),
        pytest.param([HOLD, WARN_DENY], pod_spec(), Outcome.HOLD, id="a warning decides nothing"),
        pytest.param([HOLD], WRITABLE, Outcome.DENY, id="a writable mount is never held"),
    ],
)
def test_what_becomes_of_a_pod_whose_verdict_is_still_to_come(
    policies: list[Policy], spec: Object, outcome: Outcome
) -> None:
    assert answer(spec, facts(*policies, checkpoints=[])).outcome is outcome
    if spec is not WRITABLE:
        assert answer(spec, facts(*policies)).outcome is Outcome.ALLOW


def test_nothing_can_hold_a_pod_that_has_its_node() -> None:
    found = facts(HOLD, checkpoints=[], is_running=True)
    assert answer(pod_spec(nodeName="n"), found).outcome is Outcome.DENY
    inside = facts(INJECT, checkpoints=[], is_running=True)
    assert answer(pod_spec(nodeName="n"), inside).outcome is Outcome.INJECT


def test_what_only_warns_is_no_refusal() -> None:
    """Two policies that mind different things, of which one enforces."""
    held = policy("held", onUnverified="Hold", mounts={"readOnly": "Optional"})
    found = answer(WRITABLE, facts(WARN, held, checkpoints=[]))
    assert [each.reason for each in found.refusals] == [Reason.NO_CHECKPOINT]
    assert "WritableMount" not in found.message
    assert "WritableMount" not in "".join(found.waits)
    assert any("WritableMount" in each for each in found.warnings)


def test_the_strictest_objection_comes_first_and_is_the_one_that_is_counted() -> None:
    for spec, found in (
        (WRITABLE, facts(HOLD, checkpoints=[])),
        (pod_spec(hostPID=True), facts(policy("held", onUnverified="Hold"), checkpoints=[])),
    ):
        told = answer(spec, found)
        assert [each.outcome for each in told.objections] == [Outcome.DENY, Outcome.HOLD]
        assert told.reason is told.objections[0].problem.reason


def test_one_classical_verdict_among_others_is_counted() -> None:
    classical = signatures(
        authority("release", PQ),
        authority("legacy", EC),
        rules=[rule("any", "release", "legacy")],
        classical={"action": "Warn", "sunset": "2100-01-01T00:00:00Z"},
    )
    mounts = [mount(at="/a", subPath="a"), mount(at="/b", subPath="b")]
    for first, second in (((PQ,), (EC,)), ((EC,), (PQ,))):
        known = [
            checkpoint("a", path="/a", signed_by=first, phase=phase_of(first)),
            checkpoint("b", path="/b", signed_by=second, phase=phase_of(second)),
        ]
        found = answer(
            pod_spec(containers=[container(*mounts)]),
            facts(policy(signatures=classical), checkpoints=known),
        )
        assert (found.outcome, found.reason) == (Outcome.ALLOW, Reason.CLASSICAL_ONLY)


def phase_of(signed_by: tuple[PublicKeyInfo, ...]) -> Verdict:
    return Verdict.VERIFIED if PQ in signed_by else Verdict.CLASSICAL_ONLY


@pytest.mark.parametrize(
    ("policies", "modes", "expected"),
    [
        pytest.param([], [], None, id="none"),
        pytest.param([DENY, WARN_DENY], [], Enforcement.ENFORCE, id="the strictest"),
        pytest.param([WARN_DENY], [], Enforcement.WARN, id="a warning"),
        pytest.param([WARN_DENY], ["Enforce"], Enforcement.ENFORCE, id="one that is unread"),
    ],
)
def test_a_namespace_is_judged_as_strictly_as_its_strictest_policy(
    policies: list[Policy], modes: list[str], expected: Enforcement | None
) -> None:
    trouble = PolicyInvalid("no sense")
    kind, metadata = PolicyKind.CLUSTER_MODEL_POLICY, Metadata("unread")
    unread = [UnreadablePolicy.of(kind, metadata, {"enforcement": each}, trouble) for each in modes]
    assert Governance.of(policies, NAMESPACE, {}, unread).enforcement is expected


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        pytest.param(answer(pod_spec()), Reason.VERIFIED, id="a verified model"),
        pytest.param(answer(pod_spec(), facts(AUDIT)), Reason.VERIFIED, id="under an audit"),
        pytest.param(
            answer(pod_spec(volume("x", emptyDir={}), containers=[])),
            Reason.NOT_GOVERNED,
            id="nothing to verify",
        ),
        pytest.param(answer(WRITABLE), Reason.WRITABLE_MOUNT, id="a denial"),
        pytest.param(answer(WRITABLE, facts(WARN)), Reason.WRITABLE_MOUNT, id="a warning says why"),
        pytest.param(
            answer(WRITABLE, facts(HOLD, checkpoints=[])),
            Reason.WRITABLE_MOUNT,
            id="what denies comes before what holds",
        ),
    ],
)
def test_metrics_count_one_reason_per_answer(found: Answer, reason: Reason) -> None:
    assert found.reason is reason


def test_several_pods_are_as_strict_as_the_strictest() -> None:
    allowed, denied = answer(pod_spec()), answer(WRITABLE)
    assert strictest_outcome((allowed, denied)) is Outcome.DENY
    assert strictest_outcome((allowed,)) is Outcome.ALLOW
    assert strictest_outcome(()) is Outcome.DENY


def test_messages_name_nothing_of_other_namespaces() -> None:
    hidden = policy("secret-name", "team-b")
    found = facts(policy(), hidden, checkpoints=[])
    spec: Any = pod_spec(claim_volume(read_only=False), hostPID=True)
    message = answer(spec, found).message
    assert "team-b" not in message
    assert "secret-name" not in message


def test_an_answer_lists_the_policies_that_judged() -> None:
    own = policy("own", NAMESPACE)
    found = answer(pod_spec(), facts(policy(), own, checkpoints=[checkpoint()]))
    assert found.policies == ("ClusterModelPolicy post-quantum", "ModelPolicy team-a/own")
