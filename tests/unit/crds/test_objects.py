"""The same policies pass and fail in the schema and in Python, or one of the two refuses them."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.support.crds import Json, defaulted, errors, schema
from tests.unit.policy.builders import EVERYTHING, replaced, spec
from tests.unit.policy.test_spec import REFUSED

from weightlock.errors import Malformed, PolicyInvalid
from weightlock.policy import scalars
from weightlock.policy.checkpoints import Checkpoint, CheckpointSpec
from weightlock.policy.objects import Policy
from weightlock.policy.paths import VolumePath
from weightlock.policy.spec import PolicySpec

CLUSTER = "clustermodelpolicies"
CHECKPOINTS = "modelcheckpoints"
EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"


def refused_by_the_schema(value: object, plural: str = CLUSTER) -> list[str]:
    found = schema(plural, "spec")
    return errors(defaulted(value, found), found)


def read(name: str) -> Json:
    found: Json = yaml.safe_load((EXAMPLES / name).read_text())
    return found


def test_the_example_policy_is_accepted_by_both() -> None:
    policy = read("policy.yaml")
    assert errors(defaulted(policy, schema(CLUSTER)), closed(CLUSTER)) == []
    Policy.from_object(policy)


def test_the_example_checkpoint_is_accepted_by_both() -> None:
    checkpoint = read("checkpoint.yaml")
    assert errors(defaulted(checkpoint, schema(CHECKPOINTS)), closed(CHECKPOINTS)) == []
    assert Checkpoint.from_object(checkpoint).status


def closed(plural: str) -> Json:
    """The schema with metadata open, which is the server's own."""
    found = schema(plural)
    return {
        **found,
        "properties": {**found["properties"], "metadata": {"additionalProperties": {}}},
    }


def test_a_policy_that_says_everything_is_accepted_by_both() -> None:
    assert refused_by_the_schema(EVERYTHING) == []
    stored = defaulted(EVERYTHING, schema(CLUSTER, "spec"))
    assert PolicySpec.from_spec(stored) == PolicySpec.from_spec(EVERYTHING)


def test_a_namespaced_policy_cannot_select_namespaces() -> None:
    found = schema("modelpolicies", "spec")
    assert errors(defaulted(spec(namespaceSelector={}), found), found)


# What needs several fields, the key itself, or arithmetic. CEL rules say most of it on servers from
# 1.25 on; the webhook says all of it on every server.
BEYOND_THE_SCHEMA = {
    (
        "signatures.rules.0.authorities.0",
        "spec.signatures.rules[0].authorities[0]: found the unknown",
    ),
    ("signatures.rules.0", "spec.signatures.rules[0].authorities: found only classical keys"),
    ("signatures.rules.0.atLeast", "found 3, expected a whole number from 1 to 2"),
    ("signatures.rules.0.atLeast", "found 1.0, expected a whole number"),
    (
        "signatures.authorities.1",
        "spec.signatures.authorities[1].publicKey: found the key of release",
    ),
    (
        "signatures.authorities.0.algorithm",
        "spec.signatures.authorities[0].algorithm: found ML-DSA-87",
    ),
    ("signatures.authorities.0.publicKey", "authorities[0].publicKey: "),
    ("signatures.authorities.0.notAfter", "expected a UTC instant"),
    ("signatures.authorities.0.notAfter", "notAfter: found an instant that is not after notBefore"),
    ("signatures.classical", "spec.signatures.classical.sunset: missing"),
    ("freshness.maxAge", "spec.freshness.maxAge: found '0h', expected more than 0s"),
    ("freshness.maxAge", "expected more than 0s and at most 87600h"),
    ("verification.device", "found a count without a resource"),
    ("verification.device", "found a fallback, and no device"),
    ("verification.device", "found resource and resourceClaimTemplateName, expected one"),
    ("verification.nodeSelector", "found the key 'a b', expected a label key"),
    ("verification.nodeSelector", "found the key 1, expected a text in quotes"),
    ("verification.tolerations.0.value", "tolerations[0].value: found a value, expected none"),
    ("verification.tolerations.1", "tolerations[1].key: missing, expected with"),
    ("verification.limits.maxBytes", "expected at most"),
    (
        "namespaceSelector.matchExpressions.0",
        "matchExpressions[0].values: found 0, expected at least",
    ),
    ("namespaceSelector.matchExpressions.0", "matchExpressions[0].values: found 1, expected none"),
}


def is_beyond_the_schema(path: str, message: str) -> bool:
    return any(path == where and message.startswith(words) for where, words in BEYOND_THE_SCHEMA)


@pytest.mark.parametrize(("path", "value", "message"), REFUSED, ids=[row[2] for row in REFUSED])
def test_what_python_refuses_the_schema_refuses_too(path: str, value: object, message: str) -> None:
    bad = replaced(EVERYTHING, path, value) if path else value
    with pytest.raises(PolicyInvalid):
        PolicySpec.from_spec(bad)
    if not is_beyond_the_schema(path, message):
        assert refused_by_the_schema(bad), message


def test_nothing_is_called_beyond_the_schema_that_is_not() -> None:
    accepted = {
        (path, message)
        for path, value, message in REFUSED
        if path and not refused_by_the_schema(replaced(EVERYTHING, path, value))
    }
    used = {
        (where, words)
        for where, words in BEYOND_THE_SCHEMA
        if any(path == where and message.startswith(words) for path, message in accepted)
    }
    assert used == BEYOND_THE_SCHEMA


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param("enforcement", "Off", id="a word that is none"),
        pytest.param("signatures.authorities", [], id="no key"),
        pytest.param("signatures.rules", [], id="no rule"),
        pytest.param("signatures.rules.0.authorities", [], id="a rule without keys"),
        pytest.param("signatures.rules.0.atLeast", 0, id="a rule that always holds"),
        pytest.param("signatures.rules.0.atLeast", "2", id="a number in quotes"),
        pytest.param("signatures.authorities.0.algorithm", "ML-DSA", id="half an algorithm"),
        pytest.param("signatures.authorities.0.algorithm", "ml-dsa-65", id="another spelling"),
        pytest.param("signatures.authorities.0.models", [], id="trusted for nothing"),
        pytest.param("signatures.authorities.0.notAfter", "2028-01-01", id="a day"),
        pytest.param("signatures.authorities.0.notAfter", "2028-01-01T00:00:00+00:00", id="offset"),
        pytest.param("digests.allowed", ["md5"], id="a broken hash"),
        pytest.param("digests.allowed", [], id="no hash"),
        pytest.param("digests.allowed", ["sha256", "sha256"], id="a hash twice"),
        pytest.param("denied.keyids.0", "CD" * 32, id="upper-case hexadecimal"),
        pytest.param("denied.digests.0", "sha256:" + "ab" * 31, id="a digest cut short"),
        pytest.param("rollback.floors.0.models", [], id="a floor for nothing"),
        pytest.param("freshness.maxAge", "7d", id="days"),
        pytest.param("freshness.maxAge", "", id="no duration"),
        pytest.param("mounts.readOnly", True, id="a boolean for a word"),
        pytest.param("volumes.rules.0", {"action": "Ignore"}, id="a rule about nothing"),
        pytest.param(
            "volumes.rules.0", {"action": "Ignore", "nfs": {}, "csi": {}}, id="about two sources"
        ),
        pytest.param("volumes.rules.1.hostPath.paths", ["models"], id="a relative path"),
        pytest.param("volumes.rules.1.hostPath.paths", ["/a/../b"], id="a path with dots"),
        pytest.param("volumes.rules.1.hostPath.paths", ["/a", "/a"], id="a path twice"),
        pytest.param("verification.limits.maxBytes", "20TiB", id="a quantity that is none"),
        pytest.param("verification.limits.maxBytes", 0, id="nothing to read"),
        pytest.param("verification.limits.retries", 11, id="too many retries"),
        pytest.param("verification.device.count", 0, id="no device"),
        pytest.param("verification.queueName", "Models", id="a name with capitals"),
        pytest.param("autoRegister", "true", id="a boolean in quotes"),
    ],
)
def test_a_bad_policy_is_refused_by_both(path: str, value: object) -> None:
    bad = replaced(EVERYTHING, path, value)
    assert refused_by_the_schema(bad)
    with pytest.raises(PolicyInvalid):
        PolicySpec.from_spec(bad)


def claim(**more: object) -> Json:
    return {"source": {"persistentVolumeClaim": {"claimName": "llama"}, **more}}


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param({}, id="no source"),
        pytest.param({"source": {}}, id="an empty source"),
        pytest.param({"source": {"path": "/a"}}, id="a path without a volume"),
        pytest.param(claim(hostPath={"path": "/a"}), id="two volumes"),
        pytest.param(claim(path="a"), id="a relative path"),
        pytest.param(claim(path="/a/"), id="a trailing slash"),
        pytest.param(claim(path="/./a"), id="a dot"),
        pytest.param(claim(path="/a\\b"), id="a backslash"),
        pytest.param(claim(path="/a\n"), id="a line feed"),
        pytest.param({**claim(), "modelName": "llama-*"}, id="a model by pattern"),
        pytest.param({"source": {"image": {"reference": "models/llama:v3"}}}, id="an image tag"),
        pytest.param(
            {"source": {"nfs": {"server": "a b", "path": "/"}}}, id="a server with a space"
        ),
        pytest.param({"source": {"nfs": {"server": "files"}}}, id="an export without a path"),
        pytest.param({"source": {"csi": {"volumeAttributes": {}}}}, id="no driver"),
        pytest.param({"source": {"persistentVolumeClaim": {}}}, id="no claim"),
        pytest.param({**claim(), "workloadSelector": {"matchLabels": {"a": 1}}}, id="a number"),
    ],
)
def test_a_bad_checkpoint_is_refused_by_both(bad: Json) -> None:
    assert refused_by_the_schema(bad, CHECKPOINTS)
    with pytest.raises(Malformed):
        CheckpointSpec.from_spec(bad)


@pytest.mark.parametrize(
    "good",
    [
        claim(path="/models/..hidden/.a/..."),
        {"source": {"hostPath": {"path": "/mnt/models", "nodeName": "node-1"}}},
        {"source": {"nfs": {"server": "files.example", "path": "/"}}},
        {"source": {"csi": {"driver": "csi.example", "volumeAttributes": {"share": "a b"}}}},
        {"source": {"image": {"reference": "registry:5000/m@sha256:" + "a" * 64}, "path": "/x"}},
        {
            **claim(),
            "modelName": "org/llama-70b",
            "workloadSelector": {"matchLabels": {"app": "t"}},
        },
    ],
)
def test_a_good_checkpoint_is_accepted_by_both(good: Json) -> None:
    assert refused_by_the_schema(good, CHECKPOINTS) == []
    CheckpointSpec.from_spec(good)


@given(st.from_regex(r"[/.a\\ -~\n]{0,8}", fullmatch=True) | st.text(max_size=8))
def test_a_path_that_python_reads_passes_the_schema(text: str) -> None:
    found = schema(CHECKPOINTS, "spec.source.path")
    try:
        VolumePath.parse(text)
    except Malformed:
        return
    assert errors(text, found) == []


@given(st.from_regex(r"/?([.]{0,3}[a/]?){0,4}", fullmatch=True))
def test_a_path_of_ordinary_characters_is_the_same_to_both(text: str) -> None:
    found = schema(CHECKPOINTS, "spec.source.path")
    assert bool(errors(text, found)) is not accepts(VolumePath.parse, text)


@given(st.from_regex(r"([0-9]{0,7}[hms]?){0,4}", fullmatch=True))
def test_a_duration_that_python_reads_passes_the_schema(text: str) -> None:
    if accepts(scalars.duration, text):
        assert errors(text, schema(CLUSTER, "spec.freshness.maxAge")) == []


@given(st.from_regex(r"[0-9]{1,4}(Ki|Ti|k|B|K)?", fullmatch=True))
def test_a_quantity_is_the_same_to_both(text: str) -> None:
    found = schema(CLUSTER, "spec.verification.limits.maxBytes")
    assert bool(errors(text, found)) is not accepts(scalars.quantity, text)


def accepts(parse: object, text: str) -> bool:
    assert callable(parse)
    try:
        parse(text)
    except Malformed:
        return False
    return True
