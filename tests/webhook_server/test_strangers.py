"""Anybody on the network may connect to the webhook's port; none of them stops a pod."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from tests.webhook_server.site import Site

from e2e.cluster.ports import LOOPBACK

pytestmark = pytest.mark.apiserver

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


@pytest.mark.parametrize("length", [1000, 300_000, 8 << 20])
def test_a_crowd_that_sends_no_bodies_stops_no_pod(site: Site, length: int) -> None:
    with crowd(site, 300, HEAD % (b"/validate/pods", length)):
        for number in range(10):
            site.tenant.api.create(site.plain(f"plain-{number}"), dry_run=True)
            site.tenant.api.create(site.pod(f"verified-{number}"), dry_run=True)
