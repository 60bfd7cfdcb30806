"""What the tests of the cluster tool share, and an operator beside a node in a real cluster."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster import operator_account
from tests.cluster.operator_objects import Shelf, policy
from tests.support.node_agent import NodeAgent
from tests.support.running_operator import RunningOperator

from e2e.cluster.apiserver import ApiServer
from e2e.cluster.progress import Progress
from e2e.cluster.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.from_environ(
        {
            "HOME": str(tmp_path / "home"),
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "XDG_STATE_HOME": str(tmp_path / "state"),
        }
    )


@pytest.fixture
def progress() -> Progress:
    return Progress(io.StringIO())


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
        if running.process.poll() is None:
            running.stop()  # the Lease is given back to whoever comes next


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
