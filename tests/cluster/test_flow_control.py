"""The server puts the operator's requests where the chart's flow control says."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cluster import operator_account
from tests.support.charts import rendered

from e2e.cluster.apiserver import ApiServer
from e2e.cluster.waiting import wait_until
from weightlock_operator.api.connecting import api_client
from weightlock_operator.settings import Settings

OWN = "/apis/coordination.k8s.io/v1/namespaces/weightlock-system/leases/weightlock-operator"


@pytest.mark.apiserver
def test_requests_go_to_a_level_of_their_own_and_the_lease_to_that_of_leaders(
    apiserver: ApiServer, tmp_path: Path
) -> None:
    operator_account.install(apiserver)
    arguments = ["--set=flowControl.enabled=true", "--kube-version=1.20.2"]
    made = {
        (each["kind"], each["metadata"]["name"]): apiserver.api.create(each)["metadata"]["uid"]
        for each in rendered(arguments=arguments)
        if each["apiVersion"].startswith("flowcontrol.")
    }
    kubeconfig = operator_account.kubeconfig(apiserver, tmp_path / "kubeconfig")
    for path, flow in (("/api/v1/pods", "weightlock"), ("/apis", "weightlock")):
        expected = (made["FlowSchema", flow], made["PriorityLevelConfiguration", "weightlock"])
        wait_until(path, lambda: flow_of(kubeconfig, path) == expected, timeout_seconds=20)  # noqa: B023
    leaders = (
        "/apis/flowcontrol.apiserver.k8s.io/v1beta1/prioritylevelconfigurations/leader-election"
    )
    level = apiserver.api.get(leaders)["metadata"]["uid"]
    assert flow_of(kubeconfig, OWN) == (made["FlowSchema", "weightlock-leases"], level)


def flow_of(kubeconfig: Path, path: str) -> tuple[str, str]:
    """The uids of the flow schema and of the priority level that a request was given."""
    settings = Settings(verifier_image="v", verifier_cpu_image="v", kubeconfig=str(kubeconfig))
    client = api_client(settings)
    headers: dict[str, str] = {}
    client.update_params_for_auth(headers, [], ["BearerToken"], "", "", None)
    answer = client.rest_client.pool_manager.request(
        "GET", client.configuration.host + path, headers=headers
    )
    return (
        answer.headers.get("X-Kubernetes-PF-FlowSchema-UID", ""),
        answer.headers.get("X-Kubernetes-PF-PriorityLevel-UID", ""),
    )
