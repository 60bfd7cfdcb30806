"""From a policy and a claim to a verdict: the operator as its own account, on a real API server.

Scheduler and kubelet are played by tests.support.node_agent; Jobs, pods, owners, rights are real.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.cluster.operator_objects import CHECKPOINT, Shelf, policy
from tests.support.node_agent import Content, NodeAgent
from tests.support.running_operator import RunningOperator
from tests.unit.policy.builders import EC, PQ, PQ_TOO, authority, rule, signatures

from e2e.cluster.api import ApiError, Json
from e2e.cluster.apiserver import ApiServer
from e2e.cluster.waiting import wait_until
from weightlock.formats.manifest import ModelIdentity
from weightlock.reasons import Reason
from weightlock.reporting import Report


def test_a_good_model_is_verified(shelf: Shelf) -> None:
    shelf.good("llama")
    status = shelf.reaches("llama", "Verified")
    assert status["signatures"][0]["authority"] == "release"
    assert status["modelName"] == "llama-70b"
    assert status["seal"].startswith("v1:")
    assert "verification" not in status


def test_a_classically_signed_model_is_classical_only(shelf: Shelf, node: NodeAgent) -> None:
    node.contents["old"] = Content(signers=(EC,))
    namespace = shelf.tenant.namespace
    known = [authority("release", PQ), authority("legacy", EC)]
    either = signatures(*known, rules=[rule("any", "release", "legacy", atLeast=1)])
    shelf.api.patch(policy(namespace, namespace), {"spec": {"signatures": either}})
    shelf.good("old")
    shelf.reaches("old", "ClassicalOnly")


def test_a_model_by_an_unknown_signer_fails(shelf: Shelf, node: NodeAgent) -> None:
    node.contents["unknown"] = Content(signers=(PQ_TOO,))
    shelf.good("unknown")
    shelf.reaches("unknown", "Failed", "SignerUntrusted")


@pytest.mark.parametrize(
    "reason", [Reason.CONTENT_MISMATCH, Reason.EXTRA_FILE, Reason.UNSIGNED, Reason.LIMIT_EXCEEDED]
)
def test_a_bad_model_fails_for_its_reason(shelf: Shelf, node: NodeAgent, reason: Reason) -> None:
    name = reason.value.lower()
    node.contents[name] = Content(reason=reason, signers=())
    shelf.good(name)
    shelf.reaches(name, "Failed", reason.value)
    assert len([ran for ran in node.ran if ran == name]) == 1, "nothing changed: not tried again"


def test_a_changed_policy_is_judged_in_two_seconds_without_a_job(
    shelf: Shelf, node: NodeAgent
) -> None:
    shelf.good("judged")
    shelf.reaches("judged", "Verified")
    namespace = shelf.tenant.namespace
    stricter = policy(namespace, namespace)
    began = time.monotonic()
    shelf.api.patch(stricter, {"spec": {"denied": {"keyids": [PQ.keyid]}}})
    shelf.reaches("judged", "Failed", "KeyRevoked", seconds=5)
    assert time.monotonic() - began < 2
    began = time.monotonic()
    shelf.api.patch(stricter, {"spec": {"denied": None}})
    shelf.reaches("judged", "Verified", seconds=5)
    assert time.monotonic() - began < 2
    assert node.ran.count("judged") == 1


def test_another_claim_of_the_same_name_is_not_verified(shelf: Shelf, node: NodeAgent) -> None:
    shelf.good("swapped")
    shelf.reaches("swapped", "Verified")
    node.paused.add("swapped")
    shelf.remove_volume("swapped")
    shelf.reaches("swapped", "Stale", "IdentityChanged")
    shelf.volume("swapped", handle="another")
    time.sleep(0.5)
    assert shelf.status("swapped")["phase"] in ("Stale", "Verifying")
    node.paused.discard("swapped")
    shelf.reaches("swapped", "Verified")


def test_another_image_is_refused(shelf: Shelf, node: NodeAgent) -> None:
    node.contents["forged"] = Content(image="registry.example/evil@sha256:" + "66" * 32)
    shelf.good("forged")
    shelf.reaches("forged", "Error", "VerifierTampered")


def test_a_squatted_job_is_no_ones_verdict(shelf: Shelf, node: NodeAgent) -> None:
    """A08: Jobs with our labels and owner that succeed at once, made by somebody else."""
    node.paused.add("squatted")
    checkpoint = shelf.good("squatted")
    uid = checkpoint["metadata"]["uid"]
    ways: list[Json] = [
        *({"completions": number} for number in range(3)),
        {"suspend": True},
        {"ttlSecondsAfterFinished": 0},
        {"completions": 0, "ttlSecondsAfterFinished": 0, "backoffLimit": 0},
    ]
    for number, way in enumerate(ways):
        shelf.api.create(squatter(shelf, uid, f"wl-squatter-{number}", **way))
    shelf.reaches("squatted", "Verifying")
    time.sleep(1)
    assert shelf.status("squatted")["phase"] == "Verifying"
    node.paused.discard("squatted")
    shelf.reaches("squatted", "Verified")


def squatter(shelf: Shelf, uid: str, name: str, **spec: object) -> Json:
    labels = {
        "weightlock.dev/checkpoint-uid": uid,
        "weightlock.dev/verification": "0123456789abcdef",
        "app.kubernetes.io/managed-by": "weightlock",
    }
    template = {
        "metadata": {"labels": labels, "annotations": {"weightlock.dev/checkpoint": "nobody"}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "any"}]},
    }
    job = shelf.tenant.object("batch/v1", "Job", name, spec={**spec, "template": template})
    job["metadata"]["labels"] = labels
    job["metadata"]["ownerReferences"] = [
        {
            "apiVersion": "weightlock.dev/v1beta1",
            "kind": "ModelCheckpoint",
            "name": "squatted",
            "uid": uid,
            "controller": True,
        }
    ]
    return job


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda report: replace(report, nonce="f" * 16), id="another request's"),
        pytest.param(lambda report: replace(report, reason=Reason.UNREADABLE), id="an error"),
    ],
)
def test_a_forged_report_is_refused(
    shelf: Shelf, node: NodeAgent, change: Callable[[Report], Report]
) -> None:
    node.contents["liar"] = Content(change=change)
    shelf.good("liar")
    shelf.reaches("liar", "Error")


def test_a_forged_status_is_not_believed(shelf: Shelf, node: NodeAgent) -> None:
    """A10: somebody who can write a status copies a verdict onto another checkpoint."""
    shelf.good("honest")
    stolen = shelf.reaches("honest", "Verified")
    node.contents["thief"] = Content(reason=Reason.CONTENT_MISMATCH, signers=())
    thief = shelf.good("thief")
    shelf.reaches("thief", "Failed")
    shelf.api.patch(thief, {"status": stolen}, subresource="/status")
    shelf.reaches("thief", "Failed", "ContentMismatch")


def test_an_earlier_status_that_is_put_back_does_not_count(
    apiserver_with_controllers: ApiServer, shelf: Shelf, node: NodeAgent
) -> None:
    """A10: sealed by the operator itself, before it found that the content had changed."""
    body = shelf.good("replayed")
    former = shelf.reaches("replayed", "Verified")
    node.contents["replayed"] = Content(reason=Reason.CONTENT_MISMATCH, signers=())
    live = apiserver_with_controllers.api.read(body)
    broken = {**live, "status": {**former, "seal": "v1:none:broken"}}
    apiserver_with_controllers.api.replace_status(broken)
    shelf.reaches("replayed", "Failed", "ContentMismatch")
    live = apiserver_with_controllers.api.read(body)
    apiserver_with_controllers.api.replace_status({**live, "status": former})
    shelf.reaches("replayed", "Failed", "ContentMismatch")
    assert node.ran.count("replayed") == 3, "it was read again"


def test_a_changed_spec_is_verified_anew(shelf: Shelf, node: NodeAgent) -> None:
    body = shelf.good("moved")
    shelf.reaches("moved", "Verified")
    node.contents["moved"] = Content(reason=Reason.MISSING_FILE, signers=())
    shelf.api.patch(body, {"spec": {"source": {"path": "/elsewhere"}}})
    shelf.reaches("moved", "Failed", "MissingFile")


def test_a_spec_that_never_rests_gets_few_jobs(shelf: Shelf, node: NodeAgent) -> None:
    """A25: the tenant changes it between the Job and the status, time after time."""
    node.paused.add("flips")
    shelf.volume("flips")
    checkpoint = shelf.checkpoint("flips")
    made, most = set[str](), 0
    until = time.monotonic() + 8
    while time.monotonic() < until:
        for number in range(20):
            selector = {"matchLabels": {"n": str(number)}}
            shelf.api.patch(checkpoint, {"spec": {"workloadSelector": selector}})
        live = {job["metadata"]["uid"] for job in shelf.jobs()}
        made |= live
        most = max(most, len(live))
    assert most <= 1
    assert len(made) <= 1
    node.paused.discard("flips")


def test_an_older_version_is_a_rollback(shelf: Shelf, node: NodeAgent) -> None:
    """A22: also under another name, in another namespace, after a restart."""
    node.contents["new"] = Content(model=ModelIdentity("mistral", 9))
    node.contents["former"] = Content(model=ModelIdentity("mistral", 8))
    shelf.good("new")
    shelf.reaches("new", "Verified")
    shelf.good("former")
    shelf.reaches("former", "Failed", "Rollback")


def test_a_newer_version_takes_the_verdict_of_the_older_ones_at_once(
    shelf: Shelf, node: NodeAgent
) -> None:
    """A22: nothing happens to them but that the floor rises."""
    older = [f"older-{number}" for number in range(3)]
    for name in older:
        node.contents[name] = Content(model=ModelIdentity("gemma", 8))
        shelf.good(name)
    for name in older:
        shelf.reaches(name, "Verified")
    node.contents["newer"] = Content(model=ModelIdentity("gemma", 9))
    shelf.good("newer")
    shelf.reaches("newer", "Verified")
    for name in older:
        shelf.reaches(name, "Failed", "Rollback", seconds=5)


def test_a_writer_makes_a_verdict_stale(shelf: Shelf, node: NodeAgent) -> None:
    shelf.good("written")
    shelf.reaches("written", "Verified")
    writer = using(shelf, "writer", "written", read_only=False)
    shelf.api.create(writer)
    shelf.reaches("written", "Stale", "WriterSeen")
    [_, scheduled, _] = shelf.status("written")["conditions"]
    assert scheduled["reason"] == "WriterActive", "nothing is read while somebody may write"


def test_who_writes_to_the_same_export_elsewhere_makes_a_verdict_stale(
    apiserver_with_controllers: ApiServer, shelf: Shelf
) -> None:
    export = {"server": "files.example", "path": f"/export/{shelf.tenant.namespace}"}
    shelf.volume("exported", source={"nfs": export})
    shelf.checkpoint("exported")
    shelf.reaches("exported", "Verified")
    elsewhere = Shelf(apiserver_with_controllers.tenant())
    pod = using(elsewhere, "writer", "", read_only=False)
    pod["spec"]["volumes"] = [{"name": "model", "nfs": export}]
    elsewhere.api.create(pod)
    status = shelf.reaches("exported", "Stale", "WriterSeen")
    assert "writer" not in status.get("users", [])


def test_a_reader_does_not(shelf: Shelf) -> None:
    shelf.good("read")
    shelf.reaches("read", "Verified")
    shelf.api.create(using(shelf, "reader", "read", read_only=True))
    time.sleep(1)
    assert shelf.status("read")["phase"] == "Verified"


def using(shelf: Shelf, name: str, claim: str, *, read_only: bool) -> Json:
    source = {"claimName": claim, "readOnly": read_only}
    return shelf.tenant.object(
        "v1",
        "Pod",
        name,
        spec={
            "nodeName": "node-a",
            "volumes": [{"name": "model", "persistentVolumeClaim": source}],
            "containers": [
                {
                    "name": "main",
                    "image": "any",
                    "volumeMounts": [{"name": "model", "mountPath": "/model"}],
                }
            ],
        },
    )


def test_who_a_budget_protects_is_evicted_when_it_does_no_more(
    shelf: Shelf, node: NodeAgent
) -> None:
    namespace = shelf.tenant.namespace
    shelf.api.patch(policy(namespace, namespace), {"spec": {"onFailure": "Evict"}})
    node.contents["guarded"] = Content(reason=Reason.EXTRA_FILE, signers=())
    pod = using(shelf, "trainer", "guarded", read_only=True)
    pod["metadata"]["labels"] = {"app": "trainer"}
    budget = shelf.tenant.object(
        "policy/v1beta1",
        "PodDisruptionBudget",
        "trainer",
        spec={"minAvailable": 1, "selector": {"matchLabels": {"app": "trainer"}}},
    )
    shelf.api.create(budget)
    shelf.volume("guarded")
    made = shelf.api.create(pod)
    shelf.api.patch(made, {"status": {"phase": "Running"}}, subresource="/status")
    shelf.checkpoint("guarded")
    shelf.reaches("guarded", "Failed", "ExtraFile")
    time.sleep(1)
    assert "deletionTimestamp" not in shelf.api.read(pod)["metadata"]
    shelf.api.delete(budget)

    def is_going() -> bool:
        try:
            return "deletionTimestamp" in shelf.api.read(pod)["metadata"]
        except ApiError:
            return True

    wait_until("the pod is evicted", is_going, timeout_seconds=45)


def test_a_claim_that_a_pod_asked_for_is_registered(shelf: Shelf) -> None:
    namespace = shelf.tenant.namespace
    shelf.api.patch(policy(namespace, namespace), {"spec": {"autoRegister": True}})
    shelf.volume("wanted")
    shelf.api.create(requested(shelf, "wanted"))
    [name] = wait_until(
        "it is registered",
        lambda: [
            each["metadata"]["name"]
            for each in shelf.api.get(CHECKPOINT.format(namespace, ""))["items"]
        ],
        timeout_seconds=20,
    )
    shelf.reaches(name, "Verified")


def test_nothing_is_registered_where_no_policy_says_so(shelf: Shelf) -> None:
    shelf.volume("unwanted")
    shelf.api.create(requested(shelf, "unwanted"))
    time.sleep(1)
    assert not shelf.api.get(CHECKPOINT.format(shelf.tenant.namespace, ""))["items"]


def requested(shelf: Shelf, claim: str) -> Json:
    """What the webhook posts for a pod that it refused."""
    namespace = shelf.tenant.namespace
    return shelf.tenant.object(
        "v1",
        "Event",
        f"{claim}.requested",
        involvedObject={"kind": "PersistentVolumeClaim", "namespace": namespace, "name": claim},
        reason="VerificationRequested",
        reportingComponent="weightlock-webhook",
        reportingInstance="one",
        type="Normal",
        message="a pod wants /",
    )


def test_a_held_pod_is_nudged_when_its_checkpoint_is_verified(
    shelf: Shelf, node: NodeAgent
) -> None:
    """On a server without scheduling gates (M11)."""
    node.paused.add("awaited")
    shelf.good("awaited")
    shelf.reaches("awaited", "Verifying")
    pod = using(shelf, "held", "awaited", read_only=True)
    del pod["spec"]["nodeName"]
    waits = [{"volume": "model", "claim": "awaited", "path": "/", "checkpoint": "awaited"}]
    pod["metadata"]["labels"] = {"weightlock.dev/held": "true"}
    pod["metadata"]["annotations"] = {"weightlock.dev/waits-for": json.dumps(waits)}
    shelf.api.create(pod)

    def nudged() -> object:
        return shelf.api.read(pod)["metadata"]["annotations"].get("weightlock.dev/nudged-at")

    time.sleep(0.5)
    assert not nudged()
    node.paused.discard("awaited")
    wait_until("the pod is nudged", nudged, timeout_seconds=20)
    binding = {"target": {"apiVersion": "v1", "kind": "Node", "name": "node-a"}}
    shelf.api.send(
        "POST",
        f"/api/v1/namespaces/{shelf.tenant.namespace}/pods/held/binding",
        {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "held"}, **binding},
    )

    def is_unlabelled() -> bool:
        return "weightlock.dev/held" not in shelf.api.read(pod)["metadata"].get("labels", {})

    wait_until("its label is gone", is_unlabelled, timeout_seconds=20)


def test_a_deleted_checkpoint_takes_its_job_along(shelf: Shelf, node: NodeAgent) -> None:
    node.paused.add("gone")
    body = shelf.good("gone")
    shelf.reaches("gone", "Verifying")
    shelf.api.delete(body)
    wait_until("its Job is gone", lambda: not shelf.jobs(), timeout_seconds=30)


def test_a_namespace_without_a_policy_says_so(
    apiserver_with_controllers: ApiServer, operator: RunningOperator
) -> None:
    bare = Shelf(apiserver_with_controllers.tenant())
    bare.good("nobodys")
    bare.reaches("nobodys", "Error", "NoPolicy")
    with pytest.raises(ApiError, match="404"):
        bare.api.get(CHECKPOINT.format(bare.tenant.namespace, "other"))


PRIVATE = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n"
BROKEN = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"


def with_key(text: str) -> Json:
    return signatures({**authority("release", PQ), "publicKey": text})


@pytest.mark.parametrize(
    ("name", "wrong", "field", "instead"),
    [
        pytest.param(
            "classical", signatures(authority("legacy", EC)), "signatures", "ML-DSA", id="classical"
        ),
        pytest.param("private", with_key(PRIVATE), "publicKey", "keygen", id="private key"),
        pytest.param("broken", with_key(BROKEN), "publicKey", "public key", id="bad PEM"),
    ],
)
def test_what_a_policy_says_wrong_stands_in_its_status_and_the_others_go_on(
    shelf: Shelf, name: str, wrong: Json, field: str, instead: str
) -> None:
    bad = {
        "apiVersion": "weightlock.dev/v1beta1",
        "kind": "ModelPolicy",
        "metadata": {"name": name, "namespace": shelf.tenant.namespace},
        "spec": {"signatures": wrong},
    }
    shelf.api.create(bad)

    def refused() -> str:
        status = shelf.api.read(bad).get("status") or {}
        ready = (status.get("conditions") or [{}])[0]
        return str(ready["message"]) if ready.get("status") == "False" else ""

    message = wait_until("the policy says what is wrong", refused, timeout_seconds=20)
    assert field in message
    assert instead in message
    assert "MC4CAQ" not in message
    shelf.good("beside")
    shelf.reaches("beside", "Verified")


def test_the_operator_is_well(operator: RunningOperator, tmp_path: Path) -> None:
    assert operator.get("/healthz") == (200, "ok\n")
    assert operator.get("/readyz") == (200, "ok\n")
    text = operator.get("/metrics")[1]
    assert "weightlock_leader 1.0" in text
    assert "Traceback" not in operator.log
