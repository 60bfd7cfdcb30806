"""What the e2e tests share. Everything in this folder is marked `e2e`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from e2e.cluster.errors import CannotRun
from e2e.cluster.progress import Progress
from e2e.cluster.running import RunningCluster
from e2e.cluster.settings import Settings
from e2e.cluster.tenants import Tenant
from e2e.install import Installation, folder_for, is_armed
from e2e.models import key
from e2e.teams import cluster_policy, signatures_by
from e2e.waiting import gone

HERE = Path(__file__).resolve().parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Before `-m` chooses."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("e2e")


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config) -> RunningCluster:
    """The cluster that `python -m e2e.cluster up` brought up."""
    name: str = pytestconfig.getoption("--cluster")
    return RunningCluster.named(name, Settings.from_environ(), Progress(sys.stderr))


@pytest.fixture
def tenant(cluster: RunningCluster) -> Tenant:
    """Someone with edit rights in a namespace of this test's own."""
    return cluster.tenant()


@pytest.fixture(scope="session")
def installation(cluster: RunningCluster) -> Installation:
    """The product on it."""
    if not is_armed(cluster.api):
        raise CannotRun("Weightlock is not installed on the cluster: run `make e2e`")
    return Installation(cluster, folder_for(cluster.provider.name))


@pytest.fixture(scope="session", autouse=True)
def nobodys_policy(
    cluster: RunningCluster, installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A policy that governs no namespace: without any, all pods with volumes would be refused."""
    assert is_armed(installation.cluster.api)
    signer = {"nobody": key(tmp_path_factory.mktemp("nobody"), "nobody")}
    nowhere = {"matchLabels": {"kubernetes.io/metadata.name": "nowhere"}}
    policy = cluster_policy("nobody", namespaceSelector=nowhere, signatures=signatures_by(signer))
    gone(cluster.api, policy)
    cluster.api.create(policy)
