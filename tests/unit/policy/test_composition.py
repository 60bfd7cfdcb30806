"""Several policies at once, and the hash of them."""

from datetime import timedelta

import pytest
from tests.unit.policy.builders import (
    EC,
    EVERYTHING,
    NOW,
    PQ,
    PQ_TOO,
    Json,
    authority,
    policy,
    policy_object,
    replaced,
    signatures,
)

from weightlock.errors import Malformed, PolicyInvalid
from weightlock.policy.composition import Composition, enforcement_of
from weightlock.policy.hashing import policy_hash, storage_hash
from weightlock.policy.objects import Policy
from weightlock.policy.requirements import SignatureRequirements, trusted_keys
from weightlock.policy.spec import Enforcement, OnFailure, OnUnverified, ReadOnly
from weightlock.policy.verification import Limits, Placement, Verification
from weightlock.policy.volumes import VolumeAction, VolumeFacts

STRICT = policy("strict", onFailure="Evict", freshness={"maxAge": "1h"})
LAX = policy(
    "lax",
    enforcement="Audit",
    onUnverified="Inject",
    mounts={"readOnly": "Optional"},
    volumes={"default": "Ignore"},
    freshness={"maxAge": "9h"},
    autoRegister=True,
)


def test_the_strictest_word_of_each_field_counts() -> None:
    found = Composition.of([LAX, STRICT])
    assert found.enforcement is Enforcement.ENFORCE
    assert found.on_unverified is OnUnverified.DENY
    assert found.on_failure is OnFailure.EVICT
    assert found.read_only is ReadOnly.REQUIRED
    assert found.max_age == timedelta(hours=1)
    assert found.expires(NOW) == NOW + timedelta(hours=1)
    assert found.action_for(VolumeFacts("nfs")) is VolumeAction.VERIFY
    assert found.auto_register
    assert [each.origin for each in found.requirements] == [LAX.origin, STRICT.origin]


def test_one_policy_is_itself() -> None:
    found = Composition.of([LAX])
    assert found.enforcement is Enforcement.AUDIT
    assert found.on_unverified is OnUnverified.INJECT
    assert found.read_only is ReadOnly.OPTIONAL
    assert found.action_for(VolumeFacts("nfs")) is VolumeAction.IGNORE


def test_no_policy_is_the_strictest_answer_to_every_question() -> None:
    found = Composition.of([])
    assert found.enforcement is Enforcement.ENFORCE
    assert found.on_unverified is OnUnverified.DENY
    assert found.read_only is ReadOnly.REQUIRED
    assert found.max_age == timedelta(0)
    assert found.action_for(VolumeFacts("emptyDir")) is VolumeAction.FORBID
    assert found.requirements == ()
    assert (found.limits, found.verification) == (Limits(), Verification())
    assert not found.auto_register


def test_a_violation_is_answered_as_strictly_as_the_policies_that_are_violated() -> None:
    assert enforcement_of([LAX]) is Enforcement.AUDIT
    assert enforcement_of([LAX, STRICT]) is Enforcement.ENFORCE
    assert enforcement_of([]) is Enforcement.ENFORCE


def test_a_policy_that_only_watches_does_not_decide() -> None:
    audit, warn = policy("audit", enforcement="Audit"), policy("warn", enforcement="Warn")
    assert Composition.of([audit, warn, STRICT]).binding.policies == (STRICT,)
    assert Composition.of([audit, warn]).binding.policies == (warn,)
    assert Composition.of([audit]).binding.policies == (audit,)
    assert Composition.of([]).binding.policies == ()


def limited(name: str, namespace: str = "", **limits: object) -> Policy:
    return policy(name, namespace, verification={"limits": limits})


def test_the_smallest_of_each_limit_counts_even_above_the_defaults() -> None:
    big, small = limited("big", maxFiles=900_000, total=50), limited("small", maxFiles=500_000)
    assert Composition.of([big]).limits.max_files == 900_000
    found = Composition.of([big, small]).limits
    assert (found.max_files, found.total) == (500_000, 32)


def test_a_namespaced_policy_does_not_choose_where_verifications_run() -> None:
    cluster = policy("z", verification={"queueName": "models"})
    tenant = policy(
        "a", "team-a", verification={"priorityClassName": "high", "placement": "Anywhere"}
    )
    found = Composition.of([tenant, cluster]).verification
    assert (found.queue_name, found.priority_class_name) == ("models", None)
    assert found.placement is Placement.WORKLOAD
    assert Composition.of([tenant]).verification.priority_class_name == "high"


def test_every_key_of_every_policy_is_tried_once() -> None:
    both = policy("b", signatures=signatures(authority("x", PQ), authority("y", EC)))
    requirements = Composition.of([policy("a"), both]).requirements
    assert trusted_keys(requirements) == (PQ, EC)


def test_plain_keys_demand_all_that_is_asked_of_them() -> None:
    found = SignatureRequirements.of_keys([PQ, PQ_TOO], at_least=2).signatures
    assert [each.spki for each in found.authorities] == [PQ.spki, PQ_TOO.spki]
    assert [rule.at_least for rule in found.rules] == [2]


@pytest.mark.parametrize(
    ("keys", "at_least"),
    [
        pytest.param([], 1, id="no key"),
        pytest.param([PQ], 0, id="no signature"),
        pytest.param([PQ], 2, id="more than there are"),
        pytest.param([PQ, PQ], 1, id="the same key twice"),
    ],
)
def test_plain_keys_that_demand_nothing_are_refused(keys: list[object], at_least: int) -> None:
    with pytest.raises(PolicyInvalid):
        SignatureRequirements.of_keys(keys, at_least)  # type: ignore[arg-type] # PublicKeyInfo


def everything(path: str = "enforcement", value: object = "Enforce") -> Policy:
    changed: Json = replaced(EVERYTHING, path, value)
    return Policy.from_object(replaced(policy_object("e"), "spec", changed))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("enforcement", "Warn"),
        ("onUnverified", "Deny"),
        ("autoRegister", False),
        ("volumes.rules.0.action", "Forbid"),
        ("signatures.authorities.0.notAfter", "2028-01-01T00:00:01Z"),
        ("signatures.rules.0.atLeast", 1),
        ("digests.allowed", ["sha256"]),
        ("denied.keyids", []),
        ("freshness.maxAge", "25h"),
        ("verification.limits.total", 3),
        ("verification.nodeSelector", {}),
    ],
)
def test_the_hash_covers_whatever_a_policy_says(path: str, value: object) -> None:
    assert policy_hash([everything()]) != policy_hash([everything(path, value)])


def test_the_hash_is_of_what_policies_say_and_not_of_how_often() -> None:
    again = Policy.from_object(replaced(policy_object("strict"), "metadata.generation", 9))
    first = Policy.from_object(policy_object("strict"))
    assert policy_hash([first]) == policy_hash([again]) == policy_hash([first, again])
    assert policy_hash([STRICT, LAX]) == policy_hash([LAX, STRICT])
    assert policy_hash([STRICT]) != policy_hash([LAX]) != policy_hash([])


def test_the_hash_of_a_storage_source_is_of_its_content() -> None:
    assert storage_hash({"a": 1, "b": [None]}) == storage_hash({"b": [None], "a": 1})
    assert storage_hash({"a": 1}) != storage_hash({"a": "1"})


@pytest.mark.parametrize("value", [{"a": b"x"}, {"a": float("nan")}, {"a": {1: 2, "1": 3}}])
def test_a_storage_source_that_is_not_json_has_no_hash(value: Json) -> None:
    with pytest.raises(Malformed):
        storage_hash(value)
