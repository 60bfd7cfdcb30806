"""Pods beside a policy that cannot be read: refused where it may mind them, and nowhere else."""

import pytest
from tests.unit.policy.builders import PQ, Json, policy, spec
from tests.unit.webhook.cluster import NAMESPACE, answer, facts
from tests.unit.webhook.objects import Object, container, pod_spec, volume

from weightlock.errors import PolicyInvalid
from weightlock.policy.objects import Metadata, PolicyKind
from weightlock.policy.unreadable import UnreadablePolicy
from weightlock.reasons import Reason
from weightlock_webhook.decision.answers import Outcome
from weightlock_webhook.decision.facts import Facts
from weightlock_webhook.decision.governance import Governance

GOOD = policy()
TROUBLE = PolicyInvalid("spec.signatures: missing", hint="Write some.")
KUBELET = pod_spec(volume("m", hostPath={"path": "/var/lib/kubelet"}), containers=[container()])
SCRATCH = pod_spec(volume("m", emptyDir={}), containers=[container()])
BARE: Object = {"containers": [container()]}
NEWER = {**BARE, "storageOfTheFuture": 1}


def beside(*unreadable: Json, governed: bool = True) -> Facts:
    found = tuple(
        UnreadablePolicy.of(
            PolicyKind.CLUSTER_MODEL_POLICY, Metadata(f"bad-{number}"), each, TROUBLE
        )
        for number, each in enumerate(unreadable)
    )
    policies = (GOOD,) if governed else ()
    return facts(governance=Governance.of(policies, NAMESPACE, {}, found))


@pytest.mark.parametrize(
    ("unreadable", "pod", "outcome"),
    [
        pytest.param({}, pod_spec(), Outcome.DENY, id="a claim under one for everybody"),
        pytest.param(
            {"namespaceSelector": {"matchLabels": {"team": "b"}}},
            pod_spec(),
            Outcome.ALLOW,
            id="one for other namespaces",
        ),
        pytest.param(
            {"namespaceSelector": "?"}, pod_spec(), Outcome.DENY, id="one for nobody knows whom"
        ),
        pytest.param(
            {"volumes": {"default": "Ignore"}}, pod_spec(), Outcome.ALLOW, id="a claim it ignores"
        ),
        pytest.param(
            {
                "volumes": {
                    "default": "Ignore",
                    "rules": [
                        {"persistentVolumeClaim": {"claimNames": ["llama"]}, "action": "Verify"}
                    ],
                }
            },
            pod_spec(),
            Outcome.DENY,
            id="a claim that a rule of it names",
        ),
        pytest.param({"volumes": "?"}, pod_spec(), Outcome.DENY, id="nobody knows which volumes"),
        pytest.param({"volumes": "?"}, SCRATCH, Outcome.DENY, id="scratch space among them"),
        pytest.param({"volumes": "?"}, BARE, Outcome.ALLOW, id="a pod without any volume"),
        pytest.param({}, SCRATCH, Outcome.ALLOW, id="scratch space that no rule of it names"),
        pytest.param({"enforcement": "Audit"}, pod_spec(), Outcome.ALLOW, id="one that watches"),
        pytest.param({"enforcement": "Warn"}, pod_spec(), Outcome.ALLOW, id="one that warns"),
        pytest.param({"enforcement": "?"}, pod_spec(), Outcome.DENY, id="nobody knows how strict"),
    ],
)
def test_a_pod_is_refused_if_the_policy_may_mind_it(
    unreadable: Json, pod: Object, outcome: Outcome
) -> None:
    found = answer(pod, beside({**spec(), "signatures": {}, **unreadable}))
    assert found.outcome is outcome


def test_newer_fields_and_ways_to_other_pods_volumes_are_its_business_too() -> None:
    ignoring: Json = {"volumes": {"default": "Ignore"}}
    for pod in (NEWER, KUBELET):
        found = answer(pod, beside(ignoring, governed=False))
        assert [each.reason for each in found.refusals] == [Reason.POLICY_INVALID]
    assert answer(NEWER, beside({"volumes": "?"}, governed=False)).outcome is Outcome.DENY
    assert answer(SCRATCH, beside(ignoring, governed=False)).outcome is Outcome.ALLOW


def test_one_that_does_not_mind_hides_none_that_does() -> None:
    ignoring: Json = {"volumes": {"default": "Ignore"}}
    nothing: Json = {}
    for unreadable in ((nothing, ignoring), (ignoring, nothing)):
        found = answer(pod_spec(), beside(*unreadable))
        assert found.outcome is Outcome.DENY
        (minding,) = found.objections
        assert minding.policies == (f"ClusterModelPolicy bad-{unreadable.index(nothing)}",)


def test_without_a_hint_the_denial_names_whom_to_ask() -> None:
    unread = UnreadablePolicy.of(
        PolicyKind.CLUSTER_MODEL_POLICY, Metadata("bad"), {}, PolicyInvalid("no sense")
    )
    found = facts(governance=Governance.of((GOOD,), NAMESPACE, {}, (unread,)))
    assert answer(pod_spec(), found).refusals[0].fix.startswith("Ask whoever wrote the policy")


def test_the_denial_names_the_policy_and_what_to_do() -> None:
    (found,) = answer(pod_spec(), beside({})).refusals
    assert found.sentence == (
        "PolicyInvalid: pod: ClusterModelPolicy bad-0 cannot be decided upon:"
        " spec.signatures: missing. Write some."
    )


def test_one_that_warns_says_so() -> None:
    found = answer(pod_spec(), beside({"enforcement": "Warn"}))
    assert found.outcome is Outcome.ALLOW
    assert "bad-0 cannot be decided upon" in found.warnings[0]
    assert found.policies == (GOOD.origin, "ClusterModelPolicy bad-0")


def test_a_key_that_it_denies_counts_for_none_where_it_enforces() -> None:
    denying: Json = {"volumes": {"default": "Ignore"}, "denied": {"keyids": [PQ.keyid]}}
    assert answer(pod_spec(), beside(denying)).reason is Reason.KEY_REVOKED
    watching = {**denying, "enforcement": "Audit"}
    assert answer(pod_spec(), beside(watching)).outcome is Outcome.ALLOW


def test_it_is_a_floor_like_any_cluster_policy() -> None:
    elsewhere: Json = {"namespaceSelector": {"matchLabels": {"team": "b"}}}
    assert answer(pod_spec(), beside(elsewhere, governed=False)).outcome is Outcome.ALLOW
    assert answer(pod_spec(), beside(governed=False)).reason is Reason.NO_POLICY


@pytest.mark.parametrize(
    ("unreadable", "alone"),
    [
        pytest.param({}, True, id="no rule about tokens"),
        pytest.param({"volumes": "?"}, False, id="nobody knows"),
        pytest.param(
            {"volumes": {"rules": [{"secret": {}, "action": "Forbid"}]}}, False, id="a rule"
        ),
    ],
)
def test_plain_pods_are_left_alone_only_if_it_leaves_them_alone(
    unreadable: Json, alone: bool
) -> None:
    assert beside(unreadable).governance.leaves_plain_pods_alone is alone
