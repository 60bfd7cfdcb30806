"""The API server that tests get is a real one, alone, and leaves nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from e2e.cluster.api import ApiError
from e2e.cluster.apiserver import ApiServer
from e2e.cluster.errors import StepFailed
from e2e.cluster.ports import LOOPBACK
from e2e.cluster.pytest_plugin import RunApiServer
from e2e.cluster.supervised import ROOT
from e2e.cluster.waiting import wait_until

READY_SECONDS = 10.0
CYCLES = 20


def test_it_is_ready_within_ten_seconds(run_apiserver: RunApiServer) -> None:
    started = time.monotonic()
    with run_apiserver() as server:
        assert server.api.answers()
        assert time.monotonic() - started < READY_SECONDS


def test_a_tenant_edits_their_own_namespace_and_nothing_else(apiserver: ApiServer) -> None:
    tenant = apiserver.tenant()
    own = tenant.object("v1", "ConfigMap", "settings", data={"key": "value"})
    assert tenant.api.create(own)["data"] == {"key": "value"}
    with pytest.raises(ApiError, match="forbidden") as refusal:
        tenant.api.get("/api/v1/namespaces/kube-system/secrets")
    assert refusal.value.code == 403


def test_a_tenant_cannot_give_themselves_more_rights(apiserver: ApiServer) -> None:
    tenant = apiserver.tenant()
    role = tenant.object("rbac.authorization.k8s.io/v1", "Role", "more", rules=[])
    with pytest.raises(ApiError) as refusal:
        tenant.api.create(role)
    assert refusal.value.code == 403


def test_tenants_do_not_see_each_other(apiserver: ApiServer) -> None:
    ours, theirs = apiserver.tenant("team-a"), apiserver.tenant("team-b")
    secret = theirs.object("v1", "Secret", "token")
    theirs.api.create(secret)
    with pytest.raises(ApiError) as refusal:
        ours.api.read(secret)
    assert refusal.value.code == 403


def test_a_custom_resource_has_a_status_of_its_own(apiserver: ApiServer) -> None:
    api = apiserver.api
    api.create(custom_resource("gauges", "Gauge"))
    wait_until("the kind is served", lambda: serves(apiserver, "gauges"), timeout_seconds=20)
    tenant = apiserver.tenant()
    gauge = tenant.object("tests.weightlock.dev/v1", "Gauge", "g", spec={"n": 1}, status={"n": 9})
    created = api.create(gauge)
    assert "status" not in created  # the main resource ignores it
    after = api.replace_status({**created, "spec": {"n": 2}, "status": {"n": 3}})
    assert (after["spec"], after["status"]) == ({"n": 1}, {"n": 3})


def test_what_the_schema_forbids_is_refused(apiserver: ApiServer) -> None:
    api = apiserver.api
    api.create(custom_resource("dials", "Dial"))
    wait_until(
        "the kind is served",
        lambda: serves(apiserver, "dials"),
        timeout_seconds=20,
    )
    tenant = apiserver.tenant()
    dial = tenant.object("tests.weightlock.dev/v1", "Dial", "d", spec={"n": "one"})
    with pytest.raises(ApiError, match=r"spec\.n"):
        api.create(dial)


def test_several_run_side_by_side_and_share_nothing(run_apiserver: RunApiServer) -> None:
    with run_apiserver() as first, run_apiserver() as second:
        tenant = first.tenant()
        assert first.url != second.url
        with pytest.raises(ApiError) as refusal:
            second.api.get(f"/api/v1/namespaces/{tenant.namespace}")
        assert refusal.value.code == 404


def test_it_can_be_stopped_and_restarted_and_remembers(run_apiserver: RunApiServer) -> None:
    with run_apiserver() as server:
        tenant = server.tenant()
        server.stop()
        assert not server.api.answers()
        server.start()
        assert server.api.get(f"/api/v1/namespaces/{tenant.namespace}")


def test_a_failed_start_shows_the_log(run_apiserver: RunApiServer) -> None:
    with run_apiserver() as server:
        server.stop()
        server.ca.write_text("no certificate")
        with pytest.raises(StepFailed, match="kube-apiserver exited") as failure:
            server.start()
        assert "ca.crt" in "\n".join(failure.value.__notes__)


def test_the_controllers_run_jobs_and_fill_the_edit_role(
    apiserver_with_controllers: ApiServer,
) -> None:
    tenant = apiserver_with_controllers.tenant()
    container = {"name": "c", "image": "any"}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    tenant.api.create(tenant.object("batch/v1", "Job", "work", spec={"template": template}))
    pods = f"/api/v1/namespaces/{tenant.namespace}/pods"
    made = wait_until(
        "the Job has a pod", lambda: tenant.api.get(pods)["items"], timeout_seconds=30
    )
    assert made[0]["metadata"]["ownerReferences"][0]["name"] == "work"


def test_twenty_cycles_leave_no_process_port_or_folder(run_apiserver: RunApiServer) -> None:
    for _ in range(CYCLES):
        with run_apiserver() as server:
            processes = [entry["pid"] for entry in server.supervised.status().values()]
            ports = (server.ports.apiserver, server.ports.etcd_client, server.ports.etcd_peer)
            numbers = [port.number for port in ports]
            folder = server.folder
        assert not folder.exists()
        assert not [pid for pid in processes if alive(pid)]
        for number in numbers:
            with socket.socket() as free:  # closed connections may linger, servers may not
                free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                free.bind((LOOPBACK, number))
                free.listen()


@pytest.mark.apiserver
def test_nothing_outlives_an_owner_that_is_killed() -> None:
    program = (
        "import sys, time\n"
        "from e2e.cluster.pytest_plugin import _assets\n"
        "from e2e.cluster.apiserver import running_apiserver\n"
        "with running_apiserver(_assets(controllers=False)) as server:\n"
        "    pids = [entry['pid'] for entry in server.supervised.status().values()]\n"
        "    print(server.folder, *pids, flush=True)\n"
        "    time.sleep(600)\n"
    )
    owner = subprocess.Popen(  # noqa: S603 our own words
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout
    with owner.stdout:
        folder, *pids = owner.stdout.readline().split()
    owner.kill()
    owner.wait()
    wait_until("its folder is removed", lambda: not Path(folder).exists(), timeout_seconds=10)
    assert not [pid for pid in pids if alive(int(pid))]


def test_nothing_outlives_a_supervisor_that_is_killed(run_apiserver: RunApiServer) -> None:
    with run_apiserver() as server:
        pids = [entry["pid"] for entry in server.supervised.status().values()]
        os.kill(parent_of(pids[0]), signal.SIGKILL)
        wait_until("the kernel ends them", lambda: not any(map(alive, pids)), timeout_seconds=10)
    assert not server.folder.exists()


def alive(pid: int | None) -> bool:
    try:
        return stat(pid)[0] != "Z"  # a zombie has ended, whoever has not yet heard of it
    except FileNotFoundError:
        return False


def parent_of(pid: int | None) -> int:
    return int(stat(pid)[1])


def stat(pid: int | None) -> list[str]:
    assert pid is not None
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()


def serves(server: ApiServer, plural: str) -> bool:
    try:
        found = server.api.get("/apis/tests.weightlock.dev/v1")
    except ApiError:
        return False
    return any(resource["name"] == plural for resource in found["resources"])


def custom_resource(plural: str, kind: str) -> dict[str, object]:
    number = {"type": "object", "properties": {"n": {"type": "integer"}}}
    schema = {"type": "object", "properties": {"spec": number, "status": number}}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": schema},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.tests.weightlock.dev"},
        "spec": {
            "group": "tests.weightlock.dev",
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
            "versions": [version],
        },
    }
