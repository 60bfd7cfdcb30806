"""What any tenant may put into objects of its own must not stop the operator (D07).

`metadata.managedFields` is taken as deep as a request makes it; parsers give up at a thousand.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster import operator_account
from tests.cluster.operator_objects import Shelf, policy
from tests.support.node_agent import NodeAgent
from tests.support.running_operator import RunningOperator

from e2e.cluster.api import Json
from e2e.cluster.apiserver import ApiServer

LEVELS = 1500


@pytest.fixture(scope="module")
def server(apiserver_with_controllers: ApiServer) -> ApiServer:
    operator_account.install(apiserver_with_controllers)
    return apiserver_with_controllers


@pytest.fixture
def shelf(server: ApiServer) -> Iterator[Shelf]:
    found = Shelf(server.tenant())
    namespace = found.tenant.namespace
    label = {"metadata": {"labels": {"kubernetes.io/metadata.name": namespace}}}
    owner = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    server.api.patch(owner, label)
    body = policy(namespace, namespace)
    server.api.create(body)
    yield found
    server.api.delete(body)


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    """The test itself must write and read such objects; the operator is another process."""
    usual = sys.getrecursionlimit()
    sys.setrecursionlimit(20 * LEVELS)
    yield
    sys.setrecursionlimit(usual)


def deep(levels: int = LEVELS) -> Json:
    """Metadata that the API server keeps and that parsers give up at."""
    nest: Json = {}
    for _ in range(levels):
        nest = {"f:x": nest}
    entry = {
        "manager": "tenant",
        "operation": "Update",
        "apiVersion": "v1",
        "time": "2026-01-01T00:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": nest,
    }
    return {"managedFields": [entry]}


def deep_objects(shelf: Shelf, name: str) -> list[Json]:
    """Of kinds that the operator reads; of custom resources the server drops what it cannot use."""
    claim = shelf.tenant.object(
        "v1",
        "PersistentVolumeClaim",
        f"{name}-claim",
        spec={"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    )
    pod = shelf.tenant.object(
        "v1",
        "Pod",
        f"{name}-pod",
        spec={"containers": [{"name": "main", "image": "registry.example/x:1"}]},
    )
    for each in (claim, pod):
        each["metadata"] |= deep()
    return [claim, pod]


def test_objects_nested_too_deeply_stop_neither_lists_nor_watches(
    server: ApiServer, shelf: Shelf, tmp_path: Path
) -> None:
    before = [shelf.tenant.api.create(each) for each in deep_objects(shelf, "before")]
    for each in before:
        kept = json.dumps(server.api.read(each)["metadata"]["managedFields"])
        assert kept.count("f:x") >= LEVELS, "or nothing is shown here"
    kubeconfig = operator_account.kubeconfig(server, tmp_path / "kubeconfig")
    with NodeAgent(server.kubeconfig), RunningOperator(kubeconfig, tmp_path) as operator:
        shelf.good("first")
        shelf.reaches("first", "Verified")
        for each in deep_objects(shelf, "while"):
            shelf.tenant.api.create(each)
        shelf.good("second")
        shelf.reaches("second", "Verified")
        assert operator.process.poll() is None, operator.log
        for sign in ("kopf ended", "misses changes", "Traceback", "RecursionError"):
            assert sign not in operator.log
