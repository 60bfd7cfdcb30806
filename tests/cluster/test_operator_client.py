"""The operator's client against a real API server: what is read, written, refused and repeated."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest

from e2e.cluster.apiserver import ApiServer
from e2e.cluster.tenants import Tenant
from weightlock_operator.api.cluster import (
    CONFIG_MAPS,
    EVENTS,
    NAMESPACES,
    PODS,
    SECRETS,
    Json,
    Precondition,
)
from weightlock_operator.api.cluster_errors import (
    AlreadyExists,
    ClusterTrouble,
    Conflict,
    Forbidden,
    NotFound,
    NotLeader,
    Rejected,
    Unavailable,
)
from weightlock_operator.api.connecting import NoCluster, api_client
from weightlock_operator.api.leader import LeaseFence
from weightlock_operator.api.rest import PAGE_ITEMS, RestCluster, Unfenced
from weightlock_operator.settings import Settings

T = TypeVar("T")


@pytest.fixture(scope="module")
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


@pytest.fixture
def cluster(apiserver: ApiServer, threads: ThreadPoolExecutor) -> RestCluster:
    return connected(str(apiserver.kubeconfig), threads)


@pytest.fixture
def tenant(apiserver: ApiServer) -> Tenant:
    return apiserver.tenant()


def connected(kubeconfig: str, threads: ThreadPoolExecutor) -> RestCluster:
    settings = Settings(verifier_image="v", verifier_cpu_image="v", kubeconfig=kubeconfig)
    return RestCluster(api_client(settings), threads=threads, fence=Unfenced())


def done(work: Awaitable[T]) -> T:
    async def run() -> T:
        return await work

    return asyncio.run(run())


def config_map(tenant: Tenant, name: str, **data: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": tenant.namespace, "labels": {"app": "test"}},
        "data": data,
    }


def test_an_object_is_made_read_changed_and_deleted(cluster: RestCluster, tenant: Tenant) -> None:
    where = tenant.namespace
    made = done(cluster.create(CONFIG_MAPS, where, config_map(tenant, "c", key="1")))
    changed = done(cluster.replace(CONFIG_MAPS, where, {**made, "data": {"key": "2"}}))
    assert done(cluster.get(CONFIG_MAPS, where, "c"))["data"] == {"key": "2"}
    patched = done(cluster.patch(CONFIG_MAPS, where, "c", {"data": {"key": None, "new": "3"}}))
    assert patched["data"] == {"new": "3"}
    assert patched["metadata"]["uid"] == changed["metadata"]["uid"]
    only_if = Precondition(uid=made["metadata"]["uid"])
    done(cluster.delete(CONFIG_MAPS, where, "c", only_if=only_if))
    with pytest.raises(NotFound):
        done(cluster.get(CONFIG_MAPS, where, "c"))


def test_whoever_wrote_in_between_is_not_overwritten(cluster: RestCluster, tenant: Tenant) -> None:
    where = tenant.namespace
    made = done(cluster.create(CONFIG_MAPS, where, config_map(tenant, "c", key="1")))
    done(cluster.replace(CONFIG_MAPS, where, {**made, "data": {"key": "2"}}))
    with pytest.raises(Conflict):
        done(cluster.replace(CONFIG_MAPS, where, {**made, "data": {"key": "3"}}))
    version = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}}
    with pytest.raises(Conflict):
        done(cluster.patch(CONFIG_MAPS, where, "c", {**version, "data": {"key": "3"}}))


def test_another_object_of_the_same_name_is_not_deleted(
    cluster: RestCluster, tenant: Tenant
) -> None:
    where = tenant.namespace
    done(cluster.create(CONFIG_MAPS, where, config_map(tenant, "c")))
    with pytest.raises(Conflict):
        done(cluster.delete(CONFIG_MAPS, where, "c", only_if=Precondition(uid="another")))


def test_each_refusal_is_its_own_error(cluster: RestCluster, tenant: Tenant) -> None:
    where = tenant.namespace
    done(cluster.create(CONFIG_MAPS, where, config_map(tenant, "c")))
    with pytest.raises(AlreadyExists):
        done(cluster.create(CONFIG_MAPS, where, config_map(tenant, "c")))
    with pytest.raises(Rejected, match="422"):
        done(cluster.create(CONFIG_MAPS, where, config_map(tenant, "Not A Name")))
    with pytest.raises(NotFound):
        done(cluster.document("/apis/no.such.group/v1"))


def test_a_missing_right_is_said(
    apiserver: ApiServer, threads: ThreadPoolExecutor, tmp_path: Path
) -> None:
    tenant = apiserver.tenant()
    text = apiserver.kubeconfig.read_text()
    stranger = tmp_path / "stranger"
    lines = [line for line in text.splitlines() if "client-" not in line]
    stranger.write_text("\n".join(lines) + "\n")
    with pytest.raises(ClusterTrouble) as refusal:
        done(connected(str(stranger), threads).get(SECRETS, tenant.namespace, "any"))
    assert isinstance(refusal.value, Forbidden)


def test_long_lists_come_in_pages(cluster: RestCluster, tenant: Tenant) -> None:
    async def fill() -> int:
        wanted = PAGE_ITEMS + 20
        await asyncio.gather(
            *(
                cluster.create(CONFIG_MAPS, tenant.namespace, config_map(tenant, f"c-{number}"))
                for number in range(wanted)
            )
        )
        listing = await cluster.list(CONFIG_MAPS, tenant.namespace, labels="app=test")
        assert int(listing.resource_version) > 0
        return len(listing.items) - wanted

    assert done(fill()) == 0


def test_events_are_listed_by_field(cluster: RestCluster, tenant: Tenant) -> None:
    listing = done(cluster.list(EVENTS, tenant.namespace, fields="reason=VerificationRequested"))
    assert listing.items == []


def test_a_pod_is_evicted_on_servers_old_and_new(cluster: RestCluster, tenant: Tenant) -> None:
    pod = tenant.object("v1", "Pod", "p", spec={"containers": [{"name": "c", "image": "any"}]})
    made = tenant.admin.create(pod)
    only_if = Precondition(uid=made["metadata"]["uid"])
    done(cluster.evict(tenant.namespace, "p", only_if=only_if))
    with pytest.raises(NotFound):
        done(cluster.get(PODS, tenant.namespace, "p"))


def test_reads_outlive_a_server_that_restarts(
    run_apiserver: Callable[..., object], threads: ThreadPoolExecutor
) -> None:
    with run_apiserver() as server:  # type: ignore[attr-defined]
        cluster = connected(str(server.kubeconfig), threads)
        server.stop()
        with pytest.raises(Unavailable) as trouble:
            done(cluster.create(NAMESPACES, "", {"metadata": {"name": "n"}}))
        assert not trouble.value.sent, "nobody listened, so nothing can have happened"
        server.start()
        assert done(cluster.document("/version"))


def test_writes_wait_for_the_lease(cluster: RestCluster, tenant: Tenant) -> None:
    fenced = cluster.fenced(LeaseFence(lambda: 0.0))
    with pytest.raises(NotLeader):
        done(fenced.create(CONFIG_MAPS, tenant.namespace, config_map(tenant, "c")))
    with pytest.raises(NotFound):
        done(fenced.get(CONFIG_MAPS, tenant.namespace, "c"))


def test_without_a_configuration_nothing_starts(tmp_path: Path) -> None:
    settings = Settings(
        verifier_image="v", verifier_cpu_image="v", kubeconfig=str(tmp_path / "none")
    )
    with pytest.raises(NoCluster):
        api_client(settings)


class Scripted:
    """A server that answers each connection with the next of its answers, then hangs up."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        while self.answers:
            connection, _ = self.socket.accept()
            with connection:
                self.requests.append(connection.recv(65536))
                connection.sendall(self.answers.pop(0))
        self.socket.close()


def answer(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


OK = answer("200 OK", b'{"kind": "ConfigMap"}')


def scripted(server: Scripted, threads: ThreadPoolExecutor, folder: Path) -> RestCluster:
    path = folder / "kubeconfig"
    path.write_text(
        '{"apiVersion": "v1", "kind": "Config", "current-context": "c",'
        f'"clusters": [{{"name": "c", "cluster": {{"server": "{server.url}"}}}}],'
        '"users": [{"name": "u", "user": {"token": "t"}}],'
        '"contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]}'
    )
    return connected(str(path), threads)


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(answer("500 Internal Server Error", b"{}"), id="500"),
        pytest.param(answer("429 Too Many", b"{}", "Retry-After: 0"), id="429"),
        pytest.param(b"", id="hung up"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", id="cut off"),
        pytest.param(answer("200 OK", b"not json"), id="no JSON"),
    ],
)
def test_a_read_is_tried_again(first: bytes, threads: ThreadPoolExecutor, tmp_path: Path) -> None:
    server = Scripted(first, OK)
    cluster = scripted(server, threads, tmp_path)
    assert done(cluster.get(CONFIG_MAPS, "n", "c")) == {"kind": "ConfigMap"}
    assert len(server.requests) == 2


def test_a_write_that_was_not_applied_is_tried_again(
    threads: ThreadPoolExecutor, tmp_path: Path
) -> None:
    server = Scripted(answer("429 Too Many", b"{}", "Retry-After: 0"), OK)
    cluster = scripted(server, threads, tmp_path)
    assert done(cluster.create(CONFIG_MAPS, "n", {"metadata": {"name": "c"}}))


@pytest.mark.parametrize(
    "only",
    [
        pytest.param(answer("500 Internal Server Error", b"{}"), id="500"),
        pytest.param(answer("504 Timeout", b"{}"), id="504"),
        pytest.param(b"", id="hung up"),
    ],
)
def test_a_write_that_may_have_been_applied_is_not(
    only: bytes, threads: ThreadPoolExecutor, tmp_path: Path
) -> None:
    server = Scripted(only, OK)
    cluster = scripted(server, threads, tmp_path)
    with pytest.raises(Unavailable) as trouble:
        done(cluster.create(CONFIG_MAPS, "n", {"metadata": {"name": "c"}}))
    assert trouble.value.sent
    assert len(server.requests) == 1


def test_the_words_of_a_server_are_escaped(threads: ThreadPoolExecutor, tmp_path: Path) -> None:
    body = b'{"message": "no\\u001b[31m\\n", "reason": "Invalid"}'
    server = Scripted(answer("422 Unprocessable", body))
    with pytest.raises(Rejected) as refusal:
        done(scripted(server, threads, tmp_path).create(CONFIG_MAPS, "n", {}))
    assert refusal.value.message.isprintable()
