"""Anybody on the network may connect to the webhook's port; nobody learns or stops anything."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from urllib.parse import urlsplit

import pytest
from tests.webhook_server.real import Storage
from tests.webhook_server.site import Site

from e2e.cluster.api import Json
from e2e.cluster.ports import LOOPBACK
from e2e.cluster.waiting import wait_until
from weightlock_webhook.arming.tokens import token_of

pytestmark = pytest.mark.apiserver

REGISTRATION = "/apis/admissionregistration.k8s.io/v1"
UNVERIFIED = ssl._create_unverified_context()  # noqa: S323 strangers trust anybody
HEAD = (
    b"POST %s HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)


@contextmanager
def crowd(site: Site, count: int, head: bytes) -> Iterator[None]:
    """So many connections that send a head and a byte of a body, again and again."""
    stop, sent = threading.Event(), threading.Semaphore(0)

    def one() -> None:
        while not stop.is_set():
            with suppress(OSError):
                plain = socket.create_connection((LOOPBACK, site.webhook.port.number), 5)
                with UNVERIFIED.wrap_socket(plain) as connection:
                    connection.sendall(head + b"{")
                    sent.release()
                    connection.recv(1)  # until it is dropped

    threads = [threading.Thread(target=one, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        assert all(sent.acquire(timeout=20) for _ in range(2 * count))
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(10)


def live_path(site: Site) -> str:
    """By which path the API server validates pods."""
    found = site.admin.get(f"{REGISTRATION}/validatingwebhookconfigurations/weightlock")
    url = next(
        each["clientConfig"]["url"]
        for each in found["webhooks"]
        if each["name"] == "pods.weightlock.dev"
    )
    return str(urlsplit(url).path)


def knock(site: Site, path: str, pod: Json) -> tuple[int, str]:
    """A review that somebody forged, and what is answered."""
    request = {
        "uid": "forged",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "operation": "CREATE",
        "namespace": site.tenant.namespace,
        "userInfo": {"username": "nobody"},
        "dryRun": False,
        "object": pod,
    }
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    connection = http.client.HTTPSConnection(
        LOOPBACK, site.webhook.port.number, timeout=10, context=UNVERIFIED
    )
    with closing(connection):
        headers = {"Content-Type": "application/json"}
        connection.request("POST", path, json.dumps(review), headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def requests_for(site: Site) -> list[Json]:
    events = site.admin.get(f"/api/v1/namespaces/{site.tenant.namespace}/events")["items"]
    return [each for each in events if each["reason"] == "VerificationRequested"]


def test_nobody_is_answered_but_by_the_path_that_the_api_server_was_told(site: Site) -> None:
    wait_until(
        "paths have tokens and count without no more",
        lambda: knock(site, "/validate/pods", site.pod("forged"))[0] == 404,
        timeout_seconds=90,
    )
    name = f"asked-{time.monotonic_ns()}"
    Storage(site.admin, site.tenant.namespace, name).make()
    forged = site.pod("forged", name)
    path = live_path(site)
    token = token_of({"url": path})
    assert token
    before = len(requests_for(site))
    for other in ("/validate/pods", f"{path}0", f"{path[:-1]}{'1' if path[-1] == '0' else '0'}"):
        status, body = knock(site, other, forged)
        assert (status, body) == (404, "no such path\n")
    assert len(requests_for(site)) == before
    # Who knows the path is believed: it is what the API server proves itself by.
    status, body = knock(site, path, forged)
    assert status == 200
    assert "ClusterModelPolicy strict" in body
    wait_until(
        "a verdict is asked for", lambda: len(requests_for(site)) > before, timeout_seconds=5
    )
    assert token not in site.webhook.log.read_text()
    assert token not in site.webhook.probe("/metrics")[1]
    site.stored(site.pod("still-good"))


@pytest.mark.parametrize("length", [1000, 300_000, 8 << 20])
@pytest.mark.parametrize("is_stranger", [True, False], ids=["strangers", "with the path"])
def test_a_crowd_that_sends_no_bodies_stops_no_pod(
    site: Site, length: int, is_stranger: bool
) -> None:
    path = "/validate/pods" if is_stranger else live_path(site)
    with crowd(site, 300, HEAD % (path.encode(), length)):
        for number in range(10):
            site.tenant.api.create(site.plain(f"plain-{number}"), dry_run=True)
            site.tenant.api.create(site.pod(f"verified-{number}"), dry_run=True)
