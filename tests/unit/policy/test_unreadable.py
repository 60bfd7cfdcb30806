"""What is believed of a policy that cannot be read."""

import pytest
from tests.unit.policy.builders import Json, replaced, spec

from weightlock.errors import PolicyInvalid
from weightlock.policy.bounds import Denied
from weightlock.policy.objects import Metadata, PolicyKind
from weightlock.policy.spec import Enforcement
from weightlock.policy.unreadable import UnreadablePolicy
from weightlock.policy.volumes import VolumeAction

TROUBLE = PolicyInvalid("spec.signatures: missing")
KEYID = "cd" * 32
READABLE: Json = {
    **spec(),
    "signatures": {},
    "enforcement": "Audit",
    "namespaceSelector": {"matchLabels": {"team": "b"}},
    "volumes": {"default": "Ignore"},
    "denied": {"keyids": [KEYID]},
}


def unreadable(
    content: object, kind: PolicyKind = PolicyKind.CLUSTER_MODEL_POLICY
) -> UnreadablePolicy:
    namespace = "team-a" if kind is PolicyKind.MODEL_POLICY else ""
    return UnreadablePolicy.of(kind, Metadata("bad", namespace), content, TROUBLE)


NOTHING = unreadable(None)


def test_parts_that_can_be_read_are_believed() -> None:
    found = unreadable(READABLE)
    assert found.volumes is not None
    assert (found.enforcement, found.volumes.default) == (Enforcement.AUDIT, VolumeAction.IGNORE)
    assert found.denied.keyids == {KEYID}
    assert found.may_govern("x", {"team": "b"})
    assert not found.may_govern("x", {"team": "a"})
    assert found.origin == "ClusterModelPolicy bad"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="no spec"),
        pytest.param([], id="a spec of another type"),
        pytest.param({**READABLE, "namespaces": ["x"]}, id="a field of a newer version"),
        pytest.param({**READABLE, "namespaceSeletor": {}}, id="a field that is misspelt"),
    ],
)
def test_nothing_is_believed_beside_what_nobody_knows(content: object) -> None:
    assert unreadable(content) == NOTHING
    assert NOTHING.may_govern("any", {})
    assert (NOTHING.enforcement, NOTHING.volumes) == (Enforcement.ENFORCE, None)


@pytest.mark.parametrize(
    ("path", "value", "selects_all", "enforcement", "knows_volumes"),
    [
        pytest.param("namespaceSelector", 5, True, "Audit", True, id="the selector"),
        pytest.param("namespaceSelector", {"names": []}, True, "Audit", True, id="a newer one"),
        pytest.param(
            "namespaceSelector.matchLabels", {"a": 1}, True, "Audit", True, id="part of it"
        ),
        pytest.param("enforcement", "No", False, "Enforce", True, id="the enforcement"),
        pytest.param("enforcement", None, False, "Enforce", True, id="no word for it"),
        pytest.param("volumes", {"default": "No"}, False, "Audit", False, id="the volumes"),
        pytest.param("denied", {"keyids": [1]}, False, "Audit", False, id="the denied keys"),
    ],
)
def test_a_part_that_cannot_be_read_is_as_wide_and_strict_as_it_can_be(
    path: str, value: object, selects_all: bool, enforcement: str, knows_volumes: bool
) -> None:
    found = unreadable(replaced(READABLE, path, value))
    assert found.may_govern("x", {"team": "a"}) is selects_all
    assert (found.enforcement, found.volumes is not None) == (enforcement, knows_volumes)


def test_parts_that_are_missing_say_what_they_say_in_any_policy() -> None:
    found = unreadable({"signatures": {}})
    assert found.may_govern("any", {})
    assert found.volumes is not None
    assert (found.enforcement, found.volumes.default, found.denied) == (
        Enforcement.ENFORCE,
        VolumeAction.VERIFY,
        Denied(),
    )


def test_a_namespaces_own_policy_is_its_own_whatever_it_selects() -> None:
    found = unreadable(READABLE, PolicyKind.MODEL_POLICY)
    assert found.may_govern("team-a", {})
    assert not found.may_govern("team-b", {"team": "b"})
    assert found.origin == "ModelPolicy team-a/bad"
