"""From a policy and a claim to a verdict: the operator as its own account, on a real API server.

Scheduler and kubelet are played by tests.support.node_agent; Jobs, pods, owners and rights are real.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.cluster.apiserver import ApiServer
from tests.cluster import operator_account
from tests.cluster.operator_objects import Shelf, policy
from tests.support.node_agent import Content, NodeAgent
from tests.support.running_operator import RunningOperator
from tests.unit.policy.builders import EC, PQ_TOO, authority, signatures

from weightlock.reasons import Reason


@pytest.fixture(scope="module")
def node(apiserver_with_controllers: ApiServer) -> Iterator[NodeAgent]:
    with NodeAgent(apiserver_with_controllers.kubeconfig) as agent:
        yield agent


@pytest.fixture(scope="module")
def operator(
    apiserver_with_controllers: ApiServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningOperator]:
    server = apiserver_with_controllers
    folder = tmp_path_factory.mktemp("operator")
    operator_account.install(server)
    kubeconfig = operator_account.kubeconfig(server, folder / "kubeconfig")
    with RunningOperator(kubeconfig, folder) as running:
        yield running


@pytest.fixture
def shelf(
    apiserver_with_controllers: ApiServer, operator: RunningOperator, node: NodeAgent
) -> Iterator[Shelf]:
    """A namespace with a policy, in a cluster with an operator and a node."""
    tenant = apiserver_with_controllers.tenant()
    body = policy(tenant.namespace, tenant.namespace)
    label = {"metadata": {"labels": {"kubernetes.io/metadata.name": tenant.namespace}}}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": tenant.namespace}}
    tenant.admin.patch(namespace, label)
    tenant.admin.create(body)
    yield Shelf(tenant)
    tenant.admin.delete(body)
    assert operator.process.poll() is None, operator.log


def test_a_good_model_is_verified(shelf: Shelf) -> None:
    shelf.good("llama")
    status = shelf.reaches("llama", "Verified")
    assert status["signatures"][0]["authority"] == "release"
    assert status["modelName"] == "llama-70b"
    assert status["seal"].startswith("v1:")
    assert "verification" not in status


def test_a_classically_signed_model_is_not(shelf: Shelf, node: NodeAgent) -> None:
    node.contents["old"] = Content(signers=(EC,))
    classical = {
        "signatures": signatures(authority("release", EC), classical={"action": "Deny"}),
        "enforcement": "Audit",
    }
    del classical
    shelf.good("old")
    status = shelf.reaches("old", "Failed")
    assert status["reason"] == "SignerUntrusted"


@pytest.mark.parametrize(
    "reason", [Reason.CONTENT_MISMATCH, Reason.EXTRA_FILE, Reason.UNSIGNED, Reason.LIMIT_EXCEEDED]
)
def test_a_bad_model_fails_for_its_reason(shelf: Shelf, node: NodeAgent, reason: Reason) -> None:
    name = reason.value.lower()
    node.contents[name] = Content(reason=reason, signers=())
    shelf.good(name)
    shelf.reaches(name, "Failed", reason.value)
    assert len([ran for ran in node.ran if ran == name]) == 1, "nothing changed: not tried again"


def test_a_changed_policy_is_judged_in_two_seconds_without_a_job(
    shelf: Shelf, node: NodeAgent
) -> None:
    shelf.good("judged")
    shelf.reaches("judged", "Verified")
    namespace = shelf.tenant.namespace
    other = policy(namespace, namespace, signatures=signatures(authority("other", PQ_TOO)))
    before, began = len(node.ran), time.monotonic()
    shelf.api.patch(other, {"spec": other["spec"]})
    shelf.reaches("judged", "Failed", "SignerUntrusted", seconds=5)
    assert time.monotonic() - began < 2
    again = policy(namespace, namespace)
    began = time.monotonic()
    shelf.api.patch(again, {"spec": again["spec"]})
    shelf.reaches("judged", "Verified", seconds=5)
    assert time.monotonic() - began < 2
    assert len(node.ran) == before or node.ran.count("judged") <= 2


def test_another_claim_of_the_same_name_is_not_verified(shelf: Shelf, node: NodeAgent) -> None:
    shelf.good("swapped")
    shelf.reaches("swapped", "Verified")
    node.paused.add("swapped")
    shelf.remove_volume("swapped")
    shelf.reaches("swapped", "Stale", "IdentityChanged")
    shelf.volume("swapped", handle="another")
    time.sleep(0.5)
    assert shelf.status("swapped")["phase"] in ("Stale", "Verifying")
    node.paused.discard("swapped")
    shelf.reaches("swapped", "Verified")


def test_another_image_is_refused(shelf: Shelf, node: NodeAgent) -> None:
    node.contents["forged"] = Content(image="registry.example/evil@sha256:" + "66" * 32)
    shelf.good("forged")
    shelf.reaches("forged", "Error", "VerifierTampered")


def test_what_a_policy_says_wrong_stands_in_its_status(shelf: Shelf) -> None:
    namespace = shelf.tenant.namespace
    bad = {
        "apiVersion": "weightlock.dev/v1beta1",
        "kind": "ModelPolicy",
        "metadata": {"name": "bad", "namespace": namespace},
        "spec": {"signatures": signatures(authority("legacy", EC))},
    }
    shelf.api.create(bad)

    def refused() -> bool:
        status = shelf.api.read(bad).get("status") or {}
        conditions = status.get("conditions") or [{}]
        return conditions[0].get("status") == "False"

    from e2e.cluster.waiting import wait_until  # noqa: PLC0415

    wait_until("the policy says what is wrong with it", refused, timeout_seconds=20)


def test_the_operator_is_well(operator: RunningOperator, tmp_path: Path) -> None:
    assert operator.get("/healthz") == (200, "ok\n")
    assert operator.get("/readyz") == (200, "ok\n")
    text = operator.get("/metrics")[1]
    assert "weightlock_leader 1.0" in text
    assert "Traceback" not in operator.log
