"""A claim that was looked at stays the one that is mounted: the real API server and webhook."""

from __future__ import annotations

import pytest
from tests.support.admitting import is_allowed
from tests.unit.policy.builders import PQ
from tests.webhook_server.real import PROTECTOR, Storage, checkpoint, verify
from tests.webhook_server.site import Site, bind, why_not

from e2e.cluster.api import ApiError
from e2e.cluster.waiting import wait_until

pytestmark = pytest.mark.apiserver

PROTECTION = "kubernetes.io/pvc-protection"


def verified_claim(site: Site, name: str) -> tuple[Storage, str]:
    """A claim with a verdict that the webhook knows of, and where the claim is."""
    storage = Storage(site.admin, site.tenant.namespace, name)
    storage.make()
    found = site.admin.create(checkpoint(site.tenant.namespace, name, name))
    verify(site.admin, found, storage, PQ.keyid, PQ.algorithm.name)
    wait_until(
        "the verdict is known",
        lambda: is_allowed(site.tenant.api, site.pod(f"probe-{name}", name)),
        timeout_seconds=5,
    )
    path = f"/api/v1/namespaces/{site.tenant.namespace}/persistentvolumeclaims/{name}"
    return storage, path


def test_a_claim_that_is_being_deleted_lets_no_pod_in(site: Site) -> None:
    tenant, (storage, path) = site.tenant.api, verified_claim(site, "going")
    early, kept = site.pod("before", "going"), storage.claim()["metadata"]["finalizers"]
    site.stored(early)
    # A finalizer of their own is theirs to add, and to delete a claim is theirs too.
    tenant.send("PATCH", path, {"metadata": {"finalizers": ["team.example/mine", *kept]}})
    tenant.send("DELETE", path)
    assert storage.claim()["metadata"]["deletionTimestamp"]
    assert storage.claim()["status"]["phase"] == "Bound"
    assert "ClaimUnbound" in site.refused(site.pod("late", "going"))
    assert "ClaimUnbound" in site.refused(site.pod("late", "going", nodeName="node-1"))
    with pytest.raises(ApiError, match="ClaimUnbound"):
        bind(site, early)


def test_what_keeps_a_claim_is_not_the_tenants_to_take_away(site: Site) -> None:
    tenant, (storage, path) = site.tenant.api, verified_claim(site, "kept")
    assert storage.claim()["metadata"]["finalizers"] == [PROTECTION]
    own = ["team.example/mine", PROTECTION]
    tenant.send("PATCH", path, {"metadata": {"finalizers": own}})
    whole = storage.claim()
    whole["metadata"]["finalizers"] = []
    for somebody in (tenant, site.admin):
        for body in ({"finalizers": None}, {"finalizers": ["team.example/mine"]}):
            assert "ProtectionRemoved" in why_not(somebody, "PATCH", path, {"metadata": body})
        assert "ProtectionRemoved" in why_not(somebody, "PUT", path, whole)
    assert "ProtectionRemoved" in why_not(site.admin, "PUT", f"{path}/status", whole)
    assert storage.claim()["metadata"]["finalizers"] == own
    # Whatever else they change is theirs, and so is deleting it: it goes when no pod needs it.
    tenant.send("PATCH", path, {"metadata": {"finalizers": [PROTECTION], "labels": {"a": "b"}}})
    tenant.send("DELETE", path)
    assert storage.claim()["metadata"]["deletionTimestamp"]
    site.admin.acting_as(PROTECTOR, "system:masters").send(
        "PATCH", path, {"metadata": {"finalizers": None}}
    )
    with pytest.raises(ApiError) as gone:
        storage.claim()
    assert gone.value.code == 404


def test_a_pod_is_placed_by_a_scheduler(site: Site) -> None:
    message = site.refused(site.pod("placed", nodeName="node-1"))
    assert "NodeNamed" in message
    assert "nodeSelector" in message
    site.stored(site.pod("chosen", nodeSelector={"kubernetes.io/hostname": "node-1"}))
    plain = site.plain("plain-on-its-node")
    plain["spec"]["nodeName"] = "node-1"
    assert site.stored(plain)["spec"]["nodeName"] == "node-1"


def test_claims_of_exempt_namespaces_are_nobodys_business(site: Site) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "own", "namespace": "kube-system"},
        "spec": {"accessModes": ["ReadOnlyMany"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    site.admin.create(claim)
    site.admin.patch(claim, {"metadata": {"finalizers": None}})
    assert "finalizers" not in site.admin.read(claim)["metadata"]
