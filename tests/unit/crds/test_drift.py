"""The schema and the Python that reads the same objects say the same.

Whatever a field's name, word, default or bound is changed to on one side only fails here.
"""

import dataclasses
import re
from collections.abc import Collection
from datetime import timedelta

import pytest
from tests.support.crds import Json, defaulted, schema, schemas
from tests.unit.policy.builders import authority, key, rule, spec

from weightlock import algorithms
from weightlock.algorithms import Family
from weightlock.digests import HashAlgorithm
from weightlock.errors import PolicyInvalid
from weightlock.formats.spki import MAX_PUBLIC_KEY_BYTES
from weightlock.policy import (
    bounds,
    checkpoints,
    scalars,
    selectors,
    signatures,
    sizes,
    sources,
    verification,
    volumes,
)
from weightlock.policy import spec as policy_spec
from weightlock.policy.paths import MAX_PATH_BYTES
from weightlock.policy.spec import PolicySpec
from weightlock.policy.verification import Device, Fallback, Limits
from weightlock.reasons import Reason, Verdict

CLUSTER = "clustermodelpolicies"
OWN = "modelpolicies"
CHECKPOINTS = "modelcheckpoints"

POLICY_FIELDS: dict[str, Collection[str]] = {
    "spec": policy_spec.SPEC_FIELDS,
    "spec.namespaceSelector": selectors.SELECTOR_FIELDS,
    "spec.namespaceSelector.matchExpressions.items": selectors.EXPRESSION_FIELDS,
    "spec.volumes": volumes.VOLUMES_FIELDS,
    "spec.volumes.rules.items": ("action", *volumes.MATCHER_FIELDS),
    "spec.signatures": signatures.SIGNATURES_FIELDS,
    "spec.signatures.authorities.items": signatures.AUTHORITY_FIELDS,
    "spec.signatures.rules.items": signatures.RULE_FIELDS,
    "spec.signatures.classical": signatures.CLASSICAL_FIELDS,
    "spec.digests": bounds.DIGESTS_FIELDS,
    "spec.denied": bounds.DENIED_FIELDS,
    "spec.rollback": bounds.ROLLBACK_FIELDS,
    "spec.rollback.floors.items": bounds.FLOOR_FIELDS,
    "spec.freshness": bounds.FRESHNESS_FIELDS,
    "spec.mounts": policy_spec.MOUNTS_FIELDS,
    "spec.verification": verification.VERIFICATION_FIELDS,
    "spec.verification.device": verification.DEVICE_FIELDS,
    "spec.verification.device.fallback": verification.FALLBACK_FIELDS,
    "spec.verification.tolerations.items": verification.TOLERATION_FIELDS,
    "spec.verification.limits": verification.LIMITS_FIELDS,
    **{f"spec.volumes.rules.items.{kind}": known for kind, known in volumes.MATCHER_FIELDS.items()},
}

CHECKPOINT_FIELDS: dict[str, Collection[str]] = {
    "spec": checkpoints.SPEC_FIELDS,
    "spec.source": checkpoints.SOURCE_FIELDS,
    "spec.source.persistentVolumeClaim": sources.CLAIM_FIELDS,
    "spec.source.hostPath": sources.HOST_PATH_FIELDS,
    "spec.source.nfs": sources.NFS_FIELDS,
    "spec.source.csi": sources.CSI_FIELDS,
    "spec.source.image": sources.IMAGE_FIELDS,
    "spec.workloadSelector": selectors.SELECTOR_FIELDS,
    "spec.workloadSelector.matchExpressions.items": selectors.EXPRESSION_FIELDS,
}


@pytest.mark.parametrize("path", POLICY_FIELDS)
def test_fields_of_a_policy(path: str) -> None:
    found = schema(CLUSTER, path).get("properties", {})
    assert set(found) == set(POLICY_FIELDS[path])


@pytest.mark.parametrize("path", CHECKPOINT_FIELDS)
def test_fields_of_a_checkpoint(path: str) -> None:
    assert set(schema(CHECKPOINTS, path)["properties"]) == set(CHECKPOINT_FIELDS[path])


@pytest.mark.parametrize(
    ("plural", "table"), [(CLUSTER, POLICY_FIELDS), (CHECKPOINTS, CHECKPOINT_FIELDS)]
)
def test_no_object_of_a_spec_is_left_out_of_these_tables(
    plural: str, table: dict[str, Collection[str]]
) -> None:
    objects = {
        path
        for path, found in schemas(schema(plural, "spec"), "spec")
        if found.get("type") == "object" and "additionalProperties" not in found
    }
    assert objects == set(table)


def test_a_namespaced_policy_has_no_namespace_selector() -> None:
    expected = set(policy_spec.SPEC_FIELDS) - {"namespaceSelector"}
    assert set(schema(OWN, "spec")["properties"]) == expected


WORDS: dict[tuple[str, str], Collection[str]] = {
    (CLUSTER, "spec.enforcement"): list(policy_spec.Enforcement),
    (CLUSTER, "spec.onUnverified"): list(policy_spec.OnUnverified),
    (CLUSTER, "spec.onFailure"): list(policy_spec.OnFailure),
    (CLUSTER, "spec.mounts.readOnly"): list(policy_spec.ReadOnly),
    (CLUSTER, "spec.volumes.default"): list(volumes.VolumeAction),
    (CLUSTER, "spec.volumes.rules.items.action"): list(volumes.VolumeAction),
    (CLUSTER, "spec.signatures.classical.action"): list(signatures.ClassicalAction),
    (CLUSTER, "spec.signatures.authorities.items.algorithm"): [a.name for a in algorithms.ALL],
    (CLUSTER, "spec.digests.allowed.items"): list(HashAlgorithm),
    (CLUSTER, "spec.verification.placement"): list(verification.Placement),
    (CLUSTER, "spec.verification.device.fallback.device"): list(verification.FallbackDevice),
    (CLUSTER, "spec.verification.tolerations.items.operator"): list(
        verification.TolerationOperator
    ),
    (CLUSTER, "spec.verification.tolerations.items.effect"): list(verification.TaintEffect),
    (CLUSTER, "spec.namespaceSelector.matchExpressions.items.operator"): list(selectors.Operator),
    (CHECKPOINTS, "spec.workloadSelector.matchExpressions.items.operator"): list(
        selectors.Operator
    ),
    (CHECKPOINTS, "status.phase"): list(Verdict),
    (CHECKPOINTS, "status.digest.hash"): list(HashAlgorithm),
    (CHECKPOINTS, "status.signatures.items.family"): list(Family),
}


@pytest.mark.parametrize("where", WORDS, ids="/".join)
def test_words_and_their_order(where: tuple[str, str]) -> None:
    assert schema(*where)["enum"] == [str(word) for word in WORDS[where]]


@pytest.mark.parametrize("plural", [CLUSTER, CHECKPOINTS])
def test_no_enum_of_a_spec_is_left_out_of_the_table(plural: str) -> None:
    found = {
        (plural, path) for path, words in schemas(schema(plural, "spec"), "spec") if "enum" in words
    }
    assert found == {where for where in WORDS if where[0] == plural and where[1].startswith("spec")}


VERSIONS = [
    (CLUSTER, "spec.rollback.floors.items.version"),
    (CHECKPOINTS, "status.modelVersion"),
]


@pytest.mark.parametrize("where", VERSIONS, ids="/".join)
def test_versions_end_where_their_format_ends(where: tuple[str, str]) -> None:
    """Written down, 2**63 - 1 becomes a float on the server, and that the smallest integer."""
    found = schema(*where)
    assert (found["minimum"], found["format"]) == (0, "int64")
    assert "maximum" not in found
    assert bounds.MAX_VERSION == 2**63 - 1


INTEGERS = [
    path
    for path, found in schemas(schema(CLUSTER, "spec"), "spec")
    if found.get("type") == "integer"
]


def a_spec_with(path: str, value: object) -> Json:
    """A policy that is fine if `value` is, for the integer at `path`."""
    names = [f"a{number}" for number in range(sizes.MOST_AUTHORITIES)]
    leaf = path.rpartition(".")[2]
    if path.endswith("rules.items.atLeast"):
        return spec_of_many(names, value)
    if path.endswith("floors.items.version"):
        return spec(rollback={"floors": [{"models": ["*"], "version": value}]})
    if path.endswith("device.count"):
        return spec(verification={"device": {"resource": "nvidia.com/gpu", "count": value}})
    if path.endswith("tolerationSeconds"):
        return spec(verification={"tolerations": [{"key": "k", "tolerationSeconds": value}]})
    return spec(verification={"limits": {leaf: value}})


def spec_of_many(names: list[str], at_least: object) -> Json:
    authorities = [authority(name, key(name, algorithms.SLH_DSA[0])) for name in names]
    rules = [rule("all", *names, atLeast=at_least)]
    return spec(signatures={"authorities": authorities, "rules": rules})


@pytest.mark.parametrize("path", INTEGERS)
def test_integers_begin_and_end_at_the_same_number(path: str) -> None:
    found = schema(CLUSTER, path)
    first, last = found["minimum"], found.get("maximum", 2**63 - 1)
    for good in (first, last):
        PolicySpec.from_spec(a_spec_with(path, good))
    for bad in (first - 1, last + 1):
        with pytest.raises(PolicyInvalid):
            PolicySpec.from_spec(a_spec_with(path, bad))


@pytest.mark.parametrize("path", INTEGERS)
def test_integers_fit_their_format(path: str) -> None:
    found = schema(CLUSTER, path)
    assert found.get("maximum", 0) < {"int32": 2**31, "int64": 2**63}[found["format"]]


def test_defaults_change_nothing_for_python() -> None:
    smallest = spec()
    assert PolicySpec.from_spec(defaulted(smallest, schema(CLUSTER, "spec"))) == (
        PolicySpec.from_spec(smallest)
    )


def test_defaults_of_what_is_only_there_on_request() -> None:
    device = {"resource": "nvidia.com/gpu", "fallback": {}}
    wanted = spec(
        verification={"device": device, "tolerations": [{"key": "k"}]},
        signatures=spec()["signatures"],
    )
    stored = defaulted(wanted, schema(CLUSTER, "spec"))
    assert stored["verification"]["device"]["count"] == Device().count
    assert stored["verification"]["device"]["fallback"] == {
        "device": Fallback().device,
        "after": "10m",
    }
    assert PolicySpec.from_spec(stored) == PolicySpec.from_spec(wanted)


def test_a_device_is_not_given_a_fallback_that_nobody_asked_for() -> None:
    assert "default" not in schema(CLUSTER, "spec.verification.device.fallback")
    assert "default" not in schema(CLUSTER, "spec.verification.device")


def test_every_default_of_python_is_written_down() -> None:
    """So that `kubectl get -o yaml` shows what is in force."""
    stored = defaulted(spec(), schema(CLUSTER, "spec"))
    expected = PolicySpec.from_spec(spec())
    assert stored["enforcement"] == expected.enforcement
    assert stored["onUnverified"] == expected.on_unverified
    assert stored["onFailure"] == expected.on_failure
    assert stored["autoRegister"] is expected.auto_register
    assert stored["volumes"] == {"default": expected.volumes.default}
    assert stored["signatures"]["classical"] == {"action": expected.signatures.classical.action}
    assert stored["signatures"]["rules"][0]["atLeast"] == 1
    assert scalars.duration(stored["freshness"]["maxAge"]) == bounds.DEFAULT_MAX_AGE
    assert stored["mounts"] == {"readOnly": expected.read_only}
    assert stored["verification"]["placement"] == expected.verification.placement
    assert set(stored["verification"]["limits"]) == set(verification.LIMITS_FIELDS)
    assert len(verification.LIMITS_FIELDS) == len(dataclasses.fields(Limits))


def test_a_checkpoint_is_the_whole_volume_unless_it_says_otherwise() -> None:
    source = {"source": {"persistentVolumeClaim": {"claimName": "llama"}}}
    stored = defaulted(source, schema(CHECKPOINTS, "spec"))
    assert checkpoints.CheckpointSpec.from_spec(stored) == checkpoints.CheckpointSpec.from_spec(
        source
    )
    assert stored["source"]["path"] == "/"


PATTERNS = {
    scalars._NAME: "spec.signatures.authorities.items.name",
    scalars._HEX: "spec.denied.keyids.items",
    scalars._GLOB: "spec.signatures.authorities.items.models.items",
    scalars._INSTANT: "spec.signatures.authorities.items.notAfter",
    selectors._LABEL_KEY: "spec.verification.device.resource",
    selectors._LABEL_VALUE: "spec.verification.nodeSelector.additionalProperties",
}


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: PATTERNS[pattern])
def test_patterns(pattern: re.Pattern[str]) -> None:
    assert schema(CLUSTER, PATTERNS[pattern])["pattern"] == f"^{pattern.pattern}$"


def test_quantities_have_the_same_suffixes() -> None:
    words = schema(CLUSTER, "spec.verification.limits.maxBytes")["pattern"]
    assert words.replace("(?:", "(") == f"^{scalars._QUANTITY.pattern}$"


def test_the_longest_texts() -> None:
    key = schema(CLUSTER, "spec.signatures.authorities.items.publicKey")
    assert key["maxLength"] == MAX_PUBLIC_KEY_BYTES
    assert schema(CHECKPOINTS, "spec.source.path")["maxLength"] == MAX_PATH_BYTES


def test_the_longest_duration() -> None:
    (rule,) = schema(CLUSTER, "spec.freshness.maxAge")["x-kubernetes-validations"]
    hours = scalars.MAX_DURATION // timedelta(hours=1)
    assert f"duration('{hours}h')" in rule["rule"]


def test_every_reason_fits() -> None:
    longest = max(map(len, Reason))
    assert schema(CHECKPOINTS, "status.reason")["maxLength"] >= longest


def test_rules_about_one_volume_source_name_every_source() -> None:
    (rule,) = schema(CLUSTER, "spec.volumes.rules.items")["x-kubernetes-validations"]
    assert all(f"has(self.{kind})" in rule["rule"] for kind in volumes.MATCHER_FIELDS)


def test_every_status_field_that_python_reads_is_kept() -> None:
    known = set(schema(CHECKPOINTS, "status")["properties"])
    assert known >= {
        "observedGeneration", "phase", "reason", "message", "digest", "signatures", "volume",
        "modelName", "modelVersion", "policyHash", "verifier", "lastVerified", "expires", "seal",
    }  # fmt: skip
