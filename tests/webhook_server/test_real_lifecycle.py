"""Restarts, rotations, outages and the end, by the real API server under a stream of new pods."""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.unit.policy.builders import PQ, policy_object
from tests.webhook_server.balancer import Balancer
from tests.webhook_server.real import (
    SYSTEM,
    WEBHOOK,
    Storage,
    Webhook,
    checkpoint,
    install,
    kubeconfig_of,
    shipped_for,
    verify,
)

from e2e.cluster.api import ApiError, Json
from e2e.cluster.apiserver import ApiServer
from e2e.cluster.pytest_plugin import RunApiServer
from e2e.cluster.tenants import Tenant
from e2e.cluster.waiting import wait_until
from e2e.load import STARTING_SERVER
from weightlock_webhook.arming.tokens import new_token, token_of, with_token
from weightlock_webhook.certificates.authority import new_authority
from weightlock_webhook.certificates.rotation import Authorities

pytestmark = pytest.mark.apiserver

PODS_PER_SECOND = 50
WORKERS = 6
SECRET = f"/api/v1/namespaces/{SYSTEM}/secrets/weightlock-webhook-ca"
REGISTRATION = "/apis/admissionregistration.k8s.io/v1"
CONFIGURATIONS = (
    f"{REGISTRATION}/validatingwebhookconfigurations/weightlock",
    f"{REGISTRATION}/mutatingwebhookconfigurations/weightlock",
)


@dataclass
class Site:
    """An API server that asks two replicas through a balancer."""

    server: ApiServer
    tenant: Tenant
    folder: Path
    balancer: Balancer
    count: int = 0

    def replica(self) -> Webhook:
        self.count += 1
        webhook = Webhook(self.server, self.folder, self.count)
        webhook.start()
        webhook.wait()
        self.balancer.replicas.append(webhook)
        wait_until("the balancer knows", lambda: webhook in self.balancer.ready, timeout_seconds=10)
        return webhook

    def retire(self, webhook: Webhook) -> int:
        code = webhook.stop()
        self.balancer.replicas.remove(webhook)
        wait_until(
            "the balancer knows", lambda: webhook not in self.balancer.ready, timeout_seconds=10
        )
        webhook.close()
        return code

    def pod(self, name: str, claim: str) -> Json:
        volume = {"name": "m", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
        mount = {"name": "m", "mountPath": "/models", "readOnly": True}
        container = {"name": "main", "image": "trainer", "volumeMounts": [mount]}
        return self.tenant.object(
            "v1", "Pod", name, spec={"volumes": [volume], "containers": [container]}
        )

    def is_allowed(self, claim: str) -> bool:
        try:
            self.tenant.api.create(self.pod("probe", claim), dry_run=True)
        except ApiError:
            return False
        return True


@dataclass
class Stream:
    """Pods made at a steady rate, compliant and violating ones by turns."""

    site: Site
    refused: list[str] = field(default_factory=list)
    stored: list[str] = field(default_factory=list)
    good: int = 0
    bad: int = 0
    lost: int = 0
    """Compliant ones that nobody answered."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def worker(self, number: int, workers: int) -> None:
        begun, made = time.monotonic(), 0
        while not self._stop.is_set():
            made += 1
            compliant = made % 2 == 0
            name = f"{'good' if compliant else 'bad'}-{number}-{made}-{id(self)}"
            try:
                self.site.tenant.api.create(self.site.pod(name, "llama" if compliant else "fresh"))
            except ApiError as error:
                if compliant:
                    self.refused.append(f"{error.code} {error.message}")
            except (OSError, http.client.HTTPException):
                self.lost += compliant
            else:
                if not compliant:
                    self.stored.append(name)
            with self._lock:
                self.good += compliant
                self.bad += not compliant
            self._stop.wait(max(0.0, begun + made * workers / PODS_PER_SECOND - time.monotonic()))


@contextmanager
def stream(site: Site) -> Iterator[Stream]:
    found = Stream(site)
    workers = [
        threading.Thread(target=found.worker, args=(number, WORKERS)) for number in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    try:
        yield found
    finally:
        found._stop.set()
        for worker in workers:
            worker.join()


@pytest.fixture(scope="module")
def site(run_apiserver: RunApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    balancer = Balancer()
    with run_apiserver() as server:
        install(server.api)
        folder = tmp_path_factory.mktemp("lifecycle")
        (folder / "shipped.yaml").write_text(shipped_for(balancer.port.number))
        tenant = server.tenant()
        found = Site(server, tenant, folder, balancer)
        balancer.start()
        try:
            found.replica()
            found.replica()
            wait_until("both configurations are there", lambda: bundles(server), timeout_seconds=20)
            server.api.create(policy_object("strict"))
            for name in ("llama", "fresh"):
                Storage(server.api, tenant.namespace, name).make()
            registered = server.api.create(checkpoint(tenant.namespace, "llama"))
            storage = Storage(server.api, tenant.namespace, "llama")
            verify(server.api, registered, storage, PQ.keyid, PQ.algorithm.name)
            wait_until("it is verified", lambda: found.is_allowed("llama"), timeout_seconds=10)
            wait_until("others are not", lambda: not found.is_allowed("fresh"), timeout_seconds=10)
            yield found
        finally:
            balancer.close()
            for webhook in balancer.replicas:
                webhook.close()


def bundles(server: ApiServer) -> set[str]:
    """The caBundles that are live; empty while any is missing."""
    found = set()
    for path in CONFIGURATIONS:
        try:
            entries = server.api.get(path)["webhooks"]
        except ApiError:
            return set()
        found |= {entry["clientConfig"].get("caBundle", "") for entry in entries}
    return set() if "" in found else found


def test_a_rolling_restart_lets_nothing_through_and_stops_nobody(site: Site) -> None:
    old = list(site.balancer.replicas)
    with stream(site) as pods:
        for webhook in old:
            site.replica()
            assert site.retire(webhook) == 0
    assert pods.stored == []
    assert (pods.refused, pods.lost) == ([], 0)
    assert pods.good > 50
    assert pods.bad > 50


def test_a_rotation_of_the_authority_is_noticed_by_nobody(site: Site) -> None:
    api, now = site.server.api, datetime.now(UTC)  # noqa: TID251 the edge
    aged = Authorities(new_authority(now - timedelta(days=300)))
    write(site, aged)
    wait_until(
        "the aged authority is everybody's, and the next one announced",
        lambda: (
            (found := read(site)).current == aged.current
            and found.next_since is not None
            and all(each.probe("/readyz")[0] == 200 for each in site.balancer.replicas)
        ),
        timeout_seconds=40,
    )
    with stream(site) as pods:
        announced = read(site)
        assert announced.next
        write(site, Authorities(aged.current, announced.next, now - timedelta(minutes=3)))
        wait_until(
            "the next authority signs",
            lambda: read(site).current == announced.next,
            timeout_seconds=30,
        )
        wait_until(
            "every replica serves its own leaf of it",
            lambda: all(leaf_is_new(each) for each in site.balancer.replicas),
            timeout_seconds=30,
        )
        wait_until("both trust it", lambda: len(bundles(site.server)) == 1, timeout_seconds=10)
    assert pods.stored == []
    assert (pods.refused, pods.lost) == ([], 0)
    assert api.get(SECRET)["data"]["previous.crt"]


def leaf_is_new(webhook: Webhook) -> bool:
    return webhook.log.read_text().count("serving a certificate until") >= 3


def read(site: Site) -> Authorities:
    data = site.server.api.get(SECRET)["data"]
    return Authorities.from_data(
        {key: base64.b64decode(value).decode() for key, value in data.items()}
    )


def write(site: Site, authorities: Authorities) -> None:
    live = site.server.api.get(SECRET)
    data = {
        key: base64.b64encode(value.encode()).decode() for key, value in authorities.data().items()
    }
    site.server.api.send("PUT", SECRET, {**live, "data": data})


def tokens(site: Site) -> set[str]:
    """What ends the paths that are live; "" for nothing."""
    return {
        token_of(entry["clientConfig"])
        for path in CONFIGURATIONS
        for entry in site.server.api.get(path)["webhooks"]
    }


def end_paths(site: Site, token: str) -> None:
    """Give every path this end, as an installer does that knows of none."""
    for path in CONFIGURATIONS:
        webhooks = site.server.api.get(path)["webhooks"]
        for entry in webhooks:
            entry["clientConfig"] = dict(with_token(entry["clientConfig"], token))
        site.server.api.send("PATCH", path, {"webhooks": webhooks})


def are_closed(site: Site, *but: str) -> bool:
    found = tokens(site)
    return len(found) == 1 and not found & {"", *but}


def test_an_installer_that_opens_the_paths_is_noticed_by_nobody(site: Site) -> None:
    """What helm's upgrade does each time, and a rolling update from a version without tokens."""
    wait_until("paths have tokens", lambda: are_closed(site), timeout_seconds=30)
    (before,) = tokens(site)
    with stream(site) as pods:
        for _ in range(2):
            end_paths(site, "")
            assert tokens(site) == {""}
            wait_until("they have again", lambda: are_closed(site, before), timeout_seconds=40)
    assert pods.stored == []
    assert (pods.refused, pods.lost) == ([], 0)
    assert pods.good > 50


def test_a_new_token_is_noticed_by_nobody(site: Site) -> None:
    wait_until("paths have tokens", lambda: are_closed(site), timeout_seconds=30)
    old = new_token(datetime.now(UTC) - timedelta(hours=1))  # noqa: TID251 the edge
    with stream(site) as pods:
        for _ in range(3):
            end_paths(site, old)
            wait_until("it has changed", lambda: are_closed(site, old), timeout_seconds=20)
    assert pods.stored == []
    assert pods.refused == []


def test_beside_a_replica_of_an_older_version_paths_have_no_tokens(site: Site) -> None:
    wait_until("paths have tokens", lambda: are_closed(site), timeout_seconds=30)
    labels = {"app.kubernetes.io/name": "weightlock", "app.kubernetes.io/component": "webhook"}
    older = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "older", "namespace": SYSTEM, "labels": labels},
        "spec": {"containers": [{"name": "webhook", "image": "older"}]},
    }
    with stream(site) as pods:
        site.server.api.create(older)
        wait_until("paths have none", lambda: tokens(site) == {""}, timeout_seconds=20)
        path = f"/api/v1/namespaces/{SYSTEM}/pods/older"
        site.server.api.send("DELETE", path, {"gracePeriodSeconds": 0})
        wait_until("they have again", lambda: are_closed(site), timeout_seconds=40)
    assert pods.stored == []
    assert pods.refused == []


def test_a_restart_of_the_api_server_lets_nothing_through_and_stops_nobody_for_long(
    site: Site,
) -> None:
    """Who cannot be answered is not refused; who is refused, is so by the server that starts.

    There is one API server and so nobody else to ask: while it is away connections fail, and for a
    moment it may not know its own roles or be out of the webhook's reach (`STARTING_SERVER`). That
    a webhook could not be called is never an excuse, and once all is back nothing is.
    """
    with stream(site) as pods:
        site.server.stop()
        site.server.start()
        wait_until("it is verified", lambda: site.is_allowed("llama"), timeout_seconds=30)
        settled, troubled = pods.good, len(pods.refused) + pods.lost
        wait_until("many more were made", lambda: pods.good > settled + 50, timeout_seconds=30)
    assert pods.stored == []
    assert [words for words in pods.refused if not STARTING_SERVER.match(words)] == []
    # One that was on its way when all was back may have been late.
    assert len(pods.refused) + pods.lost <= troubled + WORKERS


def test_with_every_replica_gone_nothing_governed_gets_in_and_exempt_namespaces_work(
    site: Site,
) -> None:
    for webhook in list(site.balancer.replicas):
        site.retire(webhook)
    for claim in ("llama", "fresh"):
        with pytest.raises(ApiError, match="failed calling webhook"):
            site.tenant.api.create(site.pod("outage", claim))
    with pytest.raises(ApiError):
        site.server.api.read(site.pod("outage", "llama"))
    # Servers from 1.21 on write the label that the selector goes by; here it is set by hand.
    system = {"metadata": {"labels": {"kubernetes.io/metadata.name": "kube-system"}}}
    with contextlib.suppress(ApiError):
        site.server.api.send("PATCH", "/api/v1/namespaces/kube-system", system)
    site.replica()
    site.server.api.send("PATCH", "/api/v1/namespaces/kube-system", system)
    last = site.balancer.replicas[0]
    site.retire(last)
    exempt = site.pod("exempt", "llama")
    exempt["metadata"]["namespace"] = "kube-system"
    site.server.api.create(exempt)
    site.replica()


def test_an_uninstall_disarms_for_good(site: Site) -> None:
    kubeconfig = kubeconfig_of(site.server, WEBHOOK, site.folder)
    done = subprocess.run(
        [sys.executable, "-m", "weightlock_webhook", "disarm"],
        env={"PATH": os.defpath, "WEIGHTLOCK_KUBECONFIG": str(kubeconfig)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for path in CONFIGURATIONS:
        with pytest.raises(ApiError) as missing:
            site.server.api.get(path)
        assert missing.value.code == 404
    (replica,) = site.balancer.replicas
    assert replica.metric("weightlock_admission_armed") == 0
    site.tenant.api.create(site.pod("free", "fresh"))
