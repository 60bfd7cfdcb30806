"""The shipped configuration, the routes and the rights agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from weightlock_webhook.reviews.routes import ANY, MUTATE_PODS, SERVED, VALIDATE_WORKLOADS, Served

BASE = Path(__file__).parents[3] / "manifests" / "base" / "webhook"
VALIDATING, MUTATING = yaml.safe_load_all((BASE / "configuration.yaml").read_text())
WEBHOOKS = [*VALIDATING["webhooks"], *MUTATING["webhooks"]]
EXEMPT = {
    "matchExpressions": [
        {
            "key": "kubernetes.io/metadata.name",
            "operator": "NotIn",
            "values": ["kube-system", "weightlock-system"],
        }
    ]
}

Object = dict[str, Any]


def path_of(webhook: Object) -> str:
    path: str = webhook["clientConfig"]["service"]["path"]
    return path


def asked(webhook: Object) -> set[tuple[str, str, str, str]]:
    """(group, version, resource, operation) of every rule."""
    return {
        (group, version, resource, operation)
        for rule in webhook["rules"]
        for group in rule["apiGroups"]
        for version in rule["apiVersions"]
        for resource in rule["resources"]
        for operation in rule["operations"]
    }


def answered(served: Served) -> set[tuple[str, str, str, str]]:
    sub = f"/{served.sub_resource}" if served.sub_resource else ""
    return {
        (served.group, version, served.resource + sub, operation)
        for version in served.versions
        for operation in served.operations
    }


def test_what_is_asked_is_what_is_answered() -> None:
    for path, kinds in SERVED.items():
        if path == VALIDATE_WORKLOADS:
            continue
        rules = set().union(*(asked(each) for each in WEBHOOKS if path_of(each) == path))
        assert rules == set().union(*map(answered, kinds)), path


def test_workloads_may_be_of_any_kind() -> None:
    (served,) = SERVED[VALIDATE_WORKLOADS]
    assert (served.group, served.resource) == (ANY, ANY)
    (webhook,) = [each for each in WEBHOOKS if path_of(each) == VALIDATE_WORKLOADS]
    operations = {operation for *_, operation in asked(webhook)}
    assert operations == served.operations


def test_every_webhook_fails_closed_but_the_one_that_only_warns() -> None:
    for webhook in WEBHOOKS:
        expected = "Ignore" if path_of(webhook) == VALIDATE_WORKLOADS else "Fail"
        assert webhook["failurePolicy"] == expected, webhook["name"]
        assert webhook["timeoutSeconds"] <= 5
        assert webhook["matchPolicy"] == "Equivalent"
        assert webhook["admissionReviewVersions"] == ["v1"]
        assert webhook["sideEffects"] in {"None", "NoneOnDryRun"}
        assert "caBundle" not in webhook["clientConfig"]
        assert "matchConditions" not in webhook


def test_only_namespaces_are_left_out_and_only_by_their_names() -> None:
    for webhook in WEBHOOKS:
        namespaced = all(rule["scope"] == "Namespaced" for rule in webhook["rules"])
        assert ("namespaceSelector" in webhook) is namespaced, webhook["name"]
        if namespaced:
            assert webhook["namespaceSelector"] == EXEMPT


def test_only_our_own_guarded_labels_select_objects() -> None:
    selected = {
        webhook["name"]: webhook["objectSelector"]
        for webhook in WEBHOOKS
        if "objectSelector" in webhook
    }
    keys = {
        expression["key"]
        for selector in selected.values()
        for expression in selector["matchExpressions"]
        if expression["operator"] == "Exists"
    }
    assert keys == {"weightlock.dev/verification", "weightlock.dev/checkpoint-uid"}
    assert all("verification" in name or "checkpoint" in name for name in selected)


def test_names_are_unique_and_the_mutator_looks_again() -> None:
    for configuration in (VALIDATING, MUTATING):
        names = [webhook["name"] for webhook in configuration["webhooks"]]
        assert len(set(names)) == len(names)
        assert configuration["metadata"]["name"] == "weightlock"
    (mutator,) = MUTATING["webhooks"]
    assert path_of(mutator) == MUTATE_PODS
    assert mutator["reinvocationPolicy"] == "IfNeeded"


def test_no_right_is_wider_than_it_must_be() -> None:
    documents = list(yaml.safe_load_all((BASE / "role.yaml").read_text()))
    rules = [rule for each in documents for rule in each.get("rules", ())]
    for rule in rules:
        assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
        if "secrets" in rule["resources"]:
            assert rule.get("resourceNames") or rule["verbs"] == ["create"]
    cluster = [each for each in documents if each["kind"] == "ClusterRole"]
    assert not any("secrets" in rule["resources"] for each in cluster for rule in each["rules"])
