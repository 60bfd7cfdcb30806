"""Policies as objects: who they are and whom they govern."""

import pytest
from tests.unit.policy.builders import Json, policy, policy_object, replaced

from weightlock.errors import PolicyInvalid
from weightlock.policy.objects import Policy, policies_governing


def test_a_policy_is_named_by_kind_namespace_and_name() -> None:
    assert policy("pq").origin == "ClusterModelPolicy pq"
    assert policy("pq", "team-a").origin == "ModelPolicy team-a/pq"


def test_what_others_write_into_metadata_is_skipped() -> None:
    found = replaced(policy_object(), "metadata.managedFields", [{"manager": "kubectl"}])
    found = replaced(found, "metadata.uid", "f00")
    found = replaced(found, "metadata.generation", 4)
    metadata = Policy.from_object(replaced(found, "status", {"anything": 1})).metadata
    assert (metadata.uid, metadata.generation) == ("f00", 4)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param(None, "object: found None, expected a mapping", id="nothing"),
        pytest.param({}, "object.kind: missing", id="no kind"),
        pytest.param(
            replaced(policy_object(), "kind", "Policy"),
            "Policy.kind: found 'Policy', expected one of: ClusterModelPolicy, ModelPolicy",
            id="another kind",
        ),
        pytest.param(
            replaced(policy_object(), "apiVersion", "weightlock.dev/v1"),
            "ClusterModelPolicy.apiVersion: found 'weightlock.dev/v1', expected weightlock.dev/v1b",
            id="another version",
        ),
        pytest.param(
            replaced(policy_object(), "metadata.namespace", "team-a"),
            "ClusterModelPolicy.metadata.namespace: found team-a, expected none",
            id="a cluster policy in a namespace",
        ),
        pytest.param(
            replaced(policy_object("p", "x"), "metadata.namespace", ""),
            "ModelPolicy.metadata.namespace: missing",
            id="a namespaced policy in none",
        ),
        pytest.param(
            replaced(policy_object("p", "x"), "spec.namespaceSelector.matchLabels.a", "b"),
            "ModelPolicy.spec.namespaceSelector: found a selector, expected none",
            id="a namespaced policy that selects namespaces",
        ),
        pytest.param(
            {key: value for key, value in policy_object().items() if key != "spec"},
            "ClusterModelPolicy.spec: missing",
            id="no spec",
        ),
        pytest.param(
            replaced(policy_object(), "data", {}), "unknown field 'data'", id="an unknown field"
        ),
        pytest.param(
            replaced(policy_object(), "metadata.generation", True),
            "metadata.generation: found True",
            id="a generation that is no number",
        ),
    ],
)
def test_objects_that_are_no_policy(value: object, message: str) -> None:
    with pytest.raises(PolicyInvalid) as refusal:
        Policy.from_object(value)
    assert message in refusal.value.message


def test_a_namespaced_policy_takes_the_default_namespace_of_a_file() -> None:
    value = replaced(policy_object("p", "x"), "metadata.namespace", "")
    assert Policy.from_object(value, "team-a").metadata.namespace == "team-a"


def selecting(**selector: object) -> Policy:
    return policy(namespaceSelector=selector)


def expression(key: str, operator: str, *values: str) -> Policy:
    more: Json = {"values": list(values)} if values else {}
    return selecting(matchExpressions=[{"key": key, "operator": operator, **more}])


NAME = "kubernetes.io/metadata.name"


@pytest.mark.parametrize(
    ("governing", "governs"),
    [
        pytest.param(policy(), True, id="an empty selector governs all"),
        pytest.param(selecting(matchLabels={"tier": "gold"}), True, id="a label"),
        pytest.param(selecting(matchLabels={"tier": "silver"}), False, id="another value"),
        pytest.param(expression("tier", "In", "gold", "silver"), True, id="in"),
        pytest.param(expression("tier", "NotIn", "gold"), False, id="not in"),
        pytest.param(expression("colour", "NotIn", "red"), True, id="not in, and not there"),
        pytest.param(expression("tier", "Exists"), True, id="exists"),
        pytest.param(expression("colour", "Exists"), False, id="does not exist"),
        pytest.param(expression("colour", "DoesNotExist"), True, id="must not exist"),
        pytest.param(expression("tier", "DoesNotExist"), False, id="must not exist, and does"),
        pytest.param(expression(NAME, "NotIn", "team-a"), False, id="opted out by name"),
        pytest.param(expression(NAME, "NotIn", "team-b"), True, id="a name nobody can forge"),
        pytest.param(policy("a", "team-a"), True, id="its own namespace"),
        pytest.param(policy("a", "team-b"), False, id="another namespace"),
    ],
)
def test_whom_a_policy_governs(governing: Policy, *, governs: bool) -> None:
    labels = {"tier": "gold", NAME: "team-b"}
    found = policies_governing([governing], "team-a", labels)
    assert found == ((governing,) if governs else ())
