"""What a policy's spec means, and what it may not say."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.unit.policy.builders import (
    EC,
    EVERYTHING,
    PQ,
    Json,
    authority,
    replaced,
    rule,
    signatures,
    spec,
)

from weightlock.digests import HashAlgorithm
from weightlock.errors import PolicyInvalid
from weightlock.policy.paths import VolumePath
from weightlock.policy.scalars import shown
from weightlock.policy.signatures import ClassicalAction
from weightlock.policy.spec import Enforcement, OnFailure, OnUnverified, PolicySpec, ReadOnly
from weightlock.policy.verification import Limits, Placement, TaintEffect, TolerationOperator
from weightlock.policy.volumes import VolumeAction


def test_the_smallest_policy_is_the_strictest() -> None:
    found = PolicySpec.from_spec(spec())
    assert found.enforcement is Enforcement.ENFORCE
    assert found.on_unverified is OnUnverified.DENY
    assert found.read_only is ReadOnly.REQUIRED
    assert found.volumes.default is VolumeAction.VERIFY
    assert found.signatures.classical.action is ClassicalAction.DENY
    assert found.max_age == timedelta(hours=168)
    assert found.allowed_digests == frozenset(HashAlgorithm)
    assert found.verification.limits == Limits()
    assert not found.auto_register


def test_every_field_is_read() -> None:
    found = PolicySpec.from_spec(EVERYTHING)
    assert found.on_unverified is OnUnverified.HOLD
    assert found.on_failure is OnFailure.EVICT
    assert found.read_only is ReadOnly.OPTIONAL
    assert found.auto_register
    assert found.max_age == timedelta(days=1)
    assert found.allowed_digests == {HashAlgorithm.SHA256, HashAlgorithm.SHA512}
    assert found.denied.keyids == {"cd" * 32}
    assert [str(digest) for digest in found.denied.digests] == ["sha256:" + "ab" * 32]
    assert [floor.version for floor in found.version_floors] == [7]
    assert [each.key for each in found.namespace_selector.expressions] == [
        "team",
        "kubernetes.io/metadata.name",
    ]
    assert found.volumes.rules[1].paths == (VolumePath(("mnt", "models")),)


def test_authorities_are_read_with_their_time_and_scope() -> None:
    release, legacy = PolicySpec.from_spec(EVERYTHING).signatures.authorities
    assert (release.algorithm, release.spki, release.keyid) == (PQ.algorithm, PQ.spki, PQ.keyid)
    assert release.not_before == datetime(2026, 1, 1, tzinfo=UTC)
    assert release.not_after == datetime(2028, 1, 1, tzinfo=UTC)
    assert release.models == ("llama-*",)
    assert (legacy.not_before, legacy.not_after, legacy.models) == (None, None, ())


def test_verification_settings_are_read() -> None:
    found = PolicySpec.from_spec(EVERYTHING).verification
    assert found.device.resource == "nvidia.com/gpu"
    assert found.device.count == 2
    assert found.device.fallback is not None
    assert found.device.fallback.after == timedelta(minutes=5)
    assert found.placement is Placement.ANYWHERE
    assert found.node_selector == (("gpu", "h100"),)
    assert (found.priority_class_name, found.queue_name) == ("verification", "models")
    assert found.limits == Limits(timedelta(minutes=90), 0, 1, 2, 10, 20 * 2**40, 4)
    first, second = found.tolerations
    assert (first.operator, first.effect) == (TolerationOperator.EXISTS, TaintEffect.NO_SCHEDULE)
    assert (second.operator, second.toleration_seconds) == (TolerationOperator.EQUAL, 60)


def test_a_device_claim_template_takes_the_place_of_a_resource() -> None:
    device = {"resourceClaimTemplateName": "gpu", "fallback": {}}
    found = PolicySpec.from_spec(spec(verification={"device": device})).verification.device
    assert (found.resource, found.resource_claim_template_name) == (None, "gpu")
    assert found.fallback is not None


def test_bytes_may_be_a_number_as_kubernetes_quantities_may() -> None:
    found = PolicySpec.from_spec(spec(verification={"limits": {"maxBytes": 1000}}))
    assert found.verification.limits.max_bytes == 1000


SPKI_IN_DISGUISE = PQ.pem.replace("PUBLIC KEY", "PRIVATE KEY")

REFUSED: list[tuple[str, object, str]] = [
    ("", None, "spec: found None, expected a mapping"),
    ("enforcement", "enforce", "spec.enforcement: found 'enforce', expected one of: Enforce, Warn"),
    ("enforcement", None, "spec.enforcement: found None, expected one of"),
    ("enforcment", "Enforce", "spec: unknown field 'enforcment'; did you mean enforcement?"),
    ("zzzzzz", 1, "spec: unknown field 'zzzzzz'; one of: enforcement"),
    ("onUnverified", "Allow", "spec.onUnverified: found 'Allow', expected one of: Deny, Hold"),
    ("onFailure", True, "spec.onFailure: found True, expected one of: Evict, Report"),
    ("autoRegister", "false", "spec.autoRegister: found 'false', expected true or false"),
    ("autoRegister", 0, "spec.autoRegister: found 0, expected true or false"),
    ("volumes.default", "Allow", "spec.volumes.default: found 'Allow'"),
    ("volumes.rules.0", "x", "spec.volumes.rules[0]: found 'x', expected a mapping"),
    ("volumes.rules", {}, "spec.volumes.rules: found a mapping, expected a list"),
    (
        "volumes.rules.0",
        {"action": "Ignore"},
        "spec.volumes.rules[0]: found none, expected exactly one volume source",
    ),
    (
        "volumes.rules.0",
        {"action": "Ignore", "nfs": {}, "hostPath": {}},
        "spec.volumes.rules[0]: found hostPath and nfs, expected exactly one",
    ),
    ("volumes.rules.0", {"nfs": {}}, "spec.volumes.rules[0].action: missing"),
    (
        "volumes.rules.0",
        {"persistentVolumeClaim": {"storageClassNames": []}, "action": "Ignore"},
        "spec.volumes.rules[0].persistentVolumeClaim.storageClassNames: found [], expected at"
        ' least one; for example ["scratch"]',
    ),
    (
        "volumes.rules.0",
        {"persistentVolumeClaim": {"labels": {}}, "action": "Ignore"},
        "spec.volumes.rules[0].persistentVolumeClaim: unknown field 'labels'",
    ),
    ("volumes.rules.1.hostPath.paths", [], "spec.volumes.rules[1].hostPath.paths: found []"),
    (
        "volumes.rules.1.hostPath.paths.0",
        "/mnt//models",
        "spec.volumes.rules[1].hostPath.paths[0]: found '/mnt//models', expected a normalised",
    ),
    (
        "volumes.rules.0.persistentVolumeClaim.storageClassNames.0",
        "[a-z]",
        "spec.volumes.rules[0].persistentVolumeClaim.storageClassNames[0]: found '[a-z]', expected",
    ),
    ("volumes.rules.0.persistentVolumeClaim.storageClassNames.0", 7, "found 7, expected a text"),
    ("signatures.authorities", [], "spec.signatures.authorities: found [], expected at least one"),
    ("signatures.rules", [], "spec.signatures.rules: found [], expected at least one; for example"),
    (
        "signatures.rules.0.authorities",
        [],
        "spec.signatures.rules[0].authorities: found [], expected at least one; name one of:"
        " release, legacy",
    ),
    (
        "signatures.rules.0.authorities.0",
        "relaese",
        "spec.signatures.rules[0].authorities[0]: found the unknown 'relaese'; name one of:",
    ),
    (
        "signatures.rules.0.authorities.1",
        "release",
        "spec.signatures.rules[0].authorities[1]: found 'release' a second time",
    ),
    (
        "signatures.rules.0",
        rule("classical", "legacy"),
        "spec.signatures.rules[0].authorities: found only classical keys, expected at least one",
    ),
    (
        "signatures.rules",
        [rule("a", "release"), rule("a", "release")],
        "spec.signatures.rules[1].name: found a a second time",
    ),
    (
        "signatures.rules.0.atLeast",
        0,
        "spec.signatures.rules[0].atLeast: found 0, expected a whole",
    ),
    ("signatures.rules.0.atLeast", 3, "found 3, expected a whole number from 1 to 2"),
    ("signatures.rules.0.atLeast", True, "found True, expected a whole number"),
    ("signatures.rules.0.atLeast", "1", "found '1', expected a whole number"),
    ("signatures.rules.0.atLeast", 1.0, "found 1.0, expected a whole number"),
    ("signatures.rules.0.threshold", 1, "spec.signatures.rules[0]: unknown field 'threshold'"),
    ("signatures.authorities.1.name", "release", "authorities[1].name: found release a second"),
    (
        "signatures.authorities.1",
        authority("other", PQ),
        "spec.signatures.authorities[1].publicKey: found the key of release again; one key counts",
    ),
    ("signatures.authorities.0.algorithm", "ml-dsa-65", "unknown signature algorithm 'ml-dsa-65'"),
    (
        "signatures.authorities.0.algorithm",
        "ML-DSA-87",
        "spec.signatures.authorities[0].algorithm: found ML-DSA-87, but the public key is of"
        " ML-DSA-65",
    ),
    ("signatures.authorities.0.algorithm", "ECDSA", "unknown signature algorithm 'ECDSA'"),
    ("signatures.authorities.0.publicKey", "", "spec.signatures.authorities[0].publicKey: "),
    ("signatures.authorities.0.publicKey", PQ.pem + PQ.pem, "authorities[0].publicKey: "),
    ("signatures.authorities.0.publicKey", "x" * 70_000, "found 70000 characters, expected at"),
    ("signatures.authorities.0.publicKey", SPKI_IN_DISGUISE, "authorities[0].publicKey: "),
    ("signatures.authorities.0.models", [], "spec.signatures.authorities[0].models: found []"),
    ("signatures.authorities.0.models.0", "a b", "authorities[0].models[0]: found 'a b'"),
    ("signatures.authorities.0.name", "Release", "authorities[0].name: found 'Release'"),
    ("signatures.authorities.0.notAfter", "2028-01-01T00:00:00+00:00", "expected a UTC instant"),
    ("signatures.authorities.0.notAfter", "2028-01-01", "expected a UTC instant"),
    ("signatures.authorities.0.notAfter", "2028-02-30T00:00:00Z", "expected a UTC instant"),
    ("signatures.authorities.0.notAfter", "2028-01-01t00:00:00z", "expected a UTC instant"),
    ("signatures.authorities.0.notAfter", 1830297600, "found 1830297600, expected a text"),
    (
        "signatures.authorities.0.notAfter",
        "2026-01-01T00:00:00Z",
        "notAfter: found an instant that is not after notBefore",
    ),
    ("signatures.classical", {"action": "Warn"}, "spec.signatures.classical.sunset: missing"),
    ("signatures.classical.action", "Allow", "found 'Allow', expected one of: Deny, Warn"),
    ("digests.allowed", [], "spec.digests.allowed: found [], expected at least one"),
    ("digests.allowed.0", "SHA256", "spec.digests.allowed[0]: unknown hash algorithm 'SHA256'"),
    ("digests.allowed.0", "md5", "spec.digests.allowed[0]: unknown hash algorithm 'md5'"),
    ("denied.digests.0", "ab" * 32, "spec.denied.digests[0]: found"),
    ("denied.digests.0", "sha256:" + "AB" * 32, "spec.denied.digests[0]: a sha256 digest is 64"),
    ("denied.keyids.0", "cd", "spec.denied.keyids[0]: found 'cd', expected 64 lower-case"),
    ("denied.keyids", ["cd" * 32] * 2, "spec.denied.keyids[1]: found"),
    ("rollback.floors.0.version", -1, "spec.rollback.floors[0].version: found -1, expected"),
    ("rollback.floors.0.version", 2**63, "spec.rollback.floors[0].version: found"),
    ("rollback.floors.0.models", [], "spec.rollback.floors[0].models: found []"),
    ("freshness.maxAge", "0h", "spec.freshness.maxAge: found '0h', expected more than 0s"),
    ("freshness.maxAge", "7d", "spec.freshness.maxAge: found '7d', expected a duration"),
    ("freshness.maxAge", "h", "expected a duration"),
    ("freshness.maxAge", "-1h", "expected a duration"),
    ("freshness.maxAge", "1m1h", "expected a duration"),
    ("freshness.maxAge", "999999h", "expected more than 0s and at most 87600h"),
    ("freshness.maxAge", 168, "found 168, expected a text in quotes"),
    ("mounts.readOnly", True, "spec.mounts.readOnly: found True, expected one of: Required"),
    ("verification.device.count", 0, "spec.verification.device.count: found 0"),
    ("verification.device", {"count": 2}, "found a count without a resource"),
    ("verification.device", {"fallback": {}}, "found a fallback, and no device"),
    (
        "verification.device",
        {"resource": "a/b", "resourceClaimTemplateName": "c"},
        "found resource and resourceClaimTemplateName, expected one",
    ),
    ("verification.device.resource", "a b", "found 'a b', expected a label key"),
    ("verification.device.fallback.device", "gpu", "found 'gpu', expected one of: cpu"),
    ("verification.nodeSelector", {"a b": "c"}, "found the key 'a b', expected a label key"),
    ("verification.nodeSelector", {"a": "b c"}, "nodeSelector.a: found 'b c', expected a label"),
    ("verification.nodeSelector", {1: "c"}, "found the key 1, expected a text in quotes"),
    ("verification.tolerations.0.value", "x", "tolerations[0].value: found a value, expected none"),
    ("verification.tolerations.1", {"value": "x"}, "tolerations[1].key: missing, expected with"),
    ("verification.limits.maxBytes", "20TiB", "found '20TiB', expected a quantity"),
    ("verification.limits.maxBytes", "9999999Ei", "expected at most"),
    ("verification.limits.maxBytes", -5, "limits.maxBytes: found -5, expected"),
    ("verification.limits.maxBytes", True, "limits.maxBytes: found True, expected"),
    ("verification.limits.perNamespace", 0, "limits.perNamespace: found 0, expected"),
    (
        "namespaceSelector.matchExpressions.0",
        {"key": "a", "operator": "In", "values": []},
        "matchExpressions[0].values: found 0, expected at least one with In",
    ),
    (
        "namespaceSelector.matchExpressions.0",
        {"key": "a", "operator": "Exists", "values": ["x"]},
        "matchExpressions[0].values: found 1, expected none with Exists",
    ),
    ("namespaceSelector.matchExpressions.0.key", "/", "expected a label key"),
    ("namespaceSelector.matchLabels", {"a": 1}, "matchLabels.a: found 1, expected a text"),
    ("namespaceSelector", [], "spec.namespaceSelector: found a list, expected a mapping"),
    ("namespaceSelector.matchLabels", {"a": object()}, "found something else, expected a text"),
    ("denied.keyids", ["cd" * 32] * 2000, "found 2000 items, expected at most 1024"),
]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        pytest.param(path, value, message, id=f"{path} {shown(value)} says {message}")
        for path, value, message in REFUSED
    ],
)
def test_a_policy_that_says_something_else_is_refused(
    path: str, value: object, message: str
) -> None:
    broken: object = replaced(EVERYTHING, path, value) if path else value
    with pytest.raises(PolicyInvalid) as refusal:
        PolicySpec.from_spec(broken)
    assert message in refusal.value.message


def test_a_policy_without_signatures_is_refused() -> None:
    with pytest.raises(PolicyInvalid, match=r"spec\.signatures: missing"):
        PolicySpec.from_spec({})


@pytest.mark.parametrize("enforcement", ["Warn", "Audit"])
def test_classical_rules_are_allowed_where_nothing_is_enforced(enforcement: str) -> None:
    only_classical = signatures(authority("legacy", EC))
    PolicySpec.from_spec({"enforcement": enforcement, "signatures": only_classical})


PRIVATE = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+SecretSecretSecret\n"


@pytest.mark.parametrize(
    "path",
    [
        "signatures.authorities.0.publicKey",
        "signatures.authorities.0.name",
        "signatures.authorities.0.models.0",
        "signatures.rules.0.authorities.0",
        "enforcement",
        "verification.limits.maxBytes",
        "denied.keyids.0",
        "volumes.rules.1.hostPath.paths.0",
    ],
)
def test_a_private_key_is_never_echoed(path: str) -> None:
    with pytest.raises(PolicyInvalid) as refusal:
        PolicySpec.from_spec(replaced(EVERYTHING, path, PRIVATE))
    said = refusal.value.message + refusal.value.hint
    assert "SecretSecret" not in said
    assert "MC4C" not in said


def test_a_pasted_private_key_is_named_for_what_it_is() -> None:
    broken = replaced(EVERYTHING, "signatures.authorities.0.publicKey", PRIVATE)
    with pytest.raises(PolicyInvalid, match="a PRIVATE key where a public key belongs"):
        PolicySpec.from_spec(broken)


def test_what_is_quoted_is_escaped_and_short() -> None:
    hostile = "\x1b[31m\u202e" + "x" * 500
    with pytest.raises(PolicyInvalid) as refusal:
        PolicySpec.from_spec({**spec(), "enforcement": hostile})
    assert refusal.value.message.isprintable()
    assert refusal.value.message.isascii()
    assert len(refusal.value.message) < 200


def test_the_mapping_that_was_read_is_left_alone() -> None:
    before: Json = replaced(EVERYTHING, "enforcement", "Enforce")
    PolicySpec.from_spec(EVERYTHING)
    assert before == EVERYTHING
