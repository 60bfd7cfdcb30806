"""Certificates of cert-manager: a mounted Secret, and a cainjector that fills in the caBundle.

cert-manager itself is not at hand here: what it does to a Secret and to the configurations is done
by the tests, to a real API server and the real process.
"""

from __future__ import annotations

import base64
import contextlib
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.unit.policy.builders import PQ, policy_object
from tests.webhook_server.balancer import Balancer
from tests.webhook_server.mounted import mounted
from tests.webhook_server.real import SYSTEM, Storage, Webhook, checkpoint, install, verify
from tests.webhook_server.test_real_lifecycle import CONFIGURATIONS, Site, bundles, stream

from e2e.cluster.api import Api, ApiError, Json
from e2e.cluster.ports import LOOPBACK
from e2e.cluster.pytest_plugin import RunApiServer
from e2e.cluster.waiting import wait_until
from weightlock_webhook.arming.keeper import ROUND_SECONDS
from weightlock_webhook.certificates.authority import Pair, new_authority, server_leaf
from weightlock_webhook.upkeep import POLL_FILES_SECONDS

pytestmark = pytest.mark.apiserver

CERTIFICATE = f"{SYSTEM}/weightlock-webhook"
ANNOTATION = "cert-manager.io/inject-ca-from"
NAMES = (f"weightlock-webhook.{SYSTEM}.svc", "localhost")


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 TLS looks at the clock


@dataclass
class Injector:
    """Writes its bundle into whatever has the annotation, by updates of whole objects."""

    api: Api
    authority: Pair
    writes: int = 0
    is_slow: threading.Event = field(default_factory=threading.Event)
    _stop: threading.Event = field(default_factory=threading.Event)

    @property
    def bundle(self) -> str:
        return base64.b64encode(self.authority.certificate.encode()).decode()

    def run(self) -> None:
        while not self._stop.wait(0.1):
            for path in () if self.is_slow.is_set() else CONFIGURATIONS:
                with contextlib.suppress(ApiError, OSError):
                    self._look(path)

    def stop(self) -> None:
        self._stop.set()

    def _look(self, path: str) -> None:
        found = self.api.get(path)
        if found["metadata"].get("annotations", {}).get(ANNOTATION) != CERTIFICATE:
            return
        clients = [webhook["clientConfig"] for webhook in found["webhooks"]]
        if any(client.get("caBundle") != self.bundle for client in clients):
            for client in clients:
                client["caBundle"] = self.bundle
            self.api.send("PUT", path, found)
            self.writes += 1


@dataclass
class Managed:
    """A site whose certificate is somebody else's."""

    site: Site
    webhook: Webhook
    injector: Injector
    folder: Path
    count: int = 0

    def renew(self) -> Pair:
        """Another leaf of the same authority, mounted."""
        self.count += 1
        pair = server_leaf(self.injector.authority, NAMES, now())
        mounted(self.folder, self.count, pair)
        return pair

    def served(self) -> str:
        return ssl.get_server_certificate((LOOPBACK, self.webhook.port.number))

    def versions(self) -> list[str]:
        return [self.configuration(path)["metadata"]["resourceVersion"] for path in CONFIGURATIONS]

    def configuration(self, path: str = CONFIGURATIONS[0]) -> Json:
        return self.site.server.api.get(path)

    def is_settled(self) -> bool:
        """Whether the paths have their tokens and the right authority is trusted."""
        entries = [
            each["clientConfig"]
            for path in CONFIGURATIONS
            for each in self.configuration(path)["webhooks"]
        ]
        return bundles(self.site.server) == {self.injector.bundle} and all(
            len(each["url"]) > 100 for each in entries
        )

    def wait(self) -> None:
        def is_settled() -> bool:
            try:
                return self.is_settled()
            except ApiError:
                return False

        wait_until("everything is as it must be", is_settled, timeout_seconds=40)

    def is_left_alone(self) -> bool:
        """Whether nobody writes the configurations for two rounds of the webhook."""
        before = self.versions()
        time.sleep(2 * ROUND_SECONDS + 2)
        return self.versions() == before


@pytest.fixture(scope="module")
def managed(
    run_apiserver: RunApiServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Managed]:
    with run_apiserver() as server:
        install(server.api)
        folder = tmp_path_factory.mktemp("managed")
        settings = {
            "WEIGHTLOCK_TLS_MODE": "files",
            "WEIGHTLOCK_TLS_DIR": str(folder / "tls"),
            "WEIGHTLOCK_INJECT_CA_FROM": CERTIFICATE,
        }
        webhook = Webhook(server, folder, settings=settings)
        injector = Injector(server.api, new_authority(now()))
        tenant, balancer = server.tenant(), Balancer()
        found = Managed(Site(server, tenant, folder, balancer), webhook, injector, folder / "tls")
        thread = threading.Thread(target=injector.run, daemon=True)
        try:
            found.renew()
            webhook.start()
            thread.start()
            webhook.wait()
            found.wait()
            server.api.create(policy_object("strict"))
            for name in ("llama", "fresh"):
                Storage(server.api, tenant.namespace, name).make()
            registered = server.api.create(checkpoint(tenant.namespace, "llama"))
            storage = Storage(server.api, tenant.namespace, "llama")
            verify(server.api, registered, storage, PQ.keyid, PQ.algorithm.name)
            wait_until("verified", lambda: found.site.is_allowed("llama"), timeout_seconds=10)
            yield found
        finally:
            injector.stop()
            thread.join(5)
            webhook.close()
            balancer.close()


def test_a_renewed_certificate_is_served_and_nobody_is_dropped(managed: Managed) -> None:
    before = managed.served()
    failures = managed.webhook.metric("weightlock_certificate_reload_failures_total")
    with stream(managed.site) as pods:
        pair = managed.renew()
        wait_until(
            "the new certificate is served",
            lambda: managed.served() == pair.certificate,
            timeout_seconds=POLL_FILES_SECONDS + 5,
        )
        served_at = pods.good
        wait_until("more pods came", lambda: pods.good > served_at + 40, timeout_seconds=60)
    assert before != pair.certificate
    assert (pods.stored, pods.refused, pods.lost) == ([], [], 0)
    assert managed.webhook.metric("weightlock_certificate_reload_failures_total") == failures
    assert (
        managed.webhook.metric("weightlock_certificate_expiry_timestamp_seconds")
        == pair.not_after.timestamp()
    )
    assert managed.webhook.probe("/readyz") == (200, "ok\n")


def test_a_pair_of_two_halves_is_never_served(managed: Managed) -> None:
    served = managed.served()
    one, other = (server_leaf(managed.injector.authority, NAMES, now()) for _ in range(2))
    managed.count += 1
    mounted(managed.folder, managed.count, Pair(one.certificate, other.key))
    failures = managed.webhook.metric("weightlock_certificate_reload_failures_total")
    wait_until(
        "it is counted",
        lambda: managed.webhook.metric("weightlock_certificate_reload_failures_total") > failures,
        timeout_seconds=POLL_FILES_SECONDS + 5,
    )
    assert managed.served() == served
    assert managed.site.is_allowed("llama")
    pair = managed.renew()
    wait_until(
        "the next one is served",
        lambda: managed.served() == pair.certificate,
        timeout_seconds=POLL_FILES_SECONDS + 5,
    )


def test_the_webhook_and_the_injector_do_not_fight(managed: Managed) -> None:
    managed.wait()
    writes = managed.injector.writes
    assert managed.is_left_alone()
    assert managed.injector.writes == writes


def test_another_bundle_of_the_injector_stays(managed: Managed) -> None:
    """As when an authority is renewed: the leaf follows by the Secret."""
    managed.wait()
    injector = managed.injector
    old = injector.authority
    injector.authority = new_authority(now())
    wait_until(
        "it is written",
        lambda: bundles(managed.site.server) == {injector.bundle},
        timeout_seconds=10,
    )
    pair = managed.renew()
    wait_until(
        "its leaf is served",
        lambda: managed.served() == pair.certificate,
        timeout_seconds=POLL_FILES_SECONDS + 5,
    )
    wait_until("it is trusted", lambda: managed.site.is_allowed("llama"), timeout_seconds=10)
    assert old.certificate != injector.authority.certificate
    assert managed.is_left_alone()


def test_what_is_edited_is_put_right_with_the_bundle_that_it_had(managed: Managed) -> None:
    managed.wait()
    api, injector = managed.site.server.api, managed.injector
    injector.is_slow.set()
    try:
        for path in CONFIGURATIONS:
            found = managed.configuration(path)
            found["webhooks"][0]["failurePolicy"] = "Ignore"
            api.send("PUT", path, found)
        wait_until(
            "it is put right",
            lambda: all(
                managed.configuration(path)["webhooks"][0]["failurePolicy"] != "Ignore"
                for path in CONFIGURATIONS
            ),
            timeout_seconds=20,
        )
        assert bundles(managed.site.server) == {injector.bundle}
        assert managed.site.is_allowed("llama")
    finally:
        injector.is_slow.clear()


def test_what_is_removed_is_put_back_with_its_annotation_and_bundle(managed: Managed) -> None:
    managed.wait()
    api, injector = managed.site.server.api, managed.injector
    injector.is_slow.set()
    try:
        with stream(managed.site) as pods:
            for path in CONFIGURATIONS:
                api.send("DELETE", path)
            wait_until("they are back", lambda: bundles(managed.site.server), timeout_seconds=20)
            time.sleep(2)
        assert bundles(managed.site.server) == {injector.bundle}, "calls do not have to fail"
        assert (pods.refused, pods.lost) == ([], 0)
        for path in CONFIGURATIONS:
            annotations = managed.configuration(path)["metadata"]["annotations"]
            assert annotations[ANNOTATION] == CERTIFICATE
    finally:
        injector.is_slow.clear()


def test_with_no_replica_what_is_removed_comes_back_by_the_annotation(managed: Managed) -> None:
    """A process that never saw the configurations must write what the injector looks for."""
    managed.wait()
    api, webhook = managed.site.server.api, managed.webhook
    assert webhook.stop() == 0
    for path in CONFIGURATIONS:
        api.send("DELETE", path)
    webhook.start()
    webhook.wait()
    managed.wait()
    wait_until("pods are let in", lambda: managed.site.is_allowed("llama"), timeout_seconds=20)
    assert not managed.site.is_allowed("fresh")
