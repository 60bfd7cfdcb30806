"""How a tenant with edit rights gets round verdicts, policies and identities: not at all.

The numbers are those of the threat model. Each refusal has its compliant twin: the same pod with
what is wrong put right is stored.
"""

from __future__ import annotations

import json

import pytest
from tests.cluster.admission import POISONED, Case, new_case, warnings_of
from tests.support.admitting import is_allowed
from tests.support.protected import (
    bind,
    delete_claim,
    govern,
    record,
    register,
    verify,
)
from tests.unit.policy.builders import EC, PQ, PQ_TOO, authority, replaced, rule, signatures
from tests.unit.webhook.objects import claim_volume, container, mount, pod_spec, volume
from tests.webhook_server.real import Webhook, lines_of

from e2e.cluster.api import ApiError, Json
from e2e.cluster.apiserver import ApiServer
from e2e.cluster.waiting import wait_until
from weightlock.cluster_names import NAMESPACE
from weightlock.names import API_VERSION
from weightlock.policy.checkpoints import RecordedSignature


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
        # At once, whatever the watches have brought so far; then for what is there now.
        case.refused(case.pod(pod_spec()))
        case.becomes_refused(case.pod(pod_spec()), "IdentityChanged")
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


@pytest.mark.parametrize(
    "disguise",
    [
        pytest.param({}, id="as it is"),
        pytest.param({"fsType": "xfs"}, id="with another file system"),
        pytest.param({"volumeAttributes": {"share": "other"}}, id="with other attributes"),
    ],
)
def test_a28_two_volumes_over_the_same_bytes_are_noticed(
    server: ApiServer, webhook: Webhook, disguise: Json
) -> None:
    case = new_case(server, webhook)
    one = {"driver": "disk.example", "volumeHandle": f"shared-{case.tenant.namespace}"}
    bind(case.tenant, "llama", {"csi": one})
    verify(case.tenant)
    case.becomes_stored(case.pod(pod_spec()))
    bind(case.tenant, "other")
    case.stored(case.pod(pod_spec()))
    bind(case.tenant, "twin", {"csi": {**one, **disguise}}, modes=["ReadWriteMany"])
    case.becomes_refused(case.pod(pod_spec()), "BackingShared")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param("signatures.authorities", [], id="no authority"),
        pytest.param("signatures.rules", [], id="no rule"),
        pytest.param("signatures.rules.0.authorities", [], id="a rule of nobody"),
        pytest.param("signatures.rules.0.atLeast", 0, id="a rule that none satisfies too"),
        pytest.param("digests", {"allowed": []}, id="no hash"),
        pytest.param("signatures.authorities.0.publicKey", "no key", id="no key"),
    ],
)
def test_a31_a_policy_that_says_nothing_is_not_stored(
    verified: Case, path: str, value: object
) -> None:
    made = verified.tenant.object(API_VERSION, "ModelPolicy", "vacuous")
    good: Json = {"signatures": signatures(authority("release", PQ))}
    with pytest.raises(ApiError) as refusal:
        verified.admin.create({**made, "spec": replaced(good, path, value)})
    assert refusal.value.code == 422
    with pytest.raises(ApiError) as missing:
        verified.admin.read(made)
    assert missing.value.code == 404
    verified.admin.create({**made, "spec": good})
    verified.admin.delete(made)


def test_a_policy_that_cannot_be_read_refuses_where_it_may_govern_and_nowhere_else(
    server: ApiServer, webhook: Webhook
) -> None:
    """One is stored since before the webhook ran; every other case stands beside it."""
    case = new_case(server, webhook)
    bind(case.tenant)
    verify(case.tenant)
    case.becomes_stored(case.pod(pod_spec()))
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": case.tenant.namespace},
    }
    case.admin.patch(namespace, {"metadata": {"labels": POISONED}})
    message = case.becomes_refused(case.pod(pod_spec()), "PolicyInvalid")
    assert "ClusterModelPolicy poisonous cannot be decided upon" in message
    case.stored(case.pod(pod_spec(volume("model", emptyDir={}))))
    case.admin.patch(namespace, {"metadata": {"labels": dict.fromkeys(POISONED)}})
    case.becomes_stored(case.pod(pod_spec()))


def test_what_a_decision_rests_on_is_in_the_audit_log_of_the_api_server(
    verified: Case, server: ApiServer
) -> None:
    good, bad = verified.pod(pod_spec()), verified.pod(pod_spec(claim_volume(claim="fresh")))
    verified.stored(good)
    verified.refused(bad, "NoCheckpoint")
    told = {
        manifest["metadata"]["name"]: _annotations(server, manifest) for manifest in (good, bad)
    }
    stored, refused = told[good["metadata"]["name"]], told[bad["metadata"]["name"]]
    assert (stored["reason"], stored["outcome"]) == ("Verified", "Allow")
    assert (refused["reason"], refused["outcome"]) == ("NoCheckpoint", "Deny")
    assert (
        stored["policy"]
        == refused["policy"]
        == f"ClusterModelPolicy for-{verified.tenant.namespace}"
    )
    assert stored["digest"] == f"whole=sha256:{'64' * 32}"
    assert "digest" not in refused


def _annotations(server: ApiServer, manifest: Json) -> dict[str, str]:
    """What the webhook of pods added to the event of a creation, without its name before each."""
    wanted = manifest["metadata"]["namespace"]

    def found() -> list[Json]:
        events = [json.loads(line) for line in server.audit_log.read_text().splitlines()]
        return [
            each["annotations"]
            for each in events
            if each["verb"] == "create"
            and each["objectRef"]["namespace"] == wanted
            and each["objectRef"].get("name") == manifest["metadata"]["name"]
            and "dryRun" not in each["requestURI"]
        ]

    (annotations,) = wait_until("the event is written", found, timeout_seconds=10)
    prefix = "pods.weightlock.dev/"
    return {
        key.removeprefix(prefix): value
        for key, value in annotations.items()
        if key.startswith(prefix)
    }


def _identity(decision: Json) -> tuple[str, str, bool]:
    return decision["namespace"], decision["name"], decision["dryRun"]


@pytest.mark.parametrize("enforcement", ["Warn", "Audit"])
def test_a_policy_that_only_watches_stores_the_pod_and_its_decision_is_logged(
    server: ApiServer, webhook: Webhook, enforcement: str
) -> None:
    case = new_case(server, webhook)
    bind(case.tenant)
    bad = pod_spec()
    case.becomes_refused(case.pod(bad), "NoCheckpoint")
    govern(case.tenant, enforcement=enforcement)
    manifest = case.pod(bad)
    case.becomes_stored(manifest)

    def decisions() -> list[Json]:
        metadata = manifest["metadata"]
        wanted = (metadata["namespace"], metadata["name"], False)
        lines = (line.get("admission", {}) for line in lines_of(webhook.log))
        said = [each for each in lines if each.get("resource") == "pods"]
        return [each for each in said if _identity(each) == wanted]

    found = wait_until("the decision is written", decisions, timeout_seconds=5)[-1]
    assert (found["decision"], found["mode"], found["reason"]) == (
        "Allow",
        enforcement,
        "NoCheckpoint",
    )
    warned = warnings_of(case.tenant.api, case.pod(bad))
    assert len(warned) == (1 if enforcement == "Warn" else 0)
    assert all("NoCheckpoint" in each for each in (*warned, *found.get("warnings", ())))


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
