"""Claims under Kubernetes' own controllers: what the webhook guards, they go on doing.

A real controller manager binds the claims, keeps them while pods use them, and lets them go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from tests.support.protected import put_policy
from tests.unit.policy.builders import PQ
from tests.unit.webhook.objects import pod_spec
from tests.webhook_server.real import SCHEDULER, Storage, checkpoint, running_webhook, verify

from e2e.cluster.api import Api, ApiError, Json
from e2e.cluster.pytest_plugin import RunApiServer
from e2e.cluster.tenants import Tenant
from e2e.cluster.waiting import wait_until

pytestmark = pytest.mark.apiserver

PROTECTION = "kubernetes.io/pvc-protection"
SECONDS = 30.0


@dataclass
class Place:
    """A tenant under a policy that enforces."""

    tenant: Tenant

    @property
    def admin(self) -> Api:
        return self.tenant.admin

    def claim(self, name: str) -> Json:
        """One that the controllers have bound."""
        claim = self.tenant.object("v1", "PersistentVolumeClaim", name)
        volume = f"{self.tenant.namespace}-{name}"
        claim["spec"] = {
            "accessModes": ["ReadOnlyMany"],
            "resources": {"requests": {"storage": "1Gi"}},
            "storageClassName": "models",
            "volumeName": volume,
        }
        self.admin.create(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": volume},
                "spec": {
                    "accessModes": ["ReadOnlyMany"],
                    "capacity": {"storage": "1Gi"},
                    "storageClassName": "models",
                    "csi": {"driver": "disk.example", "volumeHandle": volume},
                },
            }
        )
        self.tenant.api.create(claim)
        self.admin.wait_for(claim, "the claim is bound", phase="Bound")
        return claim

    def running_pod(self, claim: str) -> Json:
        """One that a scheduler has placed."""
        pod = self.tenant.object("v1", "Pod", f"of-{claim}", spec=pod_spec())
        pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] = claim
        wait_until("the pod is let in", lambda: self._is_made(pod), timeout_seconds=SECONDS)
        self.admin.acting_as(SCHEDULER, "system:masters").send(
            "POST",
            f"{self.admin.path(pod)}/binding",
            {
                "apiVersion": "v1",
                "kind": "Binding",
                "metadata": {"name": pod["metadata"]["name"]},
                "target": {"kind": "Node", "name": "node-1"},
            },
        )
        return pod

    def _is_made(self, pod: Json) -> bool:
        try:
            self.tenant.api.create(pod)
        except ApiError:
            return False
        return True

    def is_gone(self, manifest: Json) -> Callable[[], bool]:
        def gone() -> bool:
            try:
                self.admin.read(manifest)
            except ApiError as error:
                return error.code == 404
            return False

        return gone


@pytest.fixture(scope="module")
def place(run_apiserver: RunApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with run_apiserver(controllers=True) as server:
        node: Json = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}}
        server.api.create(node)
        with running_webhook(server, tmp_path_factory.mktemp("webhook")):
            put_policy(server.api)
            yield Place(server.tenant())


def test_a_claim_that_nobody_uses_goes_when_its_owner_deletes_it(place: Place) -> None:
    claim = place.claim("unused")
    place.tenant.api.delete(claim)
    wait_until("the claim is gone", place.is_gone(claim), timeout_seconds=SECONDS)


def test_a_claim_stays_in_its_place_until_its_pod_has_gone(place: Place) -> None:
    claim = place.claim("used")
    made = place.admin.create(checkpoint(place.tenant.namespace, "used", "used"))
    storage = Storage(place.admin, place.tenant.namespace, "used")
    verify(place.admin, made, storage, PQ.keyid, PQ.algorithm.name)
    pod = place.running_pod("used")
    uid = place.admin.read(claim)["metadata"]["uid"]
    own: Json = {"metadata": {"finalizers": ["team.example/mine", PROTECTION]}}
    place.tenant.api.patch(claim, own)
    place.tenant.api.delete(claim)
    for finalizers in (None, [], ["team.example/mine"]):
        with pytest.raises(ApiError, match="ProtectionRemoved"):
            place.tenant.api.patch(claim, {"metadata": {"finalizers": finalizers}})
    place.tenant.api.patch(claim, {"metadata": {"finalizers": [PROTECTION]}})
    with pytest.raises(ApiError, match=r"already exists|being deleted"):
        place.tenant.api.create(claim)
    live = place.admin.read(claim)["metadata"]
    assert (live["uid"], live["finalizers"]) == (uid, [PROTECTION])
    place.tenant.api.delete(pod)
    wait_until("the claim is gone", place.is_gone(claim), timeout_seconds=SECONDS)


def test_a_namespace_goes_with_all_that_is_in_it(place: Place) -> None:
    """The last test: it takes the tenant's."""
    claim = place.claim("left")
    namespace: Json = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": place.tenant.namespace},
    }
    place.admin.delete(namespace)
    wait_until("the claim is gone", place.is_gone(claim), timeout_seconds=SECONDS)
    wait_until("the namespace is gone", place.is_gone(namespace), timeout_seconds=SECONDS)
