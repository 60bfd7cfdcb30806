"""What CEL rules refuse at apply, with words that say what to write instead."""

import pytest
from tests.support.cel import broken_rules
from tests.support.crds import PLURALS, Json, defaulted, schema, schemas
from tests.unit.crds.test_objects import BEYOND_THE_SCHEMA, CHECKPOINTS, CLUSTER, read
from tests.unit.policy.builders import EVERYTHING, PQ, replaced, spec
from tests.unit.policy.test_spec import REFUSED

# What not even CEL says: it needs the key itself, a cheap look at a map's keys, or big numbers.
WEBHOOK_ONLY = {
    ("signatures.rules.0.atLeast", "found 1.0, expected a whole number"),
    (
        "signatures.authorities.0.algorithm",
        "spec.signatures.authorities[0].algorithm: found ML-DSA-87",
    ),
    ("signatures.authorities.0.notAfter", "expected a UTC instant"),
    ("verification.nodeSelector", "found the key 'a b', expected a label key"),
    ("verification.nodeSelector", "found the key 1, expected a text in quotes"),
    ("verification.limits.maxBytes", "expected at most"),
}


def broken(value: Json, plural: str = CLUSTER) -> list[str]:
    found = schema(plural, "spec")
    return list(broken_rules(defaulted(value, found), found))


def cases() -> list[object]:
    return [
        pytest.param(path, value, id=message)
        for path, value, message in REFUSED
        if any(path == where and message.startswith(words) for where, words in BEYOND_THE_SCHEMA)
        and not any(path == where and message.startswith(words) for where, words in WEBHOOK_ONLY)
    ]


@pytest.mark.parametrize(("path", "value"), cases())
def test_what_the_plain_schema_lets_through_cel_refuses(path: str, value: object) -> None:
    assert broken(replaced(EVERYTHING, path, value))


def test_only_what_is_beyond_the_schema_is_left_to_the_webhook() -> None:
    assert WEBHOOK_ONLY < BEYOND_THE_SCHEMA


def test_good_policies_break_no_rule() -> None:
    assert broken(EVERYTHING) == []
    assert broken(spec()) == []
    assert broken(read("policy.yaml")["spec"]) == []
    assert broken(read("checkpoint.yaml")["spec"], CHECKPOINTS) == []


def test_a_private_key_is_named_without_its_text() -> None:
    private = PQ.pem.replace("PUBLIC KEY", "PRIVATE KEY")
    (message,) = broken(replaced(EVERYTHING, "signatures.authorities.0.publicKey", private))
    assert message.startswith("this is a PRIVATE key")


def test_classical_keys_alone_do_for_a_policy_that_only_warns() -> None:
    alone = replaced(EVERYTHING, "signatures.rules.0.authorities", ["legacy"])
    alone = replaced(alone, "signatures.rules.0.atLeast", 1)
    (message,) = broken(alone)
    assert "enforcement: Warn" in message
    assert broken(replaced(alone, "enforcement", "Warn")) == []


@pytest.mark.parametrize("kind", ["emptyDir", "secret", "vsphereVolume"])
def test_a_rule_about_any_single_source_is_fine(kind: str) -> None:
    one = {"action": "Ignore", kind: {}}
    assert broken(replaced(EVERYTHING, "volumes.rules.0", one)) == []
    (message,) = broken(replaced(EVERYTHING, "volumes.rules.0", {**one, "nfs": {}}))
    assert message == "expected exactly one volume source beside action"


@pytest.mark.parametrize("plural", PLURALS)
def test_every_rule_has_words_on_one_line(plural: str) -> None:
    for path, found in schemas(schema(plural)):
        for rule in found.get("x-kubernetes-validations", []):
            assert set(rule) == {"rule", "message"}, path
            assert "\n" not in rule["message"]
            assert rule["message"][0].islower() or rule["message"].split()[0] in {
                "Deny", "Equal", "Exists", "In", "Warn",
            }  # fmt: skip
