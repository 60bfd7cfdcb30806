"""Files with policies, checkpoints and other objects."""

import json

import pytest
from tests.unit.policy.builders import EVERYTHING, PQ, policy, policy_object, replaced
from tests.unit.policy.test_checkpoints import CHECKPOINT

from weightlock.errors import Malformed, PolicyInvalid
from weightlock.policy.documents import read_documents, read_policies

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "trainer"}}


def lines(*objects: object) -> str:
    return "\n---\n".join(json.dumps(each) for each in objects)


def test_a_file_may_hold_everything() -> None:
    found = read_documents("# a comment\n" + lines(policy_object(), CHECKPOINT, POD))
    assert found.policies == (policy(),)
    assert [each.metadata.name for each in found.checkpoints] == ["llama-step-1200"]
    assert found.others == (POD,)


def test_lists_are_opened() -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": [policy_object("a"), policy_object("b")]}
    assert read_policies(lines(listed)) == (policy("a"), policy("b"))


def test_yaml_as_people_write_it() -> None:
    key = "\n".join("        " + line for line in PQ.pem.splitlines())
    text = f"""
apiVersion: weightlock.dev/v1beta1
kind: ModelPolicy
metadata: {{name: post-quantum}}
spec:
  signatures:
    authorities:
    - name: release
      algorithm: ML-DSA-65
      notAfter: 2028-01-01T00:00:00Z
      publicKey: |
{key}
    rules: [{{name: release, authorities: [release], atLeast: 1}}]
"""
    (found,) = read_policies(text)
    assert found.origin == "ModelPolicy default/post-quantum"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "found 0 policies and 0 other objects", id="an empty file"),
        pytest.param(lines(POD), "found 0 policies and 1 other objects", id="no policy"),
        pytest.param(
            "# two\n" + lines(policy_object(), POD), "found 1 policies and 1 other", id="a pod too"
        ),
        pytest.param("[1]", "document 1: found a list, expected an object", id="a list"),
        pytest.param(
            lines({"kind": "List", "apiVersion": "v1"}), "document 1: found None", id="a bare list"
        ),
        pytest.param("{a: b}", "document 1: expected apiVersion and kind", id="no kind"),
        pytest.param(
            lines({"kind": "Pod", "apiVersion": 1}), "expected apiVersion and kind", id="version 1"
        ),
        pytest.param(
            lines({"kind": "ModelPolcy", "apiVersion": "weightlock.dev/v1beta1"}),
            "document 1: found the unknown kind 'ModelPolcy'",
            id="a kind of ours misspelt",
        ),
        pytest.param(
            "# two\n" + lines(POD, replaced(policy_object(), "spec", {**EVERYTHING, "x": 1})),
            "document 2: spec: unknown field 'x'",
            id="which document is wrong",
        ),
    ],
)
def test_what_is_no_policy_file(text: str, message: str) -> None:
    with pytest.raises(PolicyInvalid) as refusal:
        read_policies(text)
    assert message in refusal.value.message


def test_a_checkpoint_that_is_wrong_is_malformed() -> None:
    with pytest.raises(Malformed, match=r"document 1: spec\.source: missing"):
        read_documents(lines(replaced(CHECKPOINT, "spec", {})))
