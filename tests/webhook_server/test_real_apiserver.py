"""The real API server asks the real process, by the configuration as shipped (but for the address).

Every refusal is asserted by a 404 on GET, every allowance by reading the stored object back, and
every refusal has its twin: the same object, compliant.
"""

from __future__ import annotations

import copy
import http.client
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from tests.unit.policy.builders import PQ, policy_object
from tests.webhook_server.real import (
    JOB_CONTROLLER,
    OPERATOR,
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
from e2e.cluster.ports import LOOPBACK
from e2e.cluster.pytest_plugin import RunApiServer
from e2e.cluster.tenants import Tenant
from e2e.cluster.waiting import wait_until
from weightlock_webhook.arming.tokens import token_of

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


# --- strangers ---------------------------------------------------------------------------------

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


# --- the webhook itself -----------------------------------------------------------------------

HARMLESS = {
    "eviction": "the Job makes another pod, and only a report of a pod that ended counts; nodes"
    " must be drained",
    "log": "reading it changes nothing, and no admission is asked about reads",
    "proxy": "speaks HTTP to a port of the pod; verification pods open none",
}


def test_every_subresource_of_pods_is_covered_or_known_to_be_harmless(site: Site) -> None:
    resources = site.admin.get("/api/v1")["resources"]
    found = {each["name"] for each in resources if each["name"].startswith("pods/")}
    path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/weightlock"
    covered = {
        resource
        for webhook in site.admin.get(path)["webhooks"]
        for rule in webhook["rules"]
        for resource in rule["resources"]
    }
    unknown = found - covered - {f"pods/{name}" for name in HARMLESS}
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
