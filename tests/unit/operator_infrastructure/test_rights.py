"""The role file, the list of rights and the questions at start are the same thing three times."""

import asyncio
from pathlib import Path

import pytest
import yaml
from tests.support.memory_cluster import MemoryCluster

from weightlock_operator.api.permissions import missing, questions
from weightlock_operator.api.rights import CLUSTER_RIGHTS, OWN_RIGHTS, Right

ROLE = Path("manifests/base/operator/role.yaml")
NAMESPACE = "weightlock-system"


def documents() -> dict[str, dict[str, object]]:
    return {str(each["kind"]): each for each in yaml.safe_load_all(ROLE.read_text())}


def rules(rights: tuple[Right, ...]) -> list[dict[str, list[str]]]:
    return [
        {
            "apiGroups": [right.group],
            "resources": [right.resource],
            **({"resourceNames": list(right.names)} if right.names else {}),
            "verbs": list(right.verbs),
        }
        for right in rights
    ]


def test_the_role_grants_exactly_the_rights() -> None:
    found = documents()
    assert found["ClusterRole"]["rules"] == rules(CLUSTER_RIGHTS)
    assert found["Role"]["rules"] == rules(OWN_RIGHTS)


def test_both_bindings_are_of_the_one_account() -> None:
    found = documents()
    account = {"kind": "ServiceAccount", "name": "weightlock-operator", "namespace": NAMESPACE}
    assert found["ClusterRoleBinding"]["subjects"] == [account]
    assert found["RoleBinding"]["subjects"] == [account]


@pytest.mark.parametrize("right", CLUSTER_RIGHTS, ids=lambda right: right.resource)
def test_nothing_that_would_rule_a_cluster_is_granted_everywhere(right: Right) -> None:
    """F07."""
    assert "*" not in (right.group, right.resource, *right.verbs)
    assert right.resource not in ("secrets", "pods/exec", "pods/attach", "serviceaccounts/token")
    assert not {"escalate", "bind", "impersonate", "deletecollection"} & set(right.verbs)
    assert right.group not in ("rbac.authorization.k8s.io", "admissionregistration.k8s.io")


def test_storage_is_only_read() -> None:
    """E22."""
    for right in CLUSTER_RIGHTS:
        if right.resource.startswith("persistentvolume"):
            assert set(right.verbs) <= {"get", "list", "watch"}


def test_each_verb_is_asked_for() -> None:
    asked = {(each.verb, each.group, each.resource) for each in questions(NAMESPACE)}
    wanted = {
        (verb, right.group, right.resource)
        for right in (*CLUSTER_RIGHTS, *OWN_RIGHTS)
        for verb in right.verbs
    }
    assert asked == wanted


def test_a_missing_verb_is_named() -> None:
    cluster = MemoryCluster(denied={"create jobs", "update secrets"})
    found = [str(each) for each in asyncio.run(missing(cluster, NAMESPACE))]
    assert found == ["create jobs.batch", f"update secrets/weightlock-seal in {NAMESPACE}"]


def test_nothing_is_missing_where_all_is_granted() -> None:
    assert asyncio.run(missing(MemoryCluster(), NAMESPACE)) == ()
