"""The real API server asks the real process, by the configuration as shipped (but for the address).

Every refusal is asserted by a 404 on GET, every allowance by reading the stored object back, and
every refusal has its twin: the same object, compliant.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest
from tests.unit.policy.builders import PQ, policy_object
from tests.webhook_server.real import (
    JOB_CONTROLLER,
    OPERATOR,
    PROTECTOR,
    SCHEDULER,
    Storage,
    Webhook,
    checkpoint,
    lines_of,
    running_webhook,
    verify,
)

from e2e.cluster.api import Api, ApiError, Json
from e2e.cluster.apiserver import ApiServer
from e2e.cluster.pytest_plugin import RunApiServer
from e2e.cluster.tenants import Tenant
from e2e.cluster.waiting import wait_until

pytestmark = pytest.mark.apiserver


@dataclass
class Site:
    """An API server, a webhook, and a tenant with two claims: `llama` is verified, `fresh` not."""

    server: ApiServer
    webhook: Webhook
    tenant: Tenant

    @property
    def admin(self) -> Api:
        return self.server.api

    def pod(
        self, name: str, claim: str = "llama", *, read_only: bool = True, **spec: object
    ) -> Json:
        volume = {
            "name": "model",
            "persistentVolumeClaim": {"claimName": claim, "readOnly": read_only},
        }
        mount = {"name": "model", "mountPath": "/models", "readOnly": read_only}
        container = {"name": "main", "image": "trainer", "volumeMounts": [mount]}
        return self.tenant.object(
            "v1", "Pod", name, spec={"volumes": [volume], "containers": [container], **spec}
        )

    def plain(self, name: str, **metadata: object) -> Json:
        found = self.tenant.object(
            "v1", "Pod", name, spec={"containers": [{"name": "main", "image": "trainer"}]}
        )
        found["metadata"].update(metadata)
        return found

    def refused(self, manifest: Json, *, by: Api | None = None, code: int = 403) -> str:
        with pytest.raises(ApiError) as refusal:
            (by or self.tenant.api).create(manifest)
        assert refusal.value.code == code, refusal.value.message
        with pytest.raises(ApiError) as missing:
            self.admin.read(manifest)
        assert missing.value.code == 404
        return refusal.value.message

    def stored(self, manifest: Json, *, by: Api | None = None) -> Json:
        (by or self.tenant.api).create(manifest)
        return self.admin.read(manifest)


@pytest.fixture(scope="module")
def site(run_apiserver: RunApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with run_apiserver() as server:
        folder = tmp_path_factory.mktemp("webhook")
        with running_webhook(server, folder) as webhook:
            tenant = server.tenant()
            api = server.api
            api.create(policy_object("strict"))
            for name in ("llama", "fresh"):
                Storage(api, tenant.namespace, name).make()
            found = api.create(checkpoint(tenant.namespace, "llama"))
            verify(api, found, Storage(api, tenant.namespace, "llama"), PQ.keyid, PQ.algorithm.name)
            site = Site(server, webhook, tenant)
            wait_until(
                "a compliant pod is let in",
                lambda: is_allowed(tenant.api, site.pod("probe")),
                timeout_seconds=10,
            )
            yield site


def is_allowed(api: Api, manifest: Json) -> bool:
    with suppress(ApiError):
        api.create(manifest, dry_run=True)
        return True
    return False


def test_a_compliant_pod_is_stored_and_an_unverified_one_is_not(site: Site) -> None:
    assert site.stored(site.pod("good"))["spec"]["volumes"][0]["name"] == "model"
    message = site.refused(site.pod("bad", "fresh"))
    assert 'admission webhook "pods.weightlock.dev" denied the request' in message
    assert "fresh" in message or "model" in message


def test_a_pod_without_storage_is_nobodys_business(site: Site) -> None:
    site.stored(site.plain("plain"))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"hostPID": True}, id="host processes"),
        pytest.param({"shareProcessNamespace": True}, id="shared processes"),
        pytest.param({"runtimeClassName": "other"}, id="runtime class"),
    ],
)
def test_what_could_break_the_view_is_refused(site: Site, change: Json) -> None:
    with pytest.raises(ApiError):
        site.tenant.api.create(site.pod("broken", **change))
    site.stored(site.pod(f"twin-{next(iter(change)).lower()}"))


def test_a_writable_mount_is_refused(site: Site) -> None:
    assert "WritableMount" in site.refused(site.pod("writer", read_only=False))


def test_dry_run_has_the_same_verdict_and_leaves_nothing(site: Site) -> None:
    events = f"/api/v1/namespaces/{site.tenant.namespace}/events"
    before = len(site.admin.get(events)["items"])
    with pytest.raises(ApiError, match=r"denied the request"):
        site.tenant.api.create(site.pod("dry", "fresh"), dry_run=True)
    site.tenant.api.create(site.pod("dry"), dry_run=True)
    with pytest.raises(ApiError) as missing:
        site.admin.read(site.pod("dry"))
    assert missing.value.code == 404
    assert len(site.admin.get(events)["items"]) <= before + 1  # an earlier refusal may still post


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param({"labels": {"weightlock.dev/skip": "true"}}, id="a label that skips"),
        pytest.param({"labels": {"weightlock.dev/held": "true"}}, id="our own label"),
        pytest.param(
            {
                "labels": {
                    "weightlock.dev/verification": "n",
                    "weightlock.dev/checkpoint-uid": "u",
                }
            },
            id="a verification's labels",
        ),
        pytest.param({"annotations": {"weightlock.dev/allow": "yes"}}, id="an annotation"),
    ],
)
def test_a_new_pod_cannot_carry_our_keys(site: Site, metadata: Json) -> None:
    site.refused(site.plain("carrier", **metadata))


def test_nor_can_an_update_add_them(site: Site) -> None:
    pod = site.plain("updated")
    site.stored(pod)
    for change in (
        {"metadata": {"labels": {"weightlock.dev/held": "true"}}},
        {"metadata": {"annotations": {"weightlock.dev/nudged-at": "now"}}},
        {"metadata": {"labels": {"weightlock.dev/verification": "n"}}},
    ):
        with pytest.raises(ApiError, match=r"ReservedKey|ProtectedObject"):
            site.tenant.api.patch(pod, change)
    assert "labels" not in site.admin.read(pod)["metadata"]
    site.tenant.api.patch(pod, {"metadata": {"labels": {"team": "a"}}})
    assert site.admin.read(pod)["metadata"]["labels"] == {"team": "a"}


def test_a_pod_may_be_updated_though_its_verdict_would_not_stand_anew(site: Site) -> None:
    pod = site.pod("running")
    site.stored(pod)
    site.tenant.api.patch(pod, {"metadata": {"labels": {"team": "a"}}})


# --- verification Jobs and their pods ---------------------------------------------------------


def job(site: Site, name: str, **labels: str) -> Json:
    marks = {"weightlock.dev/verification": "n1", "weightlock.dev/checkpoint-uid": "c1"} | labels
    template = {
        "metadata": {"labels": marks},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "containers": [{"name": "verifier", "image": "verifier@sha256:" + "a" * 64}],
            "volumes": [
                {
                    "name": "checkpoint",
                    "persistentVolumeClaim": {"claimName": "fresh", "readOnly": True},
                }
            ],
        },
    }
    owner = {
        "apiVersion": "weightlock.dev/v1beta1",
        "kind": "ModelCheckpoint",
        "name": "llama",
        "uid": "c1",
        "controller": True,
    }
    found = site.tenant.object("batch/v1", "Job", name, spec={"template": template})
    found["metadata"].update(labels=marks, ownerReferences=[owner])
    return found


def pod_of(job: Json, name: str) -> Json:
    owner = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": job["metadata"]["name"],
        "uid": job["metadata"]["uid"],
        "controller": True,
    }
    template = copy.deepcopy(job["spec"]["template"])
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": job["metadata"]["namespace"],
            "labels": template["metadata"]["labels"],
            "ownerReferences": [owner],
        },
        "spec": template["spec"],
    }


def test_only_the_operator_makes_verification_jobs(site: Site) -> None:
    operator = site.admin.acting_as(OPERATOR)
    assert "NotTheOperator" in site.refused(job(site, "squat"))
    site.stored(job(site, "verify-1"), by=operator)
    plain = site.tenant.object(
        "batch/v1",
        "Job",
        "plain",
        spec={
            "template": {
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [{"name": "main", "image": "any"}],
                }
            }
        },
    )
    site.stored(plain)
    with pytest.raises(ApiError, match="ProtectedObject"):
        site.tenant.api.patch(plain, {"metadata": {"labels": {"weightlock.dev/verification": "n"}}})


def test_nobody_else_touches_one(site: Site) -> None:
    operator = site.admin.acting_as(OPERATOR)
    one = job(site, "verify-2")
    site.stored(one, by=operator)
    tenant = site.tenant.api
    attempts: list[Callable[[], Json]] = [
        lambda: tenant.patch(one, {"spec": {"parallelism": 0}}),
        lambda: tenant.patch(one, {"metadata": {"labels": {"weightlock.dev/verification": None}}}),
        lambda: tenant.patch(one, {"metadata": {"labels": {"a": "b"}}}),
        lambda: tenant.delete(one),
        lambda: site.admin.patch(one, {"status": {"succeeded": 1}}, subresource="/status"),
    ]
    for attempt in attempts:
        with pytest.raises(ApiError, match="ProtectedObject"):
            attempt()
    assert site.admin.read(one)["metadata"]["labels"]["weightlock.dev/verification"] == "n1"
    site.admin.acting_as(JOB_CONTROLLER).patch(
        one, {"status": {"active": 1}}, subresource="/status"
    )
    operator.delete(one)


def test_a_verification_pod_is_let_in_only_with_the_whole_proof(site: Site) -> None:
    operator, controller = site.admin.acting_as(OPERATOR), site.admin.acting_as(JOB_CONTROLLER)
    live = site.stored(job(site, "verify-3"), by=operator)
    forged = pod_of(live, "forged")
    assert "NotAVerification" in site.refused(forged)
    assert "NotAVerification" in site.refused(forged, by=operator)
    edited = pod_of(live, "edited")
    edited["spec"]["containers"][0]["image"] = "other"
    assert "containers" in site.refused(edited, by=controller)
    more = pod_of(live, "more")
    more["spec"]["volumes"].append({"name": "host", "hostPath": {"path": "/"}})
    assert "volumes" in site.refused(more, by=controller)
    stranger = pod_of({**live, "metadata": {**live["metadata"], "uid": "other"}}, "stranger")
    assert "Job was not found" in site.refused(stranger, by=controller)
    site.stored(pod_of(live, "verify-3-a"), by=controller)


def test_nobody_enters_or_changes_a_verification_pod(site: Site) -> None:
    operator, controller = site.admin.acting_as(OPERATOR), site.admin.acting_as(JOB_CONTROLLER)
    live = site.stored(job(site, "verify-4"), by=operator)
    pod = pod_of(live, "verify-4-a")
    site.stored(pod, by=controller)
    path = site.admin.path(pod)
    (container,) = site.admin.read(pod)["spec"]["containers"]
    other = {"spec": {"containers": [{**container, "image": "other"}]}}
    attempts: list[Callable[[Api], Json]] = [
        lambda api: api.send("GET", f"{path}/exec?command=sh"),
        lambda api: api.send("POST", f"{path}/exec?command=sh"),
        lambda api: api.send("POST", f"{path}/attach"),
        lambda api: api.send("POST", f"{path}/portforward"),
        lambda api: api.patch(pod, {"metadata": {"labels": {"a": "b"}}}),
        lambda api: api.patch(pod, other),
        lambda api: api.delete(pod),
    ]
    for api in (site.tenant.api, site.admin):
        for attempt in attempts:
            with pytest.raises(ApiError, match=r"ProtectedObject"):
                attempt(api)
    with pytest.raises(ApiError, match=r"ProtectedObject"):
        site.admin.patch(pod, {"status": {"phase": "Succeeded"}}, subresource="/status")
    site.admin.send(
        "POST",
        f"{path}/binding",
        {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": "verify-4-a"},
            "target": {"kind": "Node", "name": "node-1"},
        },
    )
    controller.delete(pod)


def test_an_ordinary_pod_may_be_entered(site: Site) -> None:
    pod = site.plain("entered")
    site.stored(pod)
    with pytest.raises(ApiError) as refusal:
        site.tenant.api.send("POST", f"{site.admin.path(pod)}/exec?command=sh")
    # It is on no node, so it cannot be entered, but not because of us.
    assert "weightlock" not in refusal.value.message


# --- binding ----------------------------------------------------------------------------------


def bind(site: Site, pod: Json, node: str = "node-1", **metadata: object) -> None:
    name = pod["metadata"]["name"]
    site.admin.acting_as(SCHEDULER).send(
        "POST",
        f"{site.admin.path(pod)}/binding",
        {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name, **metadata},
            "target": {"kind": "Node", "name": node},
        },
    )


def test_a_claim_that_was_made_again_is_refused_at_binding_and_at_creation(site: Site) -> None:
    admin, namespace = site.admin, site.tenant.namespace
    storage = Storage(admin, namespace, "swapped")
    storage.make()
    found = admin.create(checkpoint(namespace, "swapped", "swapped"))
    verify(admin, found, storage, PQ.keyid, PQ.algorithm.name)
    early = site.pod("early", "swapped")
    wait_until(
        "the verdict is known",
        lambda: is_allowed(site.tenant.api, early),
        timeout_seconds=5,
    )
    site.stored(early)
    later = site.pod("later", "swapped")
    storage.remove()
    storage.make()
    # At once: whatever the cache still believes (A28).
    site.refused(later)
    with pytest.raises(ApiError, match="denied the request"):
        bind(site, early)
    assert "nodeName" not in admin.read(early)["spec"]


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


def why_not(api: Api, method: str, path: str, body: Json | None = None) -> str:
    """Why it was refused; empty if it was not."""
    try:
        api.send(method, path, body)
    except ApiError as error:
        return error.message
    return ""


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


def test_a_compliant_pod_is_bound_and_no_annotation_of_ours_with_it(site: Site) -> None:
    pod = site.pod("bound")
    site.stored(pod)
    with pytest.raises(ApiError, match="ReservedKey"):
        bind(site, pod, annotations={"weightlock.dev/waits-for": "[]"})
    bind(site, pod)
    assert site.admin.read(pod)["spec"]["nodeName"] == "node-1"


def test_the_old_way_to_bind_is_guarded_too(site: Site) -> None:
    pod = site.pod("old-way")
    site.stored(pod)
    bindings = f"/api/v1/namespaces/{site.tenant.namespace}/bindings"
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": "old-way", "annotations": {"weightlock.dev/waits-for": "[]"}},
        "target": {"kind": "Node", "name": "node-1"},
    }
    with pytest.raises(ApiError, match="ReservedKey"):
        site.admin.send("POST", bindings, binding)


# --- our kinds --------------------------------------------------------------------------------


def test_policies_are_read_as_the_operator_reads_them(site: Site) -> None:
    empty = policy_object("empty")
    empty["spec"]["signatures"]["authorities"][0]["publicKey"] = "no key"  # type: ignore[index]
    message = site.refused(empty, by=site.admin, code=422)
    assert "spec.signatures.authorities" in message
    site.stored(policy_object("narrow", site.tenant.namespace), by=site.admin)


def test_a_status_is_the_operators_alone(site: Site) -> None:
    namespace = site.tenant.namespace
    forged = site.admin.create(checkpoint(namespace, "fresh", "forged"))
    status = {"phase": "Verified", "observedGeneration": 1}
    with pytest.raises(ApiError, match="NotTheOperator"):
        site.admin.replace_status({**forged, "status": status})
    assert "status" not in site.admin.read(forged)
    site.admin.acting_as(OPERATOR).replace_status(
        {**forged, "status": {"phase": "Pending", "observedGeneration": 1}}
    )
    assert site.admin.read(forged)["status"]["phase"] == "Pending"


@pytest.mark.parametrize(
    ("metadata", "word"),
    [
        pytest.param(
            {"annotations": {"kopf.zalando.org/last-handled-configuration": "{}"}},
            "ReservedKey",
            id="kopf's memory",
        ),
        pytest.param(
            {"annotations": {"operator.weightlock.dev/x": "{}"}}, "ReservedKey", id="the operator's"
        ),
        pytest.param(
            {"finalizers": ["operator.weightlock.dev/finalizer"]}, "ReservedKey", id="a finalizer"
        ),
        pytest.param(
            {
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "ConfigMap", "name": "none", "uid": "gone"}
                ]
            },
            "ForeignOwner",
            id="an owner that is gone",
        ),
    ],
)
def test_a_checkpoint_brings_no_notes_and_no_owner(site: Site, metadata: Json, word: str) -> None:
    found = checkpoint(site.tenant.namespace, "fresh", "noted")
    found["metadata"].update(metadata)
    assert word in site.refused(found, by=site.admin)


# --- namespaces -------------------------------------------------------------------------------


def test_a_namespace_cannot_call_itself_exempt(site: Site) -> None:
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "sly", "labels": {"kubernetes.io/metadata.name": "kube-system"}},
    }
    assert "NamespaceName" in site.refused(namespace, by=site.admin)
    editor = site.admin.acting_as("namespace-editor")
    rule = {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["*"]}
    group = "rbac.authorization.k8s.io"
    site.admin.create(
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "ns"},
            "rules": [rule],
        }
    )
    site.admin.create(
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "ns"},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "ns"},
            "subjects": [{"apiGroup": group, "kind": "User", "name": "namespace-editor"}],
        }
    )
    labelled = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "labelled", "labels": {"weightlock.dev/tier": "low"}},
    }
    assert "ReservedKey" in site.refused(labelled, by=editor)
    plain = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "unlabelled"}}
    site.stored(plain, by=editor)
    site.stored(labelled, by=site.admin)


SUBS = ("status", "finalize")


def test_labels_of_ours_change_by_no_subresource_either(site: Site) -> None:
    name = f"{site.tenant.namespace}-labels"
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    site.admin.create(namespace)
    rule = {"apiGroups": [""], "resources": [f"namespaces/{sub}" for sub in SUBS], "verbs": ["*"]}
    group = "rbac.authorization.k8s.io"
    for made in (
        {"kind": "ClusterRole", "rules": [rule]},
        {
            "kind": "ClusterRoleBinding",
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "statuses"},
            "subjects": [{"apiGroup": group, "kind": "User", "name": "status-writer"}],
        },
    ):
        site.admin.create({"apiVersion": f"{group}/v1", "metadata": {"name": "statuses"}, **made})
    writer, path = site.admin.acting_as("status-writer"), f"/api/v1/namespaces/{name}"
    for sub in SUBS:
        whole = site.admin.read(namespace)
        kept = {k: v for k, v in whole["metadata"].get("labels", {}).items() if k != "team"}
        whole["metadata"]["labels"] = {**kept, "weightlock.dev/tier": "low"}
        assert "ReservedKey" in why_not(writer, "PUT", f"{path}/{sub}", whole)
        whole["metadata"]["labels"] = {**kept, "team": sub}
        assert why_not(writer, "PUT", f"{path}/{sub}", whole) == ""
        assert site.admin.read(namespace)["metadata"]["labels"] == {**kept, "team": sub}


def test_exempt_namespaces_work_by_name(site: Site) -> None:
    pod = site.pod("system")
    pod["metadata"]["namespace"] = "kube-system"
    pod["spec"]["volumes"] = [{"name": "model", "hostPath": {"path": "/"}}]
    site.stored(pod, by=site.admin)


# --- workloads --------------------------------------------------------------------------------


def warnings(site: Site) -> list[Json]:
    found = (line.get("admission", {}) for line in lines_of(site.webhook.log))
    return [each for each in found if each.get("reason") == "TemplateWarned"]


def test_a_workload_is_warned_about_and_stored(site: Site) -> None:
    template = {"metadata": {"labels": {"app": "t"}}, "spec": site.pod("t", "fresh")["spec"]}
    deployment = site.tenant.object(
        "apps/v1",
        "Deployment",
        "trainer",
        spec={"selector": {"matchLabels": {"app": "t"}}, "template": template},
    )
    site.stored(deployment)
    warned = wait_until("the warning is written", lambda: warnings(site), timeout_seconds=5)
    assert "spec.template" in str(warned[0]["warnings"])


# --- the webhook itself -----------------------------------------------------------------------

HARMLESS = {
    "pods/eviction": "the Job makes another pod, and only a report of a pod that ended counts;"
    " nodes must be drained",
    "pods/log": "reading it changes nothing, and no admission is asked about reads",
    "pods/proxy": "speaks HTTP to a port of the pod; verification pods open none",
}


def test_every_subresource_of_what_is_guarded_is_covered_or_known_to_be_harmless(
    site: Site,
) -> None:
    path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/weightlock"
    covered = {
        (group, version, resource)
        for webhook in site.admin.get(path)["webhooks"]
        for rule in webhook["rules"]
        for group in rule["apiGroups"]
        for version in rule["apiVersions"]
        for resource in rule["resources"]
        if version != "*"  # workloads, which are only warned about
    }
    unknown = set()
    for group, version in {each[:2] for each in covered}:
        root = f"/apis/{group}/{version}" if group else f"/api/{version}"
        guarded = {name.split("/")[0] for *at, name in covered if at == [group, version]}
        served = {each["name"] for each in site.admin.get(root)["resources"]}
        assert guarded <= served
        unknown |= {
            name
            for name in served
            if name.split("/")[0] in guarded
            and (group, version, name) not in covered
            and name not in HARMLESS
        }
    assert not unknown, f"write a rule for {unknown}, or say why they are harmless"


def test_it_is_armed_and_its_metrics_are_bounded(site: Site) -> None:
    wait_until(
        "it is armed",
        lambda: site.webhook.metric("weightlock_admission_armed") == 1,
        timeout_seconds=10,
    )
    text = site.webhook.probe("/metrics")[1]
    assert "weightlock_admission_requests_total{" in text
    assert re.search(r'weightlock_cache_objects\{resource="modelcheckpoints"\} \d', text)
    assert site.tenant.namespace not in text
    assert site.webhook.metric("weightlock_certificate_expiry_timestamp_seconds") > 0


def decisions(webhook: Webhook, name: str) -> list[Json]:
    found = (line.get("admission", {}) for line in lines_of(webhook.log))
    return [each for each in found if each.get("name") == name]


def test_the_log_says_each_decision_once_and_escapes_names(site: Site) -> None:
    site.refused(site.pod("logged", "fresh"))
    found = wait_until(
        "the decision is written", lambda: decisions(site.webhook, "logged"), timeout_seconds=5
    )
    assert len(found) == 1
    assert found[0]["decision"] == "Deny"
    assert "ClusterModelPolicy strict" in found[0]["policy"]


def test_a_configuration_that_is_edited_or_removed_comes_back(site: Site) -> None:
    root = "/apis/admissionregistration.k8s.io/v1"
    validating = f"{root}/validatingwebhookconfigurations/weightlock"
    mutating = f"{root}/mutatingwebhookconfigurations/weightlock"
    live = site.admin.get(validating)
    live["webhooks"][0]["failurePolicy"] = "Ignore"
    site.admin.send("PUT", validating, live)
    site.admin.send("DELETE", mutating)

    def is_back() -> bool:
        with suppress(ApiError):
            policy = site.admin.get(validating)["webhooks"][0]["failurePolicy"]
            return bool(policy == "Fail" and site.admin.get(mutating)["webhooks"])
        return False

    wait_until("both are as shipped", is_back, timeout_seconds=20)
    wait_until(
        "a violating pod is refused again",
        lambda: not is_allowed(site.tenant.api, site.pod("after", "fresh")),
        timeout_seconds=10,
    )
    site.stored(site.pod("after-twin"))
