"""How a tenant with edit rights gets a held pod to run before its verdict: not at all.

The numbers are those of the threat model. Each refusal has its compliant twin: the same pod with
what is wrong put right is stored.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.cluster.admission import Case, new_case, warnings_of
from tests.cluster.admission_cases.shared import (
    APPLY,
    JSON_PATCH,
    MERGE_PATCH,
    STRATEGIC_PATCH,
)
from tests.support.protected import (
    bind,
    verify,
)
from tests.unit.webhook.objects import claim_volume, container, mount, pod_spec
from tests.webhook_server.real import SCHEDULER, Webhook

from e2e.cluster.api import ApiError, Json
from e2e.cluster.apiserver import ApiServer
from e2e.cluster.waiting import wait_until
from weightlock.cluster_names import HELD_LABEL, WAITS_FOR_ANNOTATION


@pytest.fixture(scope="module")
def holding(server: ApiServer, webhook: Webhook) -> Case:
    """A tenant whose unverified pods wait."""
    case = new_case(server, webhook, onUnverified="Hold")
    for claim in ("llama", "released"):
        bind(case.tenant, claim)
    return case


def held(case: Case, claim: str = "llama") -> Json:
    manifest = case.pod(pod_spec(claim_volume(claim=claim)))
    case.becomes_stored(manifest)
    return manifest


def bound(case: Case, manifest: Json) -> None:
    """What the scheduler does."""
    name = manifest["metadata"]["name"]
    binding = case.tenant.object(
        "v1", "Binding", name, target={"apiVersion": "v1", "kind": "Node", "name": "n1"}
    )
    path = f"/api/v1/namespaces/{case.tenant.namespace}/pods/{name}/binding"
    case.admin.acting_as(SCHEDULER, "system:masters").send("POST", path, binding)


def why_not_bound(case: Case, manifest: Json) -> str:
    try:
        bound(case, manifest)
    except ApiError as error:
        return error.message
    return ""


def test_a17_an_unverified_pod_is_stored_held_and_not_bound(holding: Case) -> None:
    manifest = held(holding)
    metadata = holding.admin.read(manifest)["metadata"]
    assert metadata["labels"][HELD_LABEL] == "true"
    assert '"claim":"llama"' in metadata["annotations"][WAITS_FOR_ANNOTATION]
    with pytest.raises(ApiError) as refusal:
        bound(holding, manifest)
    assert refusal.value.code == 403
    assert "NoCheckpoint" in refusal.value.message
    assert "nodeName" not in holding.admin.read(manifest)["spec"]


def test_a17_whoever_makes_a_held_pod_is_told_what_it_waits_for(holding: Case) -> None:
    (waits,) = warnings_of(holding.tenant.api, holding.pod(pod_spec()))
    assert waits.startswith("Held: NoCheckpoint: ")
    assert "weightlock register" in waits


def test_a17_a_folder_beside_the_registered_ones_is_held_and_one_around_them_is_not(
    server: ApiServer, webhook: Webhook
) -> None:
    case = new_case(server, webhook, onUnverified="Hold", autoRegister=True)
    bind(case.tenant)
    verify(case.tenant, path="/step-1")

    def of(sub_path: str) -> Json:
        return case.pod(pod_spec(containers=[container(mount(subPath=sub_path))]))

    case.becomes_stored(of("step-1"))
    second = case.stored(of("step-2"))
    assert second["metadata"]["labels"][HELD_LABEL] == "true"
    assert "autoRegister does not" in warnings_of(case.tenant.api, of("step-2"))[0]
    case.refused(of(""), "PathNotCovered")
    with pytest.raises(ApiError, match="NoCheckpoint"):
        bound(case, second)
    verify(case.tenant, "second", path="/step-2")
    wait_until("it ends", lambda: not why_not_bound(case, second), timeout_seconds=10)
    assert case.admin.read(second)["spec"]["nodeName"] == "n1"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        pytest.param(
            JSON_PATCH,
            [{"op": "remove", "path": "/metadata/labels/weightlock.dev~1held"}],
            id="JSON patch",
        ),
        pytest.param(MERGE_PATCH, {"metadata": {"labels": {HELD_LABEL: None}}}, id="merge patch"),
        pytest.param(
            STRATEGIC_PATCH,
            {"metadata": {"annotations": {WAITS_FOR_ANNOTATION: "[]"}}},
            id="strategic merge",
        ),
        pytest.param(
            APPLY,
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {HELD_LABEL: "false"}}},
            id="server-side apply",
        ),
    ],
)
def test_a17_nobody_but_the_operator_lets_a_pod_go(holding: Case, kind: str, body: Any) -> None:
    manifest = held(holding)
    if kind == APPLY:
        body["metadata"]["name"] = manifest["metadata"]["name"]
    holding.refused_patch(manifest, body, kind)


def test_a17_a_held_pod_is_bound_once_its_verdict_stands(holding: Case) -> None:
    manifest = held(holding, "released")
    verify(holding.tenant, "released", "released")

    wait_until("it is bound", lambda: not why_not_bound(holding, manifest), timeout_seconds=10)
    assert holding.admin.read(manifest)["spec"]["nodeName"] == "n1"


def test_a17_a_pod_that_names_its_node_passes_no_scheduler_and_is_refused(holding: Case) -> None:
    holding.refused(holding.pod(pod_spec(nodeName="n1")), "NoCheckpoint")


def test_a17_what_no_verdict_can_cure_is_not_held(holding: Case) -> None:
    holding.refused(holding.pod(pod_spec(claim_volume(read_only=False))), "WritableMount")
