"""What every definition of ours has: descriptions, names, columns, and room for CEL to be cheap."""

from typing import Any

import pytest
from tests.support.crds import PLURALS, definition, schema, schemas, version

POLICIES = ("clustermodelpolicies", "modelpolicies")


@pytest.mark.parametrize("plural", PLURALS)
def test_every_field_is_described(plural: str) -> None:
    undescribed = [
        path
        for path, found in schemas(schema(plural))
        # The server forbids to say anything about metadata.
        if not found.get("description") and path != "metadata"
    ]
    assert undescribed == []


@pytest.mark.parametrize("plural", PLURALS)
def test_descriptions_are_sentences(plural: str) -> None:
    for path, found in schemas(schema(plural)):
        if path != "metadata":
            assert found["description"].endswith("."), path


@pytest.mark.parametrize("plural", PLURALS)
def test_only_objects_lists_and_plain_values_with_a_type(plural: str) -> None:
    for path, found in schemas(schema(plural)):
        assert ("type" in found) != ("x-kubernetes-int-or-string" in found), path
        assert "x-kubernetes-preserve-unknown-fields" not in found, path


@pytest.mark.parametrize("plural", PLURALS)
def test_whatever_grows_is_bounded(plural: str) -> None:
    bounds = {"string": "maxLength", "array": "maxItems"}
    for path, found in schemas(schema(plural)):
        bound = bounds.get(found.get("type", ""))
        if path in ("apiVersion", "kind") or "enum" in found or found.get("format") == "date-time":
            continue
        assert bound is None or bound in found, path
        assert "additionalProperties" not in found or "maxProperties" in found, path


@pytest.mark.parametrize("plural", PLURALS)
def test_lists_say_how_they_merge(plural: str) -> None:
    for path, found in schemas(schema(plural)):
        assert (found.get("type") == "array") is ("x-kubernetes-list-type" in found), path


@pytest.mark.parametrize(
    ("plural", "scope", "short"),
    [
        ("clustermodelpolicies", "Cluster", "cmp"),
        ("modelpolicies", "Namespaced", "mp"),
        ("modelcheckpoints", "Namespaced", "mckpt"),
    ],
)
def test_names(plural: str, scope: str, short: str) -> None:
    found = definition(plural)
    assert found["metadata"]["name"] == f"{plural}.weightlock.dev"
    assert found["spec"]["scope"] == scope
    assert found["spec"]["names"]["plural"] == plural
    assert found["spec"]["names"]["shortNames"] == [short]
    assert found["spec"]["names"]["categories"] == ["weightlock"]


@pytest.mark.parametrize("plural", PLURALS)
def test_the_status_is_a_resource_of_its_own_and_has_conditions(plural: str) -> None:
    assert version(plural)["subresources"] == {"status": {}}
    conditions = schema(plural, "status.conditions")
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]
    assert "observedGeneration" in conditions["items"]["properties"]


@pytest.mark.parametrize("plural", PLURALS)
def test_a_status_is_stored_as_it_was_written(plural: str) -> None:
    assert not [path for path, found in schemas(schema(plural, "status")) if "default" in found]


def test_no_pattern_repeats_what_may_be_a_private_key() -> None:
    for plural in POLICIES:
        key = schema(plural, "spec.signatures.authorities.items.publicKey")
        assert "pattern" not in key
        assert "enum" not in key


def test_both_kinds_of_policy_are_the_same_but_for_their_reach() -> None:
    cluster, own = (dict(schema(plural, "spec")["properties"]) for plural in POLICIES)
    del cluster["namespaceSelector"]
    assert cluster == own
    assert schema("clustermodelpolicies", "status") == schema("modelpolicies", "status")


@pytest.mark.parametrize("plural", POLICIES)
def test_the_columns_of_a_policy(plural: str) -> None:
    assert columns(plural) == [
        "Enforcement",
        "OnUnverified",
        "Ready",
        "Verified",
        "Classical",
        "Age",
    ]


def test_the_columns_of_a_checkpoint() -> None:
    expected = ["Model", "Phase", "Reason", "Family", "Checked", "Expires", "Age"]
    assert columns("modelcheckpoints") == expected


def columns(plural: str) -> list[str]:
    found: list[dict[str, Any]] = version(plural)["additionalPrinterColumns"]
    return [column["name"] for column in found if not column.get("priority")]
