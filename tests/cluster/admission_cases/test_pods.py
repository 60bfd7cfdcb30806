"""How a tenant gets round admission by pods that are injected, exempt or odd: not at all.

The numbers are those of the threat model. Each refusal has its compliant twin: the same pod with
what is wrong put right is stored.
"""

from __future__ import annotations

import base64
import copy
from typing import Any

import pytest
from tests.cluster.admission import Case, new_case, patch
from tests.cluster.admission_cases.shared import (
    APPLY,
    IMAGE,
    JSON_PATCH,
    MERGE_PATCH,
    STRATEGIC_PATCH,
    WRITABLE,
)
from tests.support.admitting import is_allowed
from tests.support.protected import (
    bind,
    put_policy,
)
from tests.unit.webhook.objects import claim_volume, container, mount, pod_spec, volume
from tests.webhook_server.real import Webhook

from e2e.cluster.api import ApiError, Json
from e2e.cluster.apiserver import ApiServer
from e2e.cluster.waiting import wait_until
from weightlock.names import API_VERSION

OWNER = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "name": "verify",
    "uid": "u",
    "controller": True,
}


VERIFICATION = {"weightlock.dev/verification": "n"}


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        pytest.param({"labels": VERIFICATION}, "NotAVerification", id="label"),
        pytest.param(
            {"labels": {"weightlock.dev/checkpoint-uid": "u"}}, "NotAVerification", id="other label"
        ),
        pytest.param(
            {"labels": VERIFICATION, "ownerReferences": [OWNER]}, "NotAVerification", id="owner"
        ),
        pytest.param({"ownerReferences": [OWNER]}, "NoCheckpoint", id="owner alone"),
        pytest.param(
            {"annotations": {"kubernetes.io/config.mirror": "x"}}, "NoCheckpoint", id="mirror"
        ),
    ],
)
def test_a15_a_pod_that_pretends_to_be_ours_is_refused(
    verified: Case, metadata: Json, reason: str
) -> None:
    spec = pod_spec(claim_volume(claim="fresh"), nodeName="n1")
    verified.refused(verified.pod(spec, **metadata), reason)
    if reason == "NoCheckpoint":
        empty = pod_spec(volumes=[], containers=[container()], nodeName="n1")
        verified.stored(verified.pod(empty, **metadata))


@pytest.fixture(scope="module")
def injecting(server: ApiServer, webhook: Webhook) -> Case:
    """A tenant whose pods verify for themselves."""
    case = new_case(server, webhook, onUnverified="Inject")
    bind(case.tenant)
    return case


def injected(case: Case, **spec: Any) -> Json:
    manifest = case.pod(pod_spec(**spec))
    case.becomes_stored(manifest)
    return manifest


def test_a16_an_unverified_pod_gets_a_container_that_verifies_first(injecting: Case) -> None:
    manifest = injected(injecting, initContainers=[container(mount(), name="mine")])
    first, second = injecting.admin.read(manifest)["spec"]["initContainers"]
    assert first["image"] == IMAGE
    assert first["command"][:4] == ["weightlock", "report", "/checkpoint", "--gate"]
    assert first["volumeMounts"] == [
        {"name": "model", "mountPath": "/checkpoint", "readOnly": True}
    ]
    assert second["name"] == "mine"


def test_a16_a_container_that_only_looks_like_ours_is_replaced(injecting: Case) -> None:
    forged = container(mount(), name="weightlock-verify-0", command=["true"])
    manifest = injected(injecting, initContainers=[forged])
    (only,) = injecting.admin.read(manifest)["spec"]["initContainers"]
    assert only["image"] == IMAGE


FORGED_IMAGE = {"name": "weightlock-verify-0", "image": "busybox"}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        pytest.param(
            JSON_PATCH,
            [{"op": "replace", "path": "/spec/initContainers/0/image", "value": "busybox"}],
            id="JSON patch",
        ),
        pytest.param(
            STRATEGIC_PATCH, {"spec": {"initContainers": [FORGED_IMAGE]}}, id="strategic merge"
        ),
        pytest.param(
            APPLY,
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "spec": {"initContainers": [FORGED_IMAGE]},
            },
            id="server-side apply",
        ),
    ],
)
def test_a16_nobody_changes_the_image_later(injecting: Case, kind: str, body: Any) -> None:
    manifest = injected(injecting)
    if isinstance(body, dict) and "kind" in body:
        body = {**body, "metadata": {"name": manifest["metadata"]["name"]}}
    injecting.refused_patch(manifest, body, kind)


def test_a16_a_merge_patch_of_the_list_changes_nothing_either(injecting: Case) -> None:
    manifest = injected(injecting)
    live = injecting.admin.read(manifest)["spec"]["initContainers"]
    forged = [{**copy.deepcopy(live[0]), "image": "busybox"}]
    injecting.refused_patch(manifest, {"spec": {"initContainers": forged}}, MERGE_PATCH)


def test_a16_other_changes_stay_possible(injecting: Case) -> None:
    manifest = injected(injecting)
    patch(injecting.tenant.api, manifest, {"metadata": {"labels": {"a": "b"}}}, MERGE_PATCH)
    assert injecting.admin.read(manifest)["metadata"]["labels"]["a"] == "b"


@pytest.mark.parametrize("way", ["exec?command=sh&", "attach?"])
def test_a16_nobody_enters_the_container_and_other_ones_stay_open(
    injecting: Case, way: str
) -> None:
    manifest = injected(injecting, initContainers=[container(mount(), name="mine")])
    path = f"{injecting.admin.path(manifest)}/{way}container="
    for method in ("GET", "POST"):
        with pytest.raises(ApiError, match="ProtectedObject") as refusal:
            injecting.tenant.api.send(method, f"{path}weightlock-verify-0")
        assert refusal.value.code == 403
        # It is on no node, so it cannot be entered, but not because of us.
        with pytest.raises(ApiError) as other:
            injecting.tenant.api.send(method, f"{path}mine")
        assert "weightlock" not in other.value.message


def test_a16_a_later_mutator_that_takes_the_first_place_gets_the_pod_refused(
    injecting: Case,
) -> None:
    """What such a mutator would store is what a tenant sends who knows our container by heart."""
    manifest = injected(injecting)
    ours = injecting.admin.read(manifest)["spec"]["initContainers"][0]
    again = injecting.pod(pod_spec(initContainers=[container(name="before"), ours]))
    stored = injecting.stored(again)["spec"]["initContainers"]
    assert [each["name"] for each in stored] == ["weightlock-verify-0", "before"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"shareProcessNamespace": True}, "SharedProcesses"),
        ({"hostPID": True}, "HostNamespaces"),
        ({"containers": [container(mount(), securityContext={"privileged": True})]}, "Privileged"),
        (
            {
                "containers": [
                    container(mount(), securityContext={"capabilities": {"add": ["SYS_PTRACE"]}})
                ]
            },
            "PrivilegedContainer",
        ),
        (
            {"containers": [container(mount(mountPropagation="HostToContainer"))]},
            "MountPropagation",
        ),
        ({"containers": [container(WRITABLE)]}, "WritableMount"),
    ],
)
def test_a27_a_pod_that_could_get_at_the_container_is_refused(
    injecting: Case, fields: Json, reason: str
) -> None:
    injecting.refused(injecting.pod(pod_spec(**fields)), reason)


@pytest.mark.parametrize(
    "metadata",
    [
        {"labels": {"weightlock.io/skip": "true"}},
        {"labels": {"admission.weightlock.dev": "disabled"}},
        {"annotations": {"weightlock": "off"}},
        {"labels": {"control-plane": "true", "app.kubernetes.io/name": "weightlock"}},
        {"labels": {"app.kubernetes.io/component": "verifier"}},
    ],
)
def test_a30_no_label_and_no_annotation_opts_out(verified: Case, metadata: Json) -> None:
    verified.refused(verified.pod(pod_spec(claim_volume(claim="fresh")), **metadata))
    verified.stored(verified.pod(pod_spec(), **metadata))


def test_a30_a_new_namespace_is_governed_from_its_first_pod_on(
    server: ApiServer, webhook: Webhook
) -> None:
    put_policy(server.api, "everybody")
    try:
        probe = server.tenant("probe")
        unknown = probe.object("v1", "Pod", "p", spec=pod_spec())
        wait_until(
            "the policy is known", lambda: not is_allowed(probe.api, unknown), timeout_seconds=10
        )
        for _ in range(3):
            tenant = server.tenant("new")
            case = Case(webhook, tenant)
            case.refused(case.pod(pod_spec()), "ClaimUnbound")
            case.stored(case.pod(pod_spec(volume("model", emptyDir={}))))
    finally:
        policy = {"apiVersion": API_VERSION, "kind": "ClusterModelPolicy"}
        server.api.delete({**policy, "metadata": {"name": "everybody"}})


@pytest.mark.parametrize(
    ("fields", "metadata", "reason"),
    [
        pytest.param(
            {}, {"annotations": {"cdi.k8s.io/x": "y.example/z=1"}}, "CdiAnnotation", id="B21"
        ),
        pytest.param({"nodeSelector": {"kubernetes.io/os": "windows"}}, {}, "WindowsPod", id="B23"),
        pytest.param(
            {"containers": [container(mount(mountPropagation="HostToContainer"))]},
            {},
            "MountPropagation",
            id="B17",
        ),
    ],
)
def test_b_what_changes_mounts_behind_the_spec_is_refused(
    verified: Case, fields: Json, metadata: Json, reason: str
) -> None:
    verified.refused(verified.pod(pod_spec(**fields), **metadata), reason)


def test_b22_a_runtime_class_that_nobody_looked_at_is_refused(verified: Case) -> None:
    for name in ("hooks", "nvidia"):
        # Without one of that name the API server refuses the pod before anybody is asked.
        handler = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "handler": name}
        verified.admin.create({**handler, "metadata": {"name": name}})
    verified.refused(verified.pod(pod_spec(runtimeClassName="hooks")), "RuntimeClass")
    verified.stored(verified.pod(pod_spec(runtimeClassName="nvidia")))


def test_b05_a_pod_without_a_name_is_judged_like_any_other(verified: Case) -> None:
    good, bad = verified.pod(pod_spec()), verified.pod(pod_spec(claim_volume(claim="fresh")))
    for manifest in (good, bad):
        del manifest["metadata"]["name"]
        manifest["metadata"]["generateName"] = "copy-"
    created = verified.tenant.api.create(good)
    assert verified.admin.read(created)["metadata"]["name"].startswith("copy-")
    with pytest.raises(ApiError, match="NoCheckpoint"):
        verified.tenant.api.create(bad)


def test_b07_a_dry_run_has_the_same_verdict_and_leaves_nothing(verified: Case) -> None:
    manifest = verified.pod(pod_spec(claim_volume(claim="fresh")))
    with pytest.raises(ApiError, match="NoCheckpoint"):
        verified.tenant.api.create(manifest, dry_run=True)
    good = verified.pod(pod_spec())
    verified.tenant.api.create(good, dry_run=True)
    with pytest.raises(ApiError) as missing:
        verified.admin.read(good)
    assert missing.value.code == 404


def test_a_refused_pod_asks_for_its_verdict_by_an_event(
    server: ApiServer, webhook: Webhook
) -> None:
    case = new_case(server, webhook)
    bind(case.tenant)
    case.becomes_refused(case.pod(pod_spec()), "NoCheckpoint")
    path = f"/api/v1/namespaces/{case.tenant.namespace}/events"

    def events() -> list[Json]:
        found: list[Json] = case.admin.get(path)["items"]
        return [each for each in found if each["reason"] == "VerificationRequested"]

    wait_until("an event asks", lambda: bool(events()), timeout_seconds=10)
    (event,) = events()
    assert event["involvedObject"]["name"] == "llama"
    assert event["message"] == "A pod was refused that mounts this claim"


def test_secrets_of_the_webhook_are_in_no_message(verified: Case) -> None:
    message = verified.refused(verified.pod(pod_spec(claim_volume(claim="fresh"))))
    assert base64.b64encode(b"k" * 32).decode() not in message


INJECTING = [
    pytest.param("cdi.k8s.io/x", id="CDI"),
    pytest.param("io.kubernetes.cri-o.Devices", id="CRI-O"),
    pytest.param("devices.nri.io/container.main", id="NRI"),
]


@pytest.mark.parametrize("key", INJECTING)
def test_b21_what_a_runtime_adds_is_not_added_after_the_pod_was_let_in(
    verified: Case, key: str
) -> None:
    manifest = verified.pod(pod_spec())
    verified.stored(manifest)
    body = {"metadata": {"annotations": {key: "y.example/z=1"}}}
    for kind in (MERGE_PATCH, STRATEGIC_PATCH):
        assert "CdiAnnotation" in verified.refused_patch(manifest, body, kind)
    applied = {"apiVersion": "v1", "kind": "Pod", **body}
    assert "CdiAnnotation" in verified.refused_patch(manifest, applied, APPLY)
    assert key not in verified.admin.read(manifest)["metadata"].get("annotations", {})
    harmless = {"metadata": {"annotations": {"team.example/note": "x"}}}
    patch(verified.tenant.api, manifest, harmless, MERGE_PATCH)


@pytest.mark.parametrize("key", INJECTING)
def test_b21_a_pod_without_governed_volumes_may_have_them(verified: Case, key: str) -> None:
    manifest = verified.pod(pod_spec(volumes=[], containers=[container()]))
    verified.stored(manifest)
    body = {"metadata": {"annotations": {key: "y.example/z=1"}}}
    patch(verified.tenant.api, manifest, body, MERGE_PATCH)
    assert key in verified.admin.read(manifest)["metadata"]["annotations"]


def test_b21_a_binding_brings_none_either(verified: Case) -> None:
    manifest = verified.pod(pod_spec())
    verified.stored(manifest)
    name = manifest["metadata"]["name"]
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": name, "annotations": {"cdi.k8s.io/x": "y.example/z=1"}},
        "target": {"kind": "Node", "name": "n1"},
    }
    path = f"{verified.admin.path(manifest)}/binding"
    with pytest.raises(ApiError, match="CdiAnnotation"):
        verified.admin.send("POST", path, binding)
    binding["metadata"] = {"name": name}
    verified.admin.send("POST", path, binding)
    live = verified.admin.read(manifest)
    assert live["spec"]["nodeName"] == "n1"
    # On its node, and its containers not made yet.
    body = {"metadata": {"annotations": {"cdi.k8s.io/x": "y.example/z=1"}}}
    assert "CdiAnnotation" in verified.refused_patch(manifest, body, MERGE_PATCH)
    patch(verified.tenant.api, manifest, {"metadata": {"labels": {"a": "b"}}}, MERGE_PATCH)
