"""The operator among faults: cut, delayed and refused requests, lost watches, kills, pauses.

However it goes, the end is that of an undisturbed run: the good model Verified, the bad one Failed,
and never anything else in between that would let the bad one in (A33).
"""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import signal
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.cluster import operator_account
from tests.cluster.operator_objects import Shelf, policy
from tests.support.api_proxy import PASS, ApiProxy, Fault, Kind, Request
from tests.support.node_agent import Content, NodeAgent
from tests.support.running_operator import RunningOperator

from e2e.cluster.api import ApiError
from e2e.cluster.apiserver import ApiServer
from e2e.cluster.pytest_plugin import RunApiServer
from e2e.cluster.waiting import wait_until
from weightlock.reasons import Reason
from weightlock_operator.watching import WATCHED

LEAST_STEPS = 15
"""Requests about two checkpoints, from the first look to both verdicts."""

RAISED = base64.b64encode(b"/raised").decode()
RAISED_BY = 500
"""Revisions; a billion is advised, which takes etcd's own tool."""

LEASE = {
    "apiVersion": "coordination.k8s.io/v1",
    "kind": "Lease",
    "metadata": {"name": "weightlock-operator", "namespace": operator_account.NAMESPACE},
}


@pytest.fixture(scope="module")
def server(apiserver_with_controllers: ApiServer) -> ApiServer:
    operator_account.install(apiserver_with_controllers)
    return apiserver_with_controllers


@pytest.fixture(scope="module")
def node(server: ApiServer) -> Iterator[NodeAgent]:
    with NodeAgent(server.kubeconfig) as agent:
        yield agent


@pytest.fixture
def proxy(server: ApiServer) -> Iterator[ApiProxy]:
    with ApiProxy(server) as running:
        yield running


@pytest.fixture
def shelf(server: ApiServer) -> Iterator[Shelf]:
    free_lease(server)
    tenant = server.tenant()
    label = {"metadata": {"labels": {"kubernetes.io/metadata.name": tenant.namespace}}}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": tenant.namespace}}
    tenant.admin.patch(namespace, label)
    body = policy(tenant.namespace, tenant.namespace)
    tenant.admin.create(body)
    yield Shelf(tenant)
    tenant.admin.delete(body)
    everything = f"/apis/weightlock.dev/v1beta1/namespaces/{tenant.namespace}/modelcheckpoints"
    tenant.admin.send("DELETE", everything)


Start = Callable[..., RunningOperator]


@pytest.fixture
def start(server: ApiServer, proxy: ApiProxy, tmp_path: Path) -> Iterator[Start]:
    """Start an operator behind the proxy; whatever was started is ended."""
    started: list[RunningOperator] = []

    def begin(name: str = "operator", *, wait_ready: bool = True) -> RunningOperator:
        kubeconfig = operator_account.kubeconfig(server, tmp_path / f"{name}.yaml", proxy.url)
        operator = RunningOperator(kubeconfig, tmp_path, name=name, wait_ready=wait_ready)
        started.append(operator)
        operator.start()
        return operator

    yield begin
    for operator in started:
        operator.kill()


def free_lease(server: ApiServer) -> None:
    """As if the Lease of whoever was killed had run out."""
    with suppress(ApiError):
        server.api.delete(LEASE)


def good_and_bad(shelf: Shelf, node: NodeAgent, name: str) -> tuple[str, str]:
    """Two checkpoints; the second's content is not as signed."""
    good, bad = f"{name}-good", f"{name}-bad"
    node.contents[bad] = Content(reason=Reason.CONTENT_MISMATCH, signers=())
    shelf.good(good)
    shelf.good(bad)
    return good, bad


FAULTS = {
    "cut before": Fault(Kind.CUT_BEFORE),
    "cut after": Fault(Kind.CUT_AFTER),
    "delayed": Fault(Kind.DELAY, seconds=0.3),
    "409": Fault(Kind.ANSWER, status=409, reason="Conflict"),
    "410": Fault(Kind.ANSWER, status=410, reason="Expired"),
    "429": Fault(Kind.ANSWER, status=429, reason="TooManyRequests"),
    "500": Fault(Kind.ANSWER, status=500),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_third_of_all_requests_goes_wrong(
    shelf: Shelf, node: NodeAgent, proxy: ApiProxy, start: Start, kind: str
) -> None:
    operator = start()
    wait_until("it leads", operator.leads, timeout_seconds=20)  # before, it ends and starts anew
    dice = random.Random(kind)  # noqa: S311 - the same faults each time

    def fault(request: Request) -> Fault:
        unharmed = request.is_lease or not concerns(kind, request)
        return PASS if unharmed or dice.random() > 1 / 3 else FAULTS[kind]

    proxy.fault = fault
    good, bad = good_and_bad(shelf, node, kind.replace(" ", "-"))
    shelf.reaches(bad, "Failed", "ContentMismatch", seconds=90)
    shelf.reaches(good, "Verified", seconds=90)
    proxy.fault = lambda _request: PASS
    assert operator.process.poll() is None, operator.log


LISTED = {"pods", *(watched.resource.plural for watched in WATCHED)}


def concerns(kind: str, request: Request) -> bool:
    """Nobody answers a question with 409, nor anything but a list or a watch with 410."""
    if kind == "409":
        return request.method != "GET"
    if kind == "410":
        return request.method == "GET" and request.path.rsplit("/", 1)[1] in LISTED
    return not (request.watches and kind == "delayed")


def test_watches_that_are_dropped_lose_nothing(
    shelf: Shelf, node: NodeAgent, proxy: ApiProxy, start: Start
) -> None:
    start()
    for number in range(5):
        proxy.drop_watches()
        good, bad = good_and_bad(shelf, node, f"dropped-{number}")
        proxy.drop_watches()
        shelf.reaches(good, "Verified")
        shelf.reaches(bad, "Failed")


def test_what_was_deleted_behind_a_gap_is_noticed(
    shelf: Shelf, node: NodeAgent, proxy: ApiProxy, start: Start
) -> None:
    """E02: after a 410 kopf lists again and does not say who is gone."""
    start()
    shelf.good("lost")
    shelf.reaches("lost", "Verified")
    node.paused.add("lost")
    # No watch gets through, so the end of the claim is heard by nobody.
    proxy.fault = lambda request: (
        Fault(Kind.ANSWER, status=410, reason="Expired") if request.watches else PASS
    )
    proxy.drop_watches()
    shelf.remove_volume("lost")
    shelf.reaches("lost", "Stale", "IdentityChanged", seconds=60)
    node.paused.discard("lost")


def test_an_api_server_that_is_away_for_a_while_is_waited_for(
    shelf: Shelf, node: NodeAgent, proxy: ApiProxy, start: Start
) -> None:
    operator = start()
    shelf.good("before")
    shelf.reaches("before", "Verified")
    proxy.fault = lambda _request: Fault(Kind.CUT_BEFORE)
    proxy.drop_watches()
    time.sleep(5)
    assert operator.process.poll() is None, "shorter than the Lease lasts: no reason to end"
    assert operator.get("/healthz")[0] == 200
    proxy.fault = lambda _request: PASS
    shelf.good("after")
    shelf.reaches("after", "Verified", seconds=60)


def test_the_lease_is_lost_when_it_cannot_be_renewed(
    shelf: Shelf, proxy: ApiProxy, start: Start
) -> None:
    operator = start()
    proxy.fault = lambda request: Fault(Kind.CUT_BEFORE) if request.is_lease else PASS
    assert operator.process.wait(40) == 1
    del shelf


@pytest.mark.parametrize("stride", [9, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_after_each_of_its_requests_it_ends_where_it_would_have(
    stride: int, shelf: Shelf, server: ApiServer, node: NodeAgent, proxy: ApiProxy, start: Start
) -> None:
    """A33: before, between and after each write of a verification, and each read."""
    for step in count(1, stride):
        free_lease(server)
        operator = start(f"step-{stride}-{step}")
        kill_at(proxy, operator, step)
        good, bad = good_and_bad(shelf, node, f"step-{stride}-{step}")
        settled = partial(decided, shelf, good, bad)
        wait_until("killed, or done", lambda: ended(operator) or settled(), timeout_seconds=60)  # noqa: B023
        was_killed = ended(operator)
        proxy.after = lambda _request: None
        operator.kill()
        free_lease(server)
        again = start(f"again-{stride}-{step}")
        # Evidence that was lost is an error first, and looked for again after half a minute.
        shelf.reaches(bad, "Failed", "ContentMismatch", seconds=90)
        shelf.reaches(good, "Verified", seconds=90)
        again.kill()
        runs = Counter(node.ran)
        assert runs[good] <= 2, f"killed after request {step}: {runs[good]} Jobs"
        assert runs[bad] <= 2, f"killed after request {step}: {runs[bad]} Jobs"
        if not was_killed:  # there was no such request any more
            assert step > LEAST_STEPS
            return


def decided(shelf: Shelf, good: str, bad: str) -> bool:
    return (shelf.status(good).get("phase"), shelf.status(bad).get("phase")) == (
        "Verified",
        "Failed",
    )


def counts(request: Request) -> bool:
    """Whether a request belongs to what is done about checkpoints."""
    return not (request.watches or request.is_lease or request.path == "/api/v1/pods")


def kill_at(proxy: ApiProxy, operator: RunningOperator, step: int) -> None:
    """End the operator once so many of its requests are applied, before it hears of the last."""
    left = [step]

    def after(request: Request) -> None:
        if counts(request):
            left[0] -= 1
            if left[0] == 0:
                operator.process.kill()

    proxy.after = after


def ended(operator: RunningOperator) -> bool:
    return operator.process.poll() is not None


def test_a_paused_leader_writes_nothing_when_it_goes_on(
    shelf: Shelf, node: NodeAgent, proxy: ApiProxy, start: Start
) -> None:
    """E06: SIGSTOP, another one leads, SIGCONT."""
    first = start("first")
    wait_until("the first leads", first.leads, timeout_seconds=20)
    second = start("second")
    assert not second.leads()
    node.paused.add("paused")
    shelf.good("paused")
    shelf.reaches("paused", "Verifying")
    os.kill(first.pid, signal.SIGSTOP)
    try:
        wait_until("the second leads", second.leads, timeout_seconds=40)
        node.paused.discard("paused")
        shelf.reaches("paused", "Verified")
        second.process.kill()
        second.process.wait(10)
        shelf.checkpoint("late", claim="paused")  # something to do for whoever looks
        seen = len(proxy.requests)
    finally:
        os.kill(first.pid, signal.SIGCONT)
    assert first.process.wait(20) == 1
    written = [each for each in proxy.requests[seen:] if each.method != "GET"]
    assert written == [], "whoever was paused writes nothing"
    assert shelf.status("late") == {}


def test_the_other_replica_takes_over_at_once_from_one_that_ends_well(
    shelf: Shelf, node: NodeAgent, start: Start
) -> None:
    first = start("first")
    wait_until("the first leads", first.leads, timeout_seconds=20)
    second = start("second")
    began = time.monotonic()
    assert first.stop() == 0
    wait_until("the second leads", second.leads, timeout_seconds=20)
    assert time.monotonic() - began < 10
    shelf.good("taken-over")
    shelf.reaches("taken-over", "Verified")


def test_the_other_replica_takes_over_from_one_that_was_killed(
    shelf: Shelf, node: NodeAgent, start: Start
) -> None:
    first = start("first")
    wait_until("the first leads", first.leads, timeout_seconds=20)
    second = start("second")
    first.kill()
    began = time.monotonic()
    wait_until("the second leads", second.leads, timeout_seconds=40)
    assert time.monotonic() - began < 25
    shelf.good("inherited")
    shelf.reaches("inherited", "Verified")


def test_a_hundred_poisoned_checkpoints_delay_no_other(
    shelf: Shelf, node: NodeAgent, proxy: ApiProxy, start: Start
) -> None:
    """D07: whatever is written about them fails, again and again, among a hundred good ones."""
    start()
    proxy.fault = lambda request: (
        Fault(Kind.ANSWER, status=500)
        if "/poison-" in request.path and request.method == "PUT"
        else PASS
    )
    good = [f"wholesome-{number}" for number in range(100)]
    for number, name in enumerate(good):
        shelf.checkpoint(f"poison-{number}", claim="nothing")
        shelf.good(name)
    for name in good:
        shelf.reaches(name, "Verified", seconds=60)
    assert shelf.status("poison-7") == {}
    tried = Counter(each.path for each in proxy.requests if "/poison-" in each.path)
    assert max(tried.values()) < 20, "each waits longer from time to time"


def test_a_missing_right_is_named_and_nothing_is_led(
    server: ApiServer, shelf: Shelf, start: Start
) -> None:
    """E17."""
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "weightlock-operator"},
    }
    rules = server.api.read(role)["rules"]
    trimmed = [
        {**rule, "verbs": [verb for verb in rule["verbs"] if verb != "create"]}
        if rule["resources"] == ["jobs"]
        else rule
        for rule in rules
    ]
    server.api.patch(role, {"rules": trimmed})
    try:
        operator = start(wait_ready=False)
        wait_until(
            "it says which",
            lambda: "create jobs.batch" in operator.get("/readyz")[1] if operator.port else False,
            timeout_seconds=30,
        )
        assert operator.get("/healthz")[0] == 200
    finally:
        server.api.patch(role, {"rules": rules})
    wait_until("it goes on once it may", operator.is_ready, timeout_seconds=30)
    del shelf


@pytest.mark.parametrize("are_raised", [False, True], ids=["as they were", "revisions raised"])
def test_a_cluster_that_comes_back_from_a_backup_is_noticed(
    run_apiserver: RunApiServer, tmp_path: Path, *, are_raised: bool
) -> None:
    """A39: statuses, floors and policies go back in time, storage does not.

    `etcdutl snapshot restore --bump-revision` came with etcd 3.6. What it is for is done by hand
    here: revisions go on from beyond where they were, so that no watcher sees them go back.
    """
    with run_apiserver(controllers=True) as server, NodeAgent(server.kubeconfig):
        operator_account.install(server)
        kubeconfig = operator_account.kubeconfig(server, tmp_path / "kubeconfig")
        shelf = Shelf(server.tenant())
        body = policy("all", shelf.tenant.namespace)
        body["spec"]["namespaceSelector"] = {}
        shelf.api.create(body)
        memory = {"WEIGHTLOCK_STATE_DIR": str(tmp_path)}
        with RunningOperator(kubeconfig, tmp_path, memory) as operator:
            shelf.good("early")
            before = shelf.reaches("early", "Verified")
            backup(server, tmp_path / "backup")
            shelf.good("late")
            shelf.reaches("late", "Verified")
            wait_until(
                "it remembers", (tmp_path / "highest-version.json").exists, timeout_seconds=60
            )
            time.sleep(5)
            highest = etcd_revision(server)
            server.stop()
            assert operator.process.wait(40) == 1, "without its Lease"
            restore(server, tmp_path / "backup", beyond=highest if are_raised else 0)
            if are_raised:  # an object keeps its old version until somebody writes it
                lease = server.api.patch(LEASE, {"metadata": {"labels": {"is": "touched"}}})
                assert int(lease["metadata"]["resourceVersion"]) > highest
            operator.start()
            wait_until("it is written down", lambda: restored_at(server), timeout_seconds=60)
            wait_until(
                "what was verified before is verified anew",
                lambda: (
                    shelf.status("early").get("lastVerified") != before["lastVerified"]
                    and shelf.status("early").get("phase") == "Verified"
                ),
                timeout_seconds=90,
            )


OWN = f"/api/v1/namespaces/{operator_account.NAMESPACE}"


def backup(server: ApiServer, folder: Path) -> None:
    """What a person does who copies etcd."""
    shutil.copytree(server.folder / "etcd", folder)


def restore(server: ApiServer, folder: Path, beyond: int) -> None:
    """The API server is down already; revisions of etcd go on beyond a number."""
    server.supervised.stop("etcd")
    shutil.rmtree(server.folder / "etcd")
    shutil.copytree(folder, server.folder / "etcd")
    server.start_etcd()
    while beyond and etcd_revision(server) < beyond + RAISED_BY:
        etcd(server, "put", key=RAISED, value=RAISED)
    server.start()
    # What it has seen is of another time; whoever restores a cluster restarts it too.
    server.supervised.stop("kube-controller-manager")
    server.start_controllers()


def etcd_revision(server: ApiServer) -> int:
    """How many writes there were."""
    return int(etcd(server, "range", key=RAISED)["header"]["revision"])


def etcd(server: ApiServer, verb: str, **fields: str) -> Any:
    address = f"{server.ports.etcd.client}/v3/kv/{verb}"
    with urllib.request.urlopen(address, json.dumps(fields).encode(), 10) as answer:  # noqa: S310 loopback
        return json.load(answer)


def restored_at(server: ApiServer) -> object:
    try:
        return server.api.get(f"{OWN}/configmaps/weightlock-state")["data"].get("restoredAt")
    except (ApiError, OSError):
        return None
