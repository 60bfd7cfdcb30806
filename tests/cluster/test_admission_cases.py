"""How a tenant with edit rights gets round admission, case by case, and that it does not work.

The numbers are those of the threat model. Each refusal has its compliant twin: the same pod with
what is wrong put right is stored.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Iterator
from typing import Any

import pytest
from tests.cluster.admission import Case, is_allowed, new_case, patch, protected
from tests.support.protected import (
    bind,
    delete_claim,
    govern,
    put_policy,
    record,
    register,
    verify,
)
from tests.unit.policy.builders import EC, PQ, PQ_TOO, authority, rule, signatures
from tests.unit.webhook.objects import Object, claim_volume, container, mount, pod_spec, volume
from tests.webhook_server.real import SCHEDULER, Webhook

from e2e.cluster.api import ApiError, Json
from e2e.cluster.apiserver import ApiServer
from e2e.cluster.pytest_plugin import RunApiServer
from e2e.cluster.waiting import wait_until
from weightlock.cluster_names import HELD_LABEL, NAMESPACE, WAITS_FOR_ANNOTATION
from weightlock.names import API_VERSION
from weightlock.policy.checkpoints import RecordedSignature

IMAGE = "registry.example/verifier@sha256:" + "a" * 64
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"


@pytest.fixture(scope="module")
def server(run_apiserver: RunApiServer) -> Iterator[ApiServer]:
    with run_apiserver() as found:
        yield found


@pytest.fixture(scope="module")
def webhook(server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    folder = tmp_path_factory.mktemp("webhook")
    with protected(server, folder, WEIGHTLOCK_VERIFIER_IMAGE=IMAGE) as found:
        yield found


@pytest.fixture(scope="module")
def verified(server: ApiServer, webhook: Webhook) -> Case:
    """A tenant with three claims: `llama` verified as a whole, `shared` at /good, `fresh` not."""
    case = new_case(server, webhook)
    for claim in ("llama", "shared", "fresh"):
        bind(case.tenant, claim)
    verify(case.tenant, "whole", "llama")
    verify(case.tenant, "part", "shared", "/good")
    wait_until(
        "both verdicts stand",
        lambda: (
            is_allowed(case.tenant.api, case.pod(pod_spec()))
            and is_allowed(case.tenant.api, case.pod(_of_shared(subPath="good")))
        ),
        timeout_seconds=10,
    )
    return case


def _of_shared(**fields: Any) -> Object:
    return pod_spec(claim_volume(claim="shared"), containers=[container(mount(**fields))])


# --- A01: part of a volume is verified, all of it is mounted


@pytest.mark.parametrize("sub_path", ["", ".", "./"])
def test_a01_more_than_what_was_verified_is_refused(verified: Case, sub_path: str) -> None:
    verified.refused(verified.pod(_of_shared(subPath=sub_path)), "PathNotCovered")


@pytest.mark.parametrize("sub_path", ["evil", "good-evil", "goo", "Good"])
def test_a01_what_lies_beside_what_was_verified_is_refused(verified: Case, sub_path: str) -> None:
    verified.refused(verified.pod(_of_shared(subPath=sub_path)), "NoCheckpoint")


@pytest.mark.parametrize("sub_path", ["good", "good/", "good//x", "./good", "good/./deep/er"])
def test_a01_what_was_verified_and_anything_below_is_stored(verified: Case, sub_path: str) -> None:
    found = verified.stored(verified.pod(_of_shared(subPath=sub_path)))
    assert found["spec"]["containers"][0]["volumeMounts"][0]["subPath"] == sub_path


# --- A02: content changes after the verification

WRITABLE = mount(readOnly=False)


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(pod_spec(claim_volume(read_only=False)), id="volume"),
        pytest.param(pod_spec(containers=[container(WRITABLE)]), id="mount"),
        pytest.param(
            pod_spec(initContainers=[container(WRITABLE, name="first")]), id="init container"
        ),
        pytest.param(
            pod_spec(containers=[container(mount()), container(WRITABLE, name="other")]),
            id="one of two",
        ),
    ],
)
def test_a02_who_could_write_is_refused(verified: Case, spec: Object) -> None:
    verified.refused(verified.pod(spec), "WritableMount")


def test_a02_who_only_reads_is_stored(verified: Case) -> None:
    spec = pod_spec(
        containers=[container(mount()), container(mount(), name="other")],
        initContainers=[container(mount(), name="first")],
    )
    verified.stored(verified.pod(spec))


def test_a02_nobody_reads_while_somebody_writes_or_after(
    server: ApiServer, webhook: Webhook
) -> None:
    case = new_case(server, webhook, mounts={"readOnly": "Optional"})
    bind(case.tenant)
    verify(case.tenant)
    writing = case.pod(pod_spec(claim_volume(read_only=False), containers=[container(WRITABLE)]))
    case.becomes_stored(writing)
    case.becomes_refused(case.pod(pod_spec()), "WriterSeen")
    case.tenant.api.delete(writing)
    case.refused(case.pod(pod_spec()), "WriterSeen")


# --- A10: forged or stale verdicts


def test_a10_a_verdict_that_the_operator_did_not_seal_is_none(
    server: ApiServer, webhook: Webhook
) -> None:
    case = new_case(server, webhook)
    bind(case.tenant)
    made = verify(case.tenant)
    case.becomes_stored(case.pod(pod_spec()))
    forged = {**made, "status": {**made["status"], "modelVersion": 9}}
    with pytest.raises(ApiError) as refusal:
        case.admin.replace_status(forged)
    assert refusal.value.code == 403
    case.admin.acting_as(
        "system:serviceaccount:weightlock-system:weightlock-operator", "system:masters"
    ).replace_status(forged)
    case.becomes_refused(case.pod(pod_spec()), "SealBroken")


def test_a10_a_spec_that_changed_needs_a_verdict_of_its_own(
    server: ApiServer, webhook: Webhook
) -> None:
    case = new_case(server, webhook)
    bind(case.tenant)
    made = verify(case.tenant, path="/good")
    good = pod_spec(containers=[container(mount(subPath="good"))])
    evil = pod_spec(containers=[container(mount(subPath="evil"))])
    case.becomes_stored(case.pod(good))
    moved = {**made["spec"]["source"], "path": "/evil"}
    case.admin.patch(made, {"spec": {"source": moved}})
    case.becomes_refused(case.pod(evil), "SpecChanged")
    case.refused(case.pod(good), "NoCheckpoint")
    record(case.tenant, case.admin.read(made))
    case.becomes_stored(case.pod(evil))


# --- A11: classical signatures where post-quantum ones are wanted


def test_a11_a_classical_signature_is_not_enough(server: ApiServer, webhook: Webhook) -> None:
    both = signatures(
        authority("release", PQ), authority("legacy", EC), rules=[rule("any", "release", "legacy")]
    )
    case = new_case(server, webhook, signatures=both)
    bind(case.tenant)
    made = register(case.tenant, "step-1")
    classical = (RecordedSignature(EC.algorithm, EC.keyid),)
    record(case.tenant, made, signatures=classical)
    case.becomes_refused(case.pod(pod_spec()), "ClassicalOnly")
    record(case.tenant, case.admin.read(made))
    case.becomes_stored(case.pod(pod_spec()))


# --- A12: volume types that nobody verified

TEMPLATE = {
    "accessModes": ["ReadOnlyMany"],
    "resources": {"requests": {"storage": "1Gi"}},
    "storageClassName": "models",
}
INLINE: dict[str, Object] = {
    "nfs": {"server": "s", "path": "/e", "readOnly": True},
    "csi": {"driver": "d.example", "readOnly": True},
    "iscsi": {"targetPortal": "1.2.3.4:3260", "iqn": "iqn.2001-04.com.e:s", "lun": 0},
    "rbd": {"monitors": ["m"], "image": "i"},
    "cephfs": {"monitors": ["m"]},
    "glusterfs": {"endpoints": "e", "path": "p"},
    "fc": {"targetWWNs": ["50060e801049cfd1"], "lun": 0},
    "azureFile": {"secretName": "s", "shareName": "n"},
    "flexVolume": {"driver": "d/e"},
    "gitRepo": {"repository": "https://git.example/x"},
    "hostPath": {"path": "/mnt/models"},
}


@pytest.mark.parametrize("kind", INLINE)
def test_a12_storage_that_the_pod_describes_itself_is_refused(verified: Case, kind: str) -> None:
    verified.refused(verified.pod(pod_spec(volume("model", **{kind: INLINE[kind]}))))


def test_a12_claims_that_nobody_registered_or_bound_are_refused(verified: Case) -> None:
    verified.refused(verified.pod(pod_spec(claim_volume(claim="fresh"))), "NoCheckpoint")
    verified.refused(verified.pod(pod_spec(claim_volume(claim="none"))), "ClaimUnbound")


def test_a12_raw_devices_are_refused(verified: Case) -> None:
    device = {"name": "c", "image": "i", "volumeDevices": [{"name": "model", "devicePath": "/d"}]}
    verified.refused(verified.pod(pod_spec(containers=[device])), "RawBlockDevice")


@pytest.mark.parametrize("kind", ["emptyDir", "configMap", "secret", "downwardAPI", "projected"])
def test_a12_what_can_bring_no_checkpoint_is_stored(verified: Case, kind: str) -> None:
    sources: dict[str, Object] = {
        "emptyDir": {},
        "configMap": {"name": "c"},
        "secret": {"secretName": "s"},
        "downwardAPI": {},
        "projected": {"sources": [{"configMap": {"name": "c"}}]},
    }
    found = verified.stored(verified.pod(pod_spec(volume("model", **{kind: sources[kind]}))))
    assert kind in found["spec"]["volumes"][0]


# --- A13: paths of the node


@pytest.mark.parametrize(
    "path", ["/", "/mnt", "/mnt/models", "/mnt//models", "/mnt/./models", "/var/lib/kubelet/pods"]
)
def test_a13_paths_of_the_node_are_refused_in_every_spelling(verified: Case, path: str) -> None:
    spec = pod_spec(volume("model", hostPath={"path": path}))
    verified.refused(verified.pod(spec), "HostPathAlias")


def test_a13_a_claim_over_a_path_of_the_node_is_that_path(
    server: ApiServer, webhook: Webhook
) -> None:
    rules = [{"persistentVolumeClaim": {"storageClassNames": ["scratch"]}, "action": "Ignore"}]
    case = new_case(server, webhook, volumes={"rules": rules})
    bind(case.tenant, "scratch", storageClassName="scratch")
    case.becomes_stored(case.pod(pod_spec(claim_volume(claim="scratch", read_only=False))))
    host = {"hostPath": {"path": "/mnt/models"}}
    bind(case.tenant, "hidden", host, storageClassName="scratch")
    case.becomes_refused(case.pod(pod_spec(claim_volume(claim="hidden"))), "HostPathAlias")


# --- A14: a tenant's own policy or checkpoint


def test_a14_a_lax_policy_or_checkpoint_beside_the_strict_one_weakens_nothing(
    verified: Case,
) -> None:
    lax = verified.tenant.object(API_VERSION, "ModelPolicy", "lax")
    lax["spec"] = {
        "enforcement": "Audit",
        "volumes": {"default": "Ignore"},
        "signatures": signatures(authority("mine", PQ_TOO)),
    }
    verified.admin.create(lax)
    mine = register(verified.tenant, "mine", "fresh")
    verified.refused(verified.pod(pod_spec(claim_volume(claim="fresh"))), "NotVerified")
    verified.stored(verified.pod(pod_spec()))
    verified.admin.delete(lax)
    verified.admin.delete(mine)


def test_a14_a_strict_policy_of_the_tenant_narrows(server: ApiServer, webhook: Webhook) -> None:
    case = new_case(server, webhook)
    bind(case.tenant)
    verify(case.tenant)
    case.becomes_stored(case.pod(pod_spec()))
    strict = case.tenant.object(API_VERSION, "ModelPolicy", "strict")
    strict["spec"] = {"signatures": signatures(authority("second", PQ_TOO))}
    case.admin.create(strict)
    case.becomes_refused(case.pod(pod_spec()), "SignerUntrusted")


# --- A15: pods that pretend to be ours


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param({"labels": {"weightlock.dev/verification": "n"}}, id="label"),
        pytest.param({"labels": {"weightlock.dev/checkpoint-uid": "u"}}, id="other label"),
        pytest.param(
            {
                "labels": {"weightlock.dev/verification": "n"},
                "ownerReferences": [
                    {
                        "apiVersion": "batch/v1",
                        "kind": "Job",
                        "name": "verify",
                        "uid": "u",
                        "controller": True,
                    }
                ],
            },
            id="owner",
        ),
        pytest.param({"annotations": {"kubernetes.io/config.mirror": "x"}}, id="mirror"),
    ],
)
def test_a15_a_pod_that_pretends_to_be_ours_is_refused(verified: Case, metadata: Json) -> None:
    spec = pod_spec(claim_volume(claim="fresh"), nodeName="n1")
    verified.refused(verified.pod(spec, **metadata))


# --- A16, A27: the injected container


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


# --- A17: held pods


@pytest.fixture(scope="module")
def holding(server: ApiServer, webhook: Webhook) -> Case:
    """A tenant whose unverified pods wait."""
    case = new_case(server, webhook, onUnverified="Hold")
    for claim in ("llama", "released"):
        bind(case.tenant, claim)
    return case


def held(case: Case, claim: str = "llama") -> Json:
    manifest = case.pod(pod_spec(claim_volume(claim=claim)))
    case.becomes_stored(manifest)
    return manifest


def bound(case: Case, manifest: Json) -> None:
    """What the scheduler does."""
    name = manifest["metadata"]["name"]
    binding = case.tenant.object(
        "v1", "Binding", name, target={"apiVersion": "v1", "kind": "Node", "name": "n1"}
    )
    path = f"/api/v1/namespaces/{case.tenant.namespace}/pods/{name}/binding"
    case.admin.acting_as(SCHEDULER, "system:masters").send("POST", path, binding)


def test_a17_an_unverified_pod_is_stored_held_and_not_bound(holding: Case) -> None:
    manifest = held(holding)
    metadata = holding.admin.read(manifest)["metadata"]
    assert metadata["labels"][HELD_LABEL] == "true"
    assert '"claim":"llama"' in metadata["annotations"][WAITS_FOR_ANNOTATION]
    with pytest.raises(ApiError) as refusal:
        bound(holding, manifest)
    assert refusal.value.code == 403
    assert "NoCheckpoint" in refusal.value.message
    assert "nodeName" not in holding.admin.read(manifest)["spec"]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        pytest.param(
            JSON_PATCH,
            [{"op": "remove", "path": "/metadata/labels/weightlock.dev~1held"}],
            id="JSON patch",
        ),
        pytest.param(MERGE_PATCH, {"metadata": {"labels": {HELD_LABEL: None}}}, id="merge patch"),
        pytest.param(
            STRATEGIC_PATCH,
            {"metadata": {"annotations": {WAITS_FOR_ANNOTATION: "[]"}}},
            id="strategic merge",
        ),
    ],
)
def test_a17_nobody_but_the_operator_lets_a_pod_go(holding: Case, kind: str, body: Any) -> None:
    manifest = held(holding)
    holding.refused_patch(manifest, body, kind)


def test_a17_a_held_pod_is_bound_once_its_verdict_stands(holding: Case) -> None:
    manifest = held(holding, "released")
    verify(holding.tenant, "released", "released")

    def is_bound() -> bool:
        try:
            bound(holding, manifest)
        except ApiError:
            return False
        return True

    wait_until("the pod is bound", is_bound, timeout_seconds=10)
    assert holding.admin.read(manifest)["spec"]["nodeName"] == "n1"


def test_a17_a_pod_that_names_its_node_passes_no_scheduler_and_is_refused(holding: Case) -> None:
    holding.refused(holding.pod(pod_spec(nodeName="n1")), "NoCheckpoint")


def test_a17_what_no_verdict_can_cure_is_not_held(holding: Case) -> None:
    holding.refused(holding.pod(pod_spec(claim_volume(read_only=False))), "WritableMount")


# --- A18, A19, A29: other ways to the same volume


def test_a18_a_volume_that_nobody_mounts_counts_as_a_whole(verified: Case) -> None:
    unmounted = pod_spec(claim_volume(), claim_volume("later", "fresh"))
    verified.refused(verified.pod(unmounted), "NoCheckpoint")
    part = pod_spec(claim_volume(), claim_volume("later", "shared"))
    verified.refused(verified.pod(part), "PathNotCovered")
    verified.stored(verified.pod(pod_spec(claim_volume(), claim_volume("later", "llama"))))


def test_a19_a_path_that_is_known_only_at_the_start_is_refused(verified: Case) -> None:
    source = {"fieldRef": {"fieldPath": "metadata.annotations['p']"}}
    environment = [{"name": "P", "valueFrom": source}]
    expression = mount(subPathExpr="$(P)")
    spec = pod_spec(
        claim_volume(claim="shared"), containers=[container(expression, env=environment)]
    )
    verified.refused(verified.pod(spec, annotations={"p": "good"}), "SubPathExpr")
    verified.stored(verified.pod(_of_shared(subPath="good"), annotations={"p": "good"}))


NESTED = volume("other", emptyDir={})


@pytest.mark.parametrize("at", ["/models/config.json", "/models/", "/models", "/models//x/y", "/"])
def test_a29_nothing_lies_over_what_was_verified(verified: Case, at: str) -> None:
    mounts = container(mount(), mount("other", at, readOnly=False))
    spec = pod_spec(claim_volume(), NESTED, containers=[mounts])
    message = _create_message(verified, spec)
    assert "NestedMount" in message or "must be unique" in message


def _create_message(case: Case, spec: Object) -> str:
    with pytest.raises(ApiError) as refusal:
        case.tenant.api.create(case.pod(spec))
    return refusal.value.message


@pytest.mark.parametrize("at", ["/models-2", "/scratch", "/model"])
def test_a29_what_lies_beside_it_is_stored(verified: Case, at: str) -> None:
    mounts = container(mount(), mount("other", at, readOnly=False))
    verified.stored(verified.pod(pod_spec(claim_volume(), NESTED, containers=[mounts])))


def test_a29_the_message_file_lies_nowhere_in_it(verified: Case) -> None:
    spec = pod_spec(containers=[container(mount(), terminationMessagePath="/models/config.json")])
    verified.refused(verified.pod(spec), "NestedMount")


# --- A22, A23: old models and old keys


def test_a22_a_lower_version_than_was_seen_is_refused(server: ApiServer, webhook: Webhook) -> None:
    case = new_case(server, webhook, rollback={"floors": [{"models": ["llama"], "version": 3}]})
    bind(case.tenant)
    verify(case.tenant)
    case.becomes_stored(case.pod(pod_spec()))
    govern(case.tenant, rollback={"floors": [{"models": ["llama"], "version": 4}]})
    case.becomes_refused(case.pod(pod_spec()), "Rollback")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(
            {"signatures": signatures(authority("other", PQ_TOO))}, "SignerUntrusted", id="removed"
        ),
        pytest.param({"denied": {"keyids": [PQ.keyid]}}, "KeyRevoked", id="revoked"),
        pytest.param(
            {"signatures": signatures(authority("release", PQ, notAfter="2026-01-01T00:00:00Z"))},
            "KeyExpired",
            id="expired",
        ),
        pytest.param(
            {"signatures": signatures(authority("release", PQ, notBefore="2090-01-01T00:00:00Z"))},
            "KeyNotYetValid",
            id="not yet valid",
        ),
        pytest.param(
            {"signatures": signatures(authority("release", PQ, models=["mistral-*"]))},
            "SignerUntrusted",
            id="for other models",
        ),
        pytest.param({"denied": {"digests": ["sha256:" + "64" * 32]}}, "DigestDenied", id="digest"),
        pytest.param({"digests": {"allowed": ["sha512"]}}, "AlgorithmForbidden", id="hash"),
        pytest.param({"freshness": {"maxAge": "1s"}}, "VerdictExpired", id="age"),
    ],
)
def test_a23_what_the_policy_says_now_decides_for_the_next_pod(
    server: ApiServer, webhook: Webhook, change: Json, reason: str
) -> None:
    case = new_case(server, webhook)
    bind(case.tenant)
    verify(case.tenant)
    case.becomes_stored(case.pod(pod_spec()))
    govern(case.tenant, **change)
    case.becomes_refused(case.pod(pod_spec()), reason)


# --- A28: another identity behind the same name


def test_a28_a_claim_that_was_made_anew_never_lets_the_next_pod_in(
    server: ApiServer, webhook: Webhook
) -> None:
    case = new_case(server, webhook)
    for number in range(10):
        bind(case.tenant)
        made = verify(case.tenant, f"round-{number}")
        case.becomes_stored(case.pod(pod_spec()))
        delete_claim(case.tenant)
        bind(case.tenant)
        case.refused(case.pod(pod_spec()), "IdentityChanged")
        case.admin.delete(made)
        delete_claim(case.tenant)


def test_a28_a_volume_that_was_made_anew_is_another_one(
    server: ApiServer, webhook: Webhook
) -> None:
    case = new_case(server, webhook)
    claim = bind(case.tenant)
    verify(case.tenant)
    case.becomes_stored(case.pod(pod_spec()))
    live = case.admin.get(f"/api/v1/persistentvolumes/{claim['spec']['volumeName']}")
    case.admin.patch(live, {"metadata": {"finalizers": None}})
    case.admin.delete(live)
    evil = {"csi": {"driver": "disk.example", "volumeHandle": "evil"}}
    again = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": live["metadata"]["name"]},
        "spec": {**live["spec"], **evil},
    }
    case.admin.create(again)
    case.refused(case.pod(pod_spec()), "IdentityChanged")


def test_a28_a_checkpoint_that_was_made_anew_inherits_nothing(
    server: ApiServer, webhook: Webhook
) -> None:
    case = new_case(server, webhook)
    bind(case.tenant)
    made = verify(case.tenant)
    case.becomes_stored(case.pod(pod_spec()))
    case.admin.delete(made)
    case.refused(case.pod(pod_spec()), "NoCheckpoint")
    register(case.tenant, made["metadata"]["name"])
    case.becomes_refused(case.pod(pod_spec()), "NotVerified")


def test_a28_two_volumes_over_the_same_bytes_are_noticed(
    server: ApiServer, webhook: Webhook
) -> None:
    case = new_case(server, webhook)
    same = {"csi": {"driver": "disk.example", "volumeHandle": f"shared-{case.tenant.namespace}"}}
    bind(case.tenant, "llama", same)
    verify(case.tenant)
    case.becomes_stored(case.pod(pod_spec()))
    bind(case.tenant, "twin", same, modes=["ReadWriteMany"])
    case.becomes_refused(case.pod(pod_spec()), "BackingShared")


# --- A30: ways to opt out


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


# --- B14: a rule for scratch claims is about claims that start empty


def test_b14_a_claim_that_starts_with_somebodys_data_is_no_scratch_by_its_name(
    server: ApiServer, webhook: Webhook
) -> None:
    scratch: Json = {
        "persistentVolumeClaim": {"claimNames": ["scratch-*"]},
        "action": "Ignore",
    }
    case = new_case(server, webhook, volumes={"rules": [scratch]})
    bind(case.tenant, "scratch-a")
    evil = {"kind": "PersistentVolumeClaim", "name": "evil"}
    bind(case.tenant, "scratch-b", dataSource=evil)
    case.becomes_stored(case.pod(pod_spec(claim_volume(claim="scratch-a"))))
    case.refused(case.pod(pod_spec(claim_volume(claim="scratch-b"))), "NoCheckpoint")
    # What bears the name when it is mounted may be another claim.
    placed = pod_spec(claim_volume(claim="scratch-a"), nodeName="n1")
    case.refused(case.pod(placed), "NodeNamed")


# --- A38: what is new counts at once


def test_a38_a_pod_that_comes_with_a_stricter_policy_is_not_stored(
    server: ApiServer, webhook: Webhook
) -> None:
    case = new_case(server, webhook)
    bind(case.tenant)
    verify(case.tenant)
    case.becomes_stored(case.pod(pod_spec()))
    refused = 0
    for _ in range(10):
        govern(case.tenant, volumes={"default": "Forbid"})
        # At once, or after a quarter of a second, which the look at the policies may be old.
        manifest = case.pod(pod_spec())
        wait_until(
            "it is refused",
            lambda: not is_allowed(case.tenant.api, manifest),  # noqa: B023
            timeout_seconds=1,
        )
        refused += 1
        govern(case.tenant, volumes=None)
        case.becomes_stored(case.pod(pod_spec()))
    assert refused == 10


# --- B: more cases


@pytest.mark.parametrize(
    ("fields", "metadata", "reason"),
    [
        pytest.param(
            {}, {"annotations": {"cdi.k8s.io/x": "y.example/z=1"}}, "CdiAnnotation", id="B21"
        ),
        pytest.param({"nodeSelector": {"kubernetes.io/os": "windows"}}, {}, "WindowsPod", id="B23"),
        pytest.param(
            {"containers": [container(mount(mountPropagation="Bidirectional"))]},
            {},
            "",
            id="B17",
        ),
    ],
)
def test_b_what_changes_mounts_behind_the_spec_is_refused(
    verified: Case, fields: Json, metadata: Json, reason: str
) -> None:
    message = _create_message_of(verified, verified.pod(pod_spec(**fields), **metadata))
    assert reason in message


def _create_message_of(case: Case, manifest: Json) -> str:
    with pytest.raises(ApiError) as refusal:
        case.tenant.api.create(manifest)
    return refusal.value.message


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
    assert '"/"' in event["message"]


def test_secrets_of_the_webhook_are_in_no_message(verified: Case) -> None:
    message = verified.refused(verified.pod(pod_spec(claim_volume(claim="fresh"))))
    assert base64.b64encode(b"k" * 32).decode() not in message


# --- A39: a cluster that came back from a backup. The last test: it makes all verdicts stale.


def test_a39_verdicts_from_before_a_restore_count_no_more(
    server: ApiServer, webhook: Webhook
) -> None:
    case = new_case(server, webhook)
    bind(case.tenant)
    made = verify(case.tenant)
    case.becomes_stored(case.pod(pod_spec()))
    found = case.admin.read(made)
    at = found["status"]["lastVerified"]
    state = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "weightlock-state", "namespace": NAMESPACE},
    }
    try:
        case.admin.create({**state, "data": {"restoredAt": at}})
    except ApiError:
        case.admin.patch(state, {"data": {"restoredAt": at}})
    case.becomes_refused(case.pod(pod_spec()), "RestoredFromBackup")
