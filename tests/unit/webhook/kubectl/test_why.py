"""`weightlock why`: the webhook's own answer, volume by volume, with what to do."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.unit.policy.builders import NOW, policy_object
from tests.unit.webhook.cluster import NAMESPACE, claim_object
from tests.unit.webhook.kubectl.fake import (
    CHECKPOINTS,
    EVENTS,
    FakeCluster,
    arguments,
    cluster,
    pod,
    stored,
)
from tests.unit.webhook.objects import Object, claim_volume, container, mount, pod_spec, volume

from weightlock.cli.main import main
from weightlock.errors import Malformed, Unreadable
from weightlock.verdict.floors import VouchedModel, entry_of
from weightlock_webhook.kubectl import why
from weightlock_webhook.kubectl.cluster import CORE, OURS, Forbidden, NotInstalled, namespaced
from weightlock_webhook.kubectl.telling import write_explanation

APPS = "/apis/apps/v1"
POLICY = f"{OURS}/clustermodelpolicies/post-quantum"
SYSTEM_CONFIG = f"{CORE}/namespaces/weightlock-system/configmaps"


def explained(found: FakeCluster, *words: str) -> why.Explanation:
    return why.explain(found, arguments("why", *words), NOW)


def said(capsys: pytest.CaptureFixture[str], found: FakeCluster, *words: str) -> tuple[bool, str]:
    explanation = explained(found, *words)
    write_explanation(explanation, as_json=False)
    return explanation.is_allowed, capsys.readouterr().out


def document(capsys: pytest.CaptureFixture[str], found: FakeCluster, *words: str) -> Object:
    write_explanation(explained(found, *words), as_json=True)
    written: Object = json.loads(capsys.readouterr().out)
    return written


def verified(**status: Any) -> FakeCluster:
    signature = {"algorithm": "ML-DSA-65", "family": "ML-DSA", "authority": "release"}
    found = stored()
    found["status"] |= status
    found["status"]["signatures"][0] |= signature
    return cluster(pod(), **{f"{CHECKPOINTS}/llama": found})


def test_a_verified_pod_may_run_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    allowed, text = said(capsys, verified(), "pod/trainer-0")
    assert allowed
    for words in (
        "pod team-a/trainer-0: Allow. It may run.",
        "judged by   ClusterModelPolicy post-quantum",
        'volume "model" (claim llama), path "/": Verified',
        "checkpoint  llama",
        "signed by   release (ML-DSA-65)",
        "good until  2026-11-28T11:00:00Z",
        "Assumed: The status of checkpoint llama is the operator's; its seal is not checked.",
    ):
        assert words in text


def test_the_same_as_one_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, verified(), "pod/trainer-0")
    assert (found["asked"], found["allowed"]) == ("pod/trainer-0", True)
    (judged,) = found["pods"]
    (finding,) = judged["findings"]
    assert judged["outcome"] == "Allow"
    assert finding["signedBy"] == ["release (ML-DSA-65)"]
    assert (finding["volume"], finding["checkpoint"], finding["stops"]) == ("model", "llama", False)


def test_a_pod_without_a_checkpoint_reads_the_command_that_helps(
    capsys: pytest.CaptureFixture[str],
) -> None:
    allowed, text = said(capsys, cluster(pod()), "trainer-0")
    assert not allowed
    assert "Deny (NoCheckpoint). It is refused until this is put right." in text
    assert (
        'do          Have it verified: weightlock register --namespace team-a --claim "llama"'
        ' --path "/"' in text
    )


@pytest.mark.parametrize(
    ("status", "words"),
    [
        pytest.param(
            {"phase": "Pending", "queue": {"position": 2}},
            "state       waiting at place 2 of the queue",
            id="queued",
        ),
        pytest.param(
            {"phase": "Verifying", "verification": {"job": "verify-1", "startedAt": "T"}},
            "state       being verified by Job verify-1 since T",
            id="verifying",
        ),
        pytest.param(
            {"phase": "Pending", "reason": "QuotaExceeded", "message": "no quota"},
            "state       Pending (QuotaExceeded): no quota",
            id="out of quota",
        ),
        pytest.param(None, "state       waiting for the operator", id="just registered"),
    ],
)
def test_what_is_going_on_is_said(
    status: Object | None, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = stored()
    found["status"] = {"observedGeneration": 1, **status} if status else {}
    allowed, text = said(capsys, cluster(pod(), **{f"{CHECKPOINTS}/llama": found}), "pod/trainer-0")
    assert not allowed
    assert words in text


def test_a_failed_checkpoint_says_what_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    found = stored()
    found["status"] = {
        "observedGeneration": 1,
        "phase": "Failed",
        "reason": "ContentMismatch",
        "message": "weights.bin is not as signed",
    }
    _, text = said(capsys, cluster(pod(), **{f"{CHECKPOINTS}/llama": found}), "pod/trainer-0")
    assert "ContentMismatch" in text
    assert "weights.bin is not as signed" in text


def test_objections_to_the_pod_itself_come_first(capsys: pytest.CaptureFixture[str]) -> None:
    found = verified()
    found.objects.update(cluster(pod(spec=pod_spec(hostPID=True))).objects)
    _, text = said(capsys, found, "pod/trainer-0")
    lines = text.splitlines()
    assert lines[2] == "  pod: HostNamespaces"


def test_volumes_that_nobody_wants_verified_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    spec = pod_spec(
        claim_volume(),
        volume("scratch", emptyDir={}),
        volume("node", hostPath={"path": "/mnt/data"}),
        volume("disk", iscsi={"targetPortal": "p"}),
        containers=[container(mount())],
    )
    found = verified()
    ignoring = policy_object(
        volumes={
            "default": "Ignore",
            "rules": [{"persistentVolumeClaim": {"claimNames": ["llama"]}, "action": "Verify"}],
        }
    )
    found.objects[POLICY] = ignoring
    found.objects.update({f"{CORE}/namespaces/{NAMESPACE}/pods/trainer-0": pod(spec=spec)})
    _, text = said(capsys, found, "pod/trainer-0")
    assert 'volume "scratch" (emptyDir): no policy wants it verified' in text
    assert 'volume "node" (hostPath /mnt/data): no policy wants it verified' in text
    assert 'volume "disk" (iscsi): no policy wants it verified' in text


def test_a_running_pod_is_told_apart_from_a_new_one(capsys: pytest.CaptureFixture[str]) -> None:
    found = cluster(pod(status={"phase": "Running"}))
    _, text = said(capsys, found, "pod/trainer-0")
    assert "It was let in when this was not so; a new pod like it would not be." in text


def test_a_held_pod_waits_and_says_for_what(capsys: pytest.CaptureFixture[str]) -> None:
    waiting = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "SchedulingGated",
        "message": "by gates",
    }
    other = {"type": "Ready", "status": "False"}
    found = cluster(pod(status={"phase": "Pending", "conditions": [other, waiting]}))
    found.objects[POLICY] = policy_object(onUnverified="Hold")
    _, text = said(capsys, found, "pod/trainer-0")
    assert "It waits for the scheduler (SchedulingGated): by gates" in text
    assert "It is held until what it mounts is verified, and then starts by itself." in text


def test_an_injected_pod_verifies_itself(capsys: pytest.CaptureFixture[str]) -> None:
    found = cluster(pod())
    found.objects[POLICY] = policy_object(onUnverified="Inject")
    _, text = said(capsys, found, "pod/trainer-0")
    assert "init container in front of it" in text


def test_a_tolerated_classical_signature_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    from tests.unit.policy.builders import EC, authority, signatures  # noqa: PLC0415

    found = verified(
        signatures=[{"algorithm": "Ed25519", "family": "classical", "keyid": EC.keyid}]
    )
    found.objects[f"{CHECKPOINTS}/llama"]["status"]["signatures"][0]["algorithm"] = "Ed25519"
    found.objects[POLICY] = policy_object(
        enforcement="Warn",
        signatures=signatures(
            authority("legacy", EC),
            classical={"action": "Warn", "sunset": "2027-01-01T00:00:00Z"},
        ),
    )
    allowed, text = said(capsys, found, "pod/trainer-0")
    assert allowed
    assert 'path "/": ClassicalOnly' in text


def replica_set(name: str = "trainer-7d9f") -> Object:
    template = {"metadata": {}, "spec": pod_spec()}
    return {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": {"template": template}}


def event(reason: str, kind: str, name: str, message: str, **rest: Any) -> Object:
    return {
        "metadata": {"name": f"{name}.{reason}", "creationTimestamp": "2026-11-21T11:00:00Z"},
        "involvedObject": {"kind": kind, "name": name},
        "reason": reason,
        "message": message,
        **rest,
    }


def with_events(found: FakeCluster, *events: Object) -> FakeCluster:
    for each in events:
        found.objects[f"{EVENTS}/{each['metadata']['name']}"] = each
    return found


REFUSED = event(
    "FailedCreate",
    "ReplicaSet",
    "trainer-7d9f",
    'admission webhook "pods.weightlock.dev" denied the request:\nNoCheckpoint: ...',
    count=7,
    lastTimestamp="2026-11-21T11:59:00Z",
)


def test_a_pod_that_was_refused_is_explained_by_what_makes_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = cluster(**{f"{APPS}/namespaces/{NAMESPACE}/replicasets/trainer-7d9f": replica_set()})
    with_events(
        found,
        REFUSED,
        event("VerificationRequested", "PersistentVolumeClaim", "llama", "path / is wanted"),
        event("VerificationRequested", "PersistentVolumeClaim", "other", "not ours"),
        event("FailedScheduling", "Pod", "another-0", "not ours either"),
    )
    allowed, text = said(capsys, found, "pod/trainer-7d9f-x2x1l")
    assert not allowed
    for words in (
        "There is no pod trainer-7d9f-x2x1l; replicaset/trainer-7d9f makes pods of such a name",
        "replicaset team-a/trainer-7d9f spec.template: Deny (NoCheckpoint)",
        "Event 2026-11-21T11:59:00Z replicaset/trainer-7d9f FailedCreate (7 times): admission"
        ' webhook "pods.weightlock.dev" denied the request: NoCheckpoint: ...',
        "persistentvolumeclaim/llama VerificationRequested: path / is wanted",
    ):
        assert words in text
    assert "not ours" not in text


def test_without_events_its_maker_is_found_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    jobs = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
    job = replica_set("trainer")
    longer = replica_set("trainer-7d9f")
    sets = f"{APPS}/namespaces/{NAMESPACE}/replicasets"
    found = cluster(**{f"{jobs}/trainer": job, f"{sets}/trainer-7d9f": longer})
    assert "replicaset/trainer-7d9f makes" in said(capsys, found, "pod/trainer-7d9f-x2x1l")[1]
    found.forbidden = {f"list {sets}", f"list {EVENTS}"}
    assert "job/trainer makes" in said(capsys, found, "pod/trainer-7d9f-x2x1l")[1]


def test_a_pod_that_nothing_makes_is_asked_for_as_a_file() -> None:
    with pytest.raises(Malformed) as raised:
        explained(cluster(), "pod/lonely")
    assert "-f FILE" in raised.value.hint


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("deployment/trainer", f"{APPS}/namespaces/{NAMESPACE}/deployments/trainer"),
        ("deploy/trainer", f"{APPS}/namespaces/{NAMESPACE}/deployments/trainer"),
        ("jobs.batch/trainer", f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs/trainer"),
        (
            "pytorchjob/trainer",
            f"/apis/kubeflow.org/v1/namespaces/{NAMESPACE}/pytorchjobs/trainer",
        ),
    ],
)
def test_workloads_are_judged_by_their_templates(
    target: str, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = cluster(**{path: replica_set("trainer")})
    with_events(found, event("FailedCreate", "ReplicaSet", "trainer-1", "denied"))
    _, text = said(capsys, found, target)
    assert "team-a/trainer spec.template: Deny (NoCheckpoint)" in text
    assert "replicaset/trainer-1 FailedCreate: denied" in text


@pytest.mark.parametrize(
    ("target", "words"),
    [
        pytest.param("deployment/none", "there is no deployment/none", id="missing"),
        pytest.param("service/x", "expected one of: pod, deployment", id="no workload"),
        pytest.param("pod/X", "expected lower-case", id="no name"),
        pytest.param("deployment/empty", "has no pod template", id="without a template"),
    ],
)
def test_what_cannot_be_asked_about_is_said(target: str, words: str) -> None:
    path = f"{APPS}/namespaces/{NAMESPACE}/deployments/empty"
    with pytest.raises(Malformed, match=words):
        explained(cluster(**{path: {"metadata": {"name": "empty"}}}), target)


def test_a_pod_in_a_file_is_judged_under_the_clusters_policies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "pod.yaml"
    file.write_text(json.dumps(pod("fresh")))
    allowed, text = said(capsys, verified(), "-f", str(file))
    assert allowed
    assert "pod team-a/fresh: Allow" in text


def test_a_pod_may_come_through_a_pipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    piped = io.TextIOWrapper(io.BytesIO(json.dumps(pod("piped")).encode()))
    monkeypatch.setattr(sys, "stdin", piped)
    assert "pod team-a/piped: Allow" in said(capsys, verified(), "-f", "-")[1]


def test_a_pod_in_a_file_that_cannot_be_read_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "pod.yaml"
    file.write_text(json.dumps(pod("fresh", spec=pod_spec(hostPID="yes"))))
    allowed, text = said(capsys, verified(), "-f", str(file))
    assert not allowed
    assert "pod: Malformed" in text


def test_a_file_without_pods_or_with_several_namespaces_is_no_question(tmp_path: Path) -> None:
    file = tmp_path / "pods.yaml"
    elsewhere = pod("b")
    elsewhere["metadata"]["namespace"] = "team-b"
    file.write_text("\n---\n".join(map(json.dumps, (pod("a"), elsewhere))))
    with pytest.raises(Malformed, match="2 namespaces"):
        explained(verified(), "-f", str(file))
    file.write_text(json.dumps(claim_object()))
    with pytest.raises(Malformed, match="no pod and no workload"):
        explained(verified(), "-f", str(file))
    with pytest.raises(Unreadable, match="No such file"):
        explained(verified(), "-f", str(tmp_path / "none"))


def test_what_may_not_be_read_is_assumed_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    found = verified()
    found.forbidden = {
        f"list {CORE}/persistentvolumes",
        f"get {CORE}/namespaces/{NAMESPACE}",
        f"get {SYSTEM_CONFIG}/weightlock-versions",
        f"get {SYSTEM_CONFIG}/weightlock-state",
    }
    allowed, text = said(capsys, found, "pod/trainer-0")
    assert allowed
    assert "PersistentVolume pv-llama, which you may not read, is the one that was verified" in text
    assert "You may not read ConfigMap weightlock-versions" in text
    assert "Namespace team-a has no labels but its name." in text


def test_without_policies_there_is_no_answer() -> None:
    found = verified()
    found.forbidden = {f"list {OURS}/clustermodelpolicies"}
    with pytest.raises(Forbidden) as raised:
        explained(found, "pod/trainer-0")
    assert "kubectl create clusterrole weightlock-list --verb=list" in raised.value.hint
    found = verified()
    found.missing = {CHECKPOINTS}
    with pytest.raises(NotInstalled, match=r"modelcheckpoints\.weightlock\.dev"):
        explained(found, "pod/trainer-0")


def test_a_policy_that_says_nothing_keeps_the_pod_out_and_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = verified()
    found.objects[POLICY] = {"metadata": {"name": "p"}, "spec": {}}
    allowed, text = said(capsys, found, "pod/trainer-0")
    assert not allowed
    assert "ClusterModelPolicy p cannot be decided upon: spec.signatures: missing" in text


def test_a_policy_that_cannot_be_read_and_is_about_others_is_no_matter(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = verified()
    others = {"namespaceSelector": {"matchLabels": {"team": "others"}}}
    found.objects[f"{POLICY}-too"] = {"metadata": {"name": "p"}, "spec": others}
    allowed, text = said(capsys, found, "pod/trainer-0")
    assert allowed
    assert "cannot be decided upon" not in text


def test_a_checkpoint_that_cannot_be_read_vouches_for_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = cluster(pod(), **{f"{CHECKPOINTS}/llama": stored(surprise=1)})
    found.objects[f"{CHECKPOINTS}/llama"]["spec"]["surprise"] = 1
    _, text = said(capsys, found, "pod/trainer-0")
    assert "ModelCheckpoint llama cannot be read" in text
    assert "NoCheckpoint" in text


NEWER = entry_of(VouchedModel("ClusterModelPolicy post-quantum", "llama"), 9)


def config(name: str, **data: str) -> dict[str, Object]:
    return {f"{SYSTEM_CONFIG}/{name}": {"data": data}}


@pytest.mark.parametrize(
    ("objects", "reason"),
    [
        pytest.param(
            config("weightlock-versions", **dict([NEWER]), b="?", c="{}"),
            "Rollback",
            id="a newer version was seen",
        ),
        pytest.param(
            config("weightlock-state", restoredAt="2026-11-21T11:30:00Z"),
            "RestoredFromBackup",
            id="the cluster was restored",
        ),
    ],
)
def test_what_the_operator_remembers_counts(
    objects: dict[str, Object], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = verified(modelName="llama", modelVersion=3)
    found.objects.update(objects)
    assert f"Deny ({reason})" in said(capsys, found, "pod/trainer-0")[1]


def writing(claim: str = "llama", *, read_only: bool = False, **status: Any) -> Object:
    spec = pod_spec(
        claim_volume(claim=claim, read_only=False),
        containers=[container(mount(readOnly=read_only), mount("other", at="/o"))],
    )
    spec["volumes"].append(volume("other", emptyDir={}))
    return pod("writer", spec=spec, status=status)


def ended(*ends: str) -> Object:
    states = [{"state": {"terminated": {"finishedAt": end}}} for end in ends]
    return {"phase": "Succeeded", "containerStatuses": [{"state": {}}, *states]}


@pytest.mark.parametrize(
    ("writer", "reason"),
    [
        pytest.param(writing(phase="Running"), "WriterSeen", id="a writer that runs"),
        pytest.param(
            writing(**ended("2026-11-21T11:30:00Z")), "WriterSeen", id="one that ran since"
        ),
        pytest.param(
            writing(**ended("2026-11-21T10:30:00Z")), "Verified", id="one that ran before"
        ),
        pytest.param(writing(**ended()), "Verified", id="one that never ran"),
        pytest.param(writing(**ended("soon")), "WriterSeen", id="one that ended who knows when"),
        pytest.param(writing("elsewhere"), "Verified", id="a writer to another claim"),
        pytest.param(writing(read_only=True), "Verified", id="a reader"),
        pytest.param(pod("odd", spec={"volumes": 7}), "Verified", id="a pod of the future"),
    ],
)
def test_who_can_write_is_seen(writer: Object, reason: str) -> None:
    found = verified()
    found.objects[f"{CORE}/namespaces/{NAMESPACE}/pods/writer"] = writer
    (judged,) = explained(found, "pod/trainer-0").judged
    assert judged.answer.reason == reason


def test_an_instant_that_is_none_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    found = verified()
    found.objects.update(config("weightlock-state", restoredAt="yesterday"))
    assert "ConfigMap weightlock-state cannot be read." in said(capsys, found, "trainer-0")[1]


def test_device_claims_are_read_where_the_server_has_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    devices = [{"name": "gpu", "resourceClaimName": "mine"}]
    found = verified()
    found.objects.update(cluster(pod(spec=pod_spec(resourceClaims=devices))).objects)
    v1, beta = (
        namespaced(NAMESPACE, "resourceclaims", api=f"/apis/resource.k8s.io/{version}")
        for version in ("v1", "v1beta1")
    )
    found.missing = {v1, v1.replace("/v1/", "/v1beta2/")}
    found.objects[f"{beta}/mine"] = {
        "metadata": {"name": "mine"},
        "spec": {"devices": {"requests": [{"deviceClassName": "gpu.example"}]}},
    }
    assert "gpu.example" in said(capsys, found, "pod/trainer-0")[1]
    found.missing.add(beta)
    assert "DeviceClaim" in said(capsys, found, "pod/trainer-0")[1]


@pytest.mark.parametrize("words", [[], ["pod/a", "-f", "x"]])
def test_one_question_at_a_time(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", *words]) == 2
    assert "name a pod or workload" in capsys.readouterr().err


@pytest.mark.parametrize("target", ["service/x", "pod/X"])
def test_a_slip_of_the_pen_is_usage_and_needs_no_cluster(
    target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["why", target, "--kubeconfig", "/none"]) == 2
    assert "weightlock why: found" in capsys.readouterr().err


def test_nothing_is_assumed_aloud_about_checkpoints_that_the_pod_does_not_mount(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = verified()
    (path,) = (each for each in found.objects if each.startswith(f"{CHECKPOINTS}/"))
    another = json.loads(json.dumps(found.objects[path]))
    another["metadata"] |= {"name": "another", "uid": "uid-another"}
    another["spec"]["source"]["path"] = "/another"
    found.objects[f"{CHECKPOINTS}/another"] = another
    _, text = said(capsys, found, "pod/trainer-0")
    assert "The status of checkpoint llama is" in text
    assert "another" not in text
