"""No webhook, no pods: except where the webhook itself has to come from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from e2e.cluster.api import ApiError, Json
from e2e.cluster.running import RunningCluster
from e2e.cluster.tenants import Tenant
from e2e.cluster.waiting import wait_until
from e2e.install import NAMESPACE, WEBHOOK_NAME
from e2e.models import config_of, key, sign, write_model
from e2e.pods import busybox, pod
from e2e.teams import team_on

DEPLOYMENT: Json = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": WEBHOOK_NAME, "namespace": NAMESPACE},
}
SCALED_SECONDS = 120.0
NOBODY_ANSWERS = "failed calling webhook"


def test_while_the_webhook_is_down_nothing_governed_gets_in(
    cluster: RunningCluster, tenant: Tenant, tmp_path_factory: pytest.TempPathFactory
) -> None:
    release = key(tmp_path_factory.mktemp("keys"), "release")
    with team_on(cluster, "outage") as team:
        sign(write_model(team.folder / "model"), release)
        team.govern({"release": release})
        team.share_folder()
        team.register("model")
        team.verdict("model", "Verified")
        with without_webhook(cluster):
            assert NOBODY_ANSWERS in team.refusal(team.reader("model"))
            with pytest.raises(ApiError, match=NOBODY_ANSWERS):  # it cannot be known what is in it
                tenant.api.create(pod(tenant, "any", [busybox("true")]))
            runs_in_kube_system(cluster)
        assert team.runs(team.reader("model")) == config_of(1)


@contextmanager
def without_webhook(cluster: RunningCluster) -> Iterator[None]:
    """Scale the webhook down to nothing, and up again."""
    replicas = cluster.api.read(DEPLOYMENT)["spec"]["replicas"]
    scale(cluster, 0)
    try:
        yield
    finally:
        scale(cluster, replicas)


def scale(cluster: RunningCluster, replicas: int) -> None:
    cluster.api.patch(DEPLOYMENT, {"spec": {"replicas": replicas}})
    endpoints: Json = {**DEPLOYMENT, "apiVersion": "v1", "kind": "Endpoints"}

    def answering() -> bool:
        subsets = cluster.api.read(endpoints).get("subsets") or [{}]
        return len(subsets[0].get("addresses", [])) == replicas

    wait_until(f"{replicas} webhooks", answering, timeout_seconds=SCALED_SECONDS)
    if not replicas:
        wait_until("no webhook runs", lambda: not running(cluster), timeout_seconds=SCALED_SECONDS)


def running(cluster: RunningCluster) -> list[Json]:
    selector = "app.kubernetes.io/component=webhook"
    path = f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector={selector}"
    items: list[Json] = cluster.api.get(path)["items"]
    return items


def runs_in_kube_system(cluster: RunningCluster) -> None:
    """A pod of the cluster's own starts whatever happens to us."""
    manifest: Json = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "of-the-cluster", "namespace": "kube-system"},
        "spec": {"restartPolicy": "Never", "containers": [busybox("true")]},
    }
    cluster.api.create(manifest)
    cluster.api.wait_for(manifest, "a pod of kube-system runs", phase="Succeeded")
    cluster.api.delete(manifest)
