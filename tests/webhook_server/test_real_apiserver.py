"""The real API server asks the real process, by the configuration as shipped (but for the address).

Every refusal is asserted by a 404 on GET, every allowance by reading the stored object back, and
every refusal has its twin: the same object, compliant.
"""

from __future__ import annotations

import pytest
from tests.support.admitting import is_allowed, why_refused
from tests.unit.policy.builders import PQ, policy_object
from tests.webhook_server.real import (
    OPERATOR,
    Storage,
    checkpoint,
    lines_of,
    verify,
)
from tests.webhook_server.site import Site, bind, why_not

from e2e.cluster.api import ApiError, Json
from e2e.cluster.waiting import wait_until

pytestmark = pytest.mark.apiserver


def test_a_compliant_pod_is_stored_and_an_unverified_one_is_not(site: Site) -> None:
    assert site.stored(site.pod("good"))["spec"]["volumes"][0]["name"] == "model"
    message = site.refused(site.pod("bad", "fresh"))
    assert 'admission webhook "pods.weightlock.dev" denied the request' in message
    assert "fresh" in message or "model" in message


def test_a_pod_without_storage_is_nobodys_business(site: Site) -> None:
    site.stored(site.plain("plain"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param({"hostPID": True}, "HostNamespaces", id="host processes"),
        pytest.param({"shareProcessNamespace": True}, "SharedProcesses", id="shared processes"),
        pytest.param({"runtimeClassName": "other"}, "RuntimeClass", id="runtime class"),
    ],
)
def test_what_could_break_the_view_is_refused(site: Site, change: Json, reason: str) -> None:
    if "runtimeClassName" in change:
        # Without one of that name the API server refuses the pod before anybody is asked.
        found = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "handler": "other"}
        site.admin.create({**found, "metadata": {"name": "other"}})
    assert reason in site.refused(site.pod("broken", **change))
    site.stored(site.pod(f"twin-{next(iter(change)).lower()}"))


def test_a_writable_mount_is_refused(site: Site) -> None:
    assert "WritableMount" in site.refused(site.pod("writer", read_only=False))


def test_dry_run_has_the_same_verdict_and_leaves_nothing(site: Site) -> None:
    """Events are posted in the order in which they were asked for, so one after it proves it."""
    path = f"/api/v1/namespaces/{site.tenant.namespace}/events"
    for claim in ("dry", "wet"):
        Storage(site.admin, site.tenant.namespace, claim).make()

    def asked_for() -> set[str]:
        return {each["involvedObject"]["name"] for each in site.admin.get(path)["items"]}

    for claim, dry_run in (("dry", True), ("wet", False)):
        pod = site.pod("dry", claim)
        # The watch brings the claim a moment later.
        wait_until(
            "it is known",
            lambda: "NoCheckpoint" in why_refused(site.tenant.api, pod),  # noqa: B023
            timeout_seconds=5,
        )
        with pytest.raises(ApiError, match="NoCheckpoint"):
            site.tenant.api.create(pod, dry_run=dry_run)
    wait_until("the second asked", lambda: "wet" in asked_for(), timeout_seconds=10)
    assert "dry" not in asked_for()
    site.tenant.api.create(site.pod("dry"), dry_run=True)
    with pytest.raises(ApiError) as missing:
        site.admin.read(site.pod("dry"))
    assert missing.value.code == 404


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
    refusal = site.refused(site.plain("carrier", **metadata))
    assert "ReservedKey" in refusal or "NotAVerification" in refusal


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
    admin, namespace = site.admin, site.tenant.namespace
    storage = Storage(admin, namespace, "ageing")
    storage.make()
    made = admin.create(checkpoint(namespace, "ageing", "ageing"))
    verify(admin, made, storage, PQ.keyid, PQ.algorithm.name)
    pod = site.pod("running", "ageing")
    wait_until("it is verified", lambda: is_allowed(site.tenant.api, pod), timeout_seconds=5)
    site.stored(pod)
    admin.delete(made)
    site.refused(site.pod("too-late", "ageing"))
    site.tenant.api.patch(pod, {"metadata": {"labels": {"team": "a"}}})
    assert admin.read(pod)["metadata"]["labels"] == {"team": "a"}


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
