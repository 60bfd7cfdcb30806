"""`weightlock register` and `weightlock why` against a real API server."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.crds import PLURALS, definition

from e2e.cluster.api import ApiError, Json
from e2e.cluster.apiserver import ApiServer
from e2e.cluster.tenants import Tenant
from e2e.cluster.waiting import wait_until
from weightlock.cli.main import main
from weightlock.names import API_VERSION
from weightlock_webhook.kubectl.cluster import ClusterTrouble, Forbidden
from weightlock_webhook.kubectl.connection import connect

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def server(apiserver: ApiServer) -> ApiServer:
    """With our custom resources, which other tests may have installed already."""
    for plural in PLURALS:
        with contextlib.suppress(ApiError):
            apiserver.api.create(definition(plural))
    wait_until("our resources are served", lambda: served(apiserver), timeout_seconds=20)
    return apiserver


def served(apiserver: ApiServer) -> bool:
    try:
        found = apiserver.api.get(f"/apis/{API_VERSION}")["resources"]
        apiserver.api.get(f"/apis/{API_VERSION}/modelcheckpoints")
    except ApiError:
        return False
    return {resource["name"] for resource in found} >= set(PLURALS)


@pytest.fixture
def tenant(server: ApiServer) -> Tenant:
    return server.tenant()


@pytest.fixture
def policy(server: ApiServer) -> Iterator[Json]:
    made = yaml.safe_load((ROOT / "docs" / "examples" / "policy.yaml").read_text())
    server.api.create(made)
    yield made
    server.api.delete(made)


def kubeconfig_of(server: ApiServer, tenant: Tenant, folder: Path) -> Path:
    """The administrator's kubeconfig, in the tenant's namespace."""
    document = yaml.safe_load(server.kubeconfig.read_text())
    document["contexts"][0]["context"]["namespace"] = tenant.namespace
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return path


def run(
    capsys: pytest.CaptureFixture[str], config: Path, *words: str
) -> tuple[int, dict[str, Any]]:
    code = main([*words, "--kubeconfig", str(config), "--json"])
    return code, json.loads(capsys.readouterr().out)


CLAIM = ("register", "--claim", "llama", "--path", "/step-1200")


def test_a_checkpoint_is_registered_once(
    server: ApiServer, tenant: Tenant, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = kubeconfig_of(server, tenant, tmp_path)
    code, dry = run(capsys, config, *CLAIM, "--dry-run")
    assert (code, dry["checkpoints"][0]["change"]) == (0, "created")
    code, first = run(capsys, config, *CLAIM, "--model-name", "llama-70b")
    (made,) = first["checkpoints"]
    assert (code, made["change"], made["namespace"]) == (0, "created", tenant.namespace)
    stored = server.api.read(tenant.object(API_VERSION, "ModelCheckpoint", made["name"]))
    assert stored["spec"] == {
        "source": {"persistentVolumeClaim": {"claimName": "llama"}, "path": "/step-1200"},
        "modelName": "llama-70b",
    }
    code, again = run(capsys, config, *CLAIM)
    assert (code, again["checkpoints"][0]["change"]) == (0, "unchanged")
    code, other = run(capsys, config, *CLAIM, "--model-name", "gpt", "--name", made["name"])
    assert (code, other["checkpoints"][0]["change"]) == (4, "differs")


def test_waiting_sees_the_verdict_that_the_operator_writes(
    server: ApiServer, tenant: Tenant, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = kubeconfig_of(server, tenant, tmp_path)
    _, first = run(capsys, config, *CLAIM)
    manifest = tenant.object(API_VERSION, "ModelCheckpoint", first["checkpoints"][0]["name"])
    found = server.api.read(manifest)
    found["status"] = {
        "observedGeneration": found["metadata"]["generation"],
        "phase": "Failed",
        "reason": "ContentMismatch",
        "message": "weights.bin is not as signed",
    }
    server.api.replace_status(found)
    code, answer = run(capsys, config, *CLAIM, "--wait")
    assert (code, answer["checkpoints"][0]["phase"]) == (1, "Failed")


def pod(tenant: Tenant, name: str, **spec: Any) -> Json:
    volume = {"name": "model", "persistentVolumeClaim": {"claimName": "llama", "readOnly": True}}
    mount = {"name": "model", "mountPath": "/models", "subPath": "step-1200", "readOnly": True}
    container = {"name": "trainer", "image": "trainer", "volumeMounts": [mount]}
    return tenant.object(
        "v1", "Pod", name, spec={"volumes": [volume], "containers": [container], **spec}
    )


def claim(tenant: Tenant) -> Json:
    spec = {
        "accessModes": ["ReadOnlyMany"],
        "storageClassName": "",
        "resources": {"requests": {"storage": "1Gi"}},
    }
    return tenant.object("v1", "PersistentVolumeClaim", "llama", spec=spec)


def test_a_pod_is_explained_and_what_it_needs_is_registered(
    server: ApiServer,
    tenant: Tenant,
    policy: Json,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = kubeconfig_of(server, tenant, tmp_path)
    tenant.api.create(claim(tenant))
    tenant.api.create(pod(tenant, "trainer-0"))
    code, answer = run(capsys, config, "why", "pod/trainer-0")
    (judged,) = answer["pods"]
    assert (code, judged["outcome"], judged["reason"]) == (1, "Deny", "ClaimUnbound")
    assert judged["policies"] == [f"ClusterModelPolicy {policy['metadata']['name']}"]
    code, made = run(capsys, config, "register", "--pod", "trainer-0")
    assert (code, [each["path"] for each in made["checkpoints"]]) == (0, ["/step-1200"])


def test_a_refused_pod_of_a_job_is_explained_by_the_job(
    server: ApiServer,
    tenant: Tenant,
    policy: Json,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = kubeconfig_of(server, tenant, tmp_path)
    template = {"spec": {**pod(tenant, "x")["spec"], "restartPolicy": "Never"}}
    tenant.api.create(tenant.object("batch/v1", "Job", "train", spec={"template": template}))
    tenant.admin.create(
        tenant.object(
            "v1",
            "Event",
            "train.1",
            involvedObject={"kind": "Job", "name": "train", "namespace": tenant.namespace},
            reason="FailedCreate",
            message="admission webhook denied the request",
        )
    )
    code, answer = run(capsys, config, "why", "pod/train-abcde")
    assert (code, answer["pods"][0]["name"]) == (1, "train")
    assert [each["about"] for each in answer["events"]] == ["job/train"]


def test_a_tenant_reads_which_right_is_missing(
    server: ApiServer, tenant: Tenant, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = kubeconfig_of(server, tenant, tmp_path)
    code, answer = run(capsys, config, *CLAIM, "--as", tenant.user)
    assert (code, answer["reason"]) == (4, "Unreadable")
    assert "--verb=create --resource=modelcheckpoints.weightlock.dev" in answer["hint"]


def test_a_kubeconfig_that_acts_as_somebody_is_obeyed(
    server: ApiServer, tenant: Tenant, tmp_path: Path
) -> None:
    document = yaml.safe_load(kubeconfig_of(server, tenant, tmp_path).read_text())
    document["users"][0]["user"]["as"] = tenant.user
    config = tmp_path / "as-tenant"
    config.write_text(yaml.safe_dump(document))
    with pytest.raises(Forbidden, match=tenant.user):
        connect(str(config), None).list("/api/v1/nodes")
    document["users"][0]["user"]["as-groups"] = ["admins"]
    config.write_text(yaml.safe_dump(document))
    with pytest.raises(ClusterTrouble, match="as-groups"):
        connect(str(config), None)


def test_lists_come_whole_although_in_pages(
    server: ApiServer, tenant: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        tenant.api.create(tenant.object("v1", "ConfigMap", f"c{number}"))
    monkeypatch.setattr("weightlock_webhook.kubectl.connection.PAGE", 2)
    found = connect(str(server.kubeconfig), None)
    listed = found.list(f"/api/v1/namespaces/{tenant.namespace}/configmaps")
    assert {f"c{number}" for number in range(5)} <= {each["metadata"]["name"] for each in listed}


def test_a_server_that_is_not_there_is_named(server: ApiServer, tmp_path: Path) -> None:
    document = yaml.safe_load(server.kubeconfig.read_text())
    document["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    config = tmp_path / "nowhere"
    config.write_text(yaml.safe_dump(document))
    with pytest.raises(ClusterTrouble, match=r"127\.0\.0\.1:1 gave no answer"):
        connect(str(config), None).get("/api/v1/namespaces/default")


def test_no_kubeconfig_is_said(tmp_path: Path) -> None:
    with pytest.raises(ClusterTrouble, match="no kubeconfig"):
        connect(str(tmp_path / "none"), None)
    with pytest.raises(ClusterTrouble, match="no kubeconfig"):
        connect(None, "no-such-context")
