"""`weightlock register`: what is written, what is left alone, and what its user reads."""

import json
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.policy.builders import NOW, policy_object
from tests.unit.webhook.cluster import NAMESPACE
from tests.unit.webhook.kubectl.fake import (
    CHECKPOINTS,
    Clock,
    FakeCluster,
    arguments,
    cluster,
    pod,
    stored,
)
from tests.unit.webhook.objects import Object, container, mount, pod_spec, volume

from weightlock.cli.main import main
from weightlock.errors import Malformed
from weightlock.policy.paths import VolumePath
from weightlock.policy.registration import checkpoint_name
from weightlock.policy.sources import ClaimSource
from weightlock_webhook.kubectl import register as command
from weightlock_webhook.kubectl.cluster import CORE, OURS, AlreadyThere, Forbidden, namespaced

NAME = checkpoint_name(ClaimSource("llama"), VolumePath(("step-1200",)))
CLAIM = ("--claim", "llama", "--path", "/step-1200")
AT_STEP = {"source": {"persistentVolumeClaim": {"claimName": "llama"}, "path": "/step-1200"}}


def run(found: FakeCluster, *words: str, clock: Clock | None = None) -> int:
    args = arguments("register", *words)
    options = command._options(args)
    assert options is not None
    patience = (clock or Clock()).patience(options.patience.limit)
    return command.register(
        found, command.Options(args, patience, options.path, options.model_name), NOW
    )


def at_step(name: str = NAME, **spec: Any) -> Object:
    found = stored(phase="Pending")
    found["metadata"]["name"] = name
    found["spec"] = {**AT_STEP, **spec}
    found["status"] = {"observedGeneration": 1, "phase": "Pending", "reason": "Queued"}
    return found


def test_a_claim_and_a_path_become_a_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    found = cluster()
    assert run(found, *CLAIM, "--model-name", "llama-70b") == 0
    made = found.objects[f"{CHECKPOINTS}/{NAME}"]
    assert made["spec"] == {**AT_STEP, "modelName": "llama-70b"}
    assert (
        f"modelcheckpoint team-a/{NAME} created: claim llama, path /step-1200"
        in capsys.readouterr().out
    )


def test_registering_again_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    found = cluster()
    run(found, *CLAIM)
    before = dict(found.objects)
    assert run(found, *CLAIM) == 0
    assert found.objects == before
    assert "unchanged" in capsys.readouterr().out


def test_a_checkpoint_that_somebody_named_otherwise_is_found(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = cluster(**{f"{CHECKPOINTS}/ours": at_step("ours")})
    assert run(found, *CLAIM) == 0
    assert "team-a/ours unchanged" in capsys.readouterr().out


def test_a_verified_folder_above_is_enough_and_one_that_is_not_verified_is_not() -> None:
    above = stored()
    above["spec"]["source"]["path"] = "/"
    found = cluster(**{f"{CHECKPOINTS}/llama": above})
    run(found, *CLAIM)
    assert set(found.objects) == set(cluster(**{f"{CHECKPOINTS}/llama": above}).objects)
    del above["status"]
    found = cluster(**{f"{CHECKPOINTS}/llama": above})
    run(found, *CLAIM)
    assert f"{CHECKPOINTS}/{NAME}" in found.objects


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        pytest.param({"modelName": "gpt"}, "its modelName is gpt, not llama-70b", id="model"),
        pytest.param({}, "its modelName is not set, not llama-70b", id="no model"),
        pytest.param(
            {"source": {"persistentVolumeClaim": {"claimName": "other"}}},
            "it is about claim other, not claim llama; its path is /, not /step-1200",
            id="another folder",
        ),
    ],
)
def test_what_somebody_else_wrote_is_never_overwritten(
    spec: Object, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = cluster(**{f"{CHECKPOINTS}/mine": at_step("mine", **spec)})
    before = dict(found.objects)
    assert run(found, *CLAIM, "--name", "mine", "--model-name", "llama-70b") == 4
    assert found.objects == before
    assert words in capsys.readouterr().out


def test_two_who_register_at_once_register_once() -> None:
    found = cluster()

    def meanwhile() -> None:
        found.objects[f"{CHECKPOINTS}/{NAME}"] = at_step()

    found.before_create = meanwhile
    assert run(found, *CLAIM) == 0


def test_one_that_came_and_went_is_an_error() -> None:
    found = cluster(**{f"{CHECKPOINTS}/{NAME}": at_step()})
    found.forbidden = {f"list {CHECKPOINTS}"}
    found.objects[f"{CHECKPOINTS}/{NAME}"] = at_step()

    def refuse() -> None:
        del found.objects[f"{CHECKPOINTS}/{NAME}"]
        raise AlreadyThere("there")

    found.before_create = refuse
    with pytest.raises(AlreadyThere):
        run(found, *CLAIM)


def test_a_dry_run_is_checked_by_the_server_and_stores_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = cluster()
    before = dict(found.objects)
    assert run(found, *CLAIM, "--dry-run", "--wait") == 0
    assert (found.objects, found.dry_runs) == (before, 1)
    assert "would be created" in capsys.readouterr().out


def test_who_may_not_create_reads_which_right_is_missing() -> None:
    found = cluster()
    found.forbidden = {f"create {CHECKPOINTS}", f"list {CHECKPOINTS}"}
    with pytest.raises(Forbidden) as raised:
        run(found, *CLAIM)
    assert (
        "kubectl create role weightlock-create --namespace team-a --verb=create"
        " --resource=modelcheckpoints.weightlock.dev" in raised.value.hint
    )


def test_a_checkpoint_that_cannot_be_read_is_nobodys() -> None:
    broken = at_step("broken", surprise=1)
    found = cluster(**{f"{CHECKPOINTS}/broken": broken})
    assert run(found, *CLAIM) == 0
    assert f"{CHECKPOINTS}/{NAME}" in found.objects


def phases(found: FakeCluster, *statuses: Object) -> Clock:
    def change(status: Object) -> Any:
        def happen() -> None:
            found.objects[f"{CHECKPOINTS}/{NAME}"]["status"] = {"observedGeneration": 1, **status}

        return happen

    return Clock(*(change(status) for status in statuses))


@pytest.mark.parametrize(
    ("phase", "code"), [("Verified", 0), ("Failed", 1), ("ClassicalOnly", 3), ("Error", 4)]
)
def test_waiting_ends_with_the_verdict(
    phase: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    found = cluster()
    clock = phases(
        found,
        {"phase": "Pending", "queue": {"position": 3, "since": "S", "waitingFor": "a GPU"}},
        {"phase": "Verifying", "verification": {"job": "verify-x", "attempt": 2}},
        {"phase": "Error", "message": "no GPU came", "nextAttempt": "T"},
        {"phase": phase, "reason": "Because", "message": "that is so"},
    )
    assert run(found, *CLAIM, "--wait", clock=clock) == code
    assert capsys.readouterr().err.splitlines() == [
        f"{NAME}: waiting for the operator",
        f"{NAME}: waiting at place 3 of the queue since S, for a GPU",
        f"{NAME}: being verified by Job verify-x, attempt 2",
        f"{NAME}: Error: no GPU came; tried again at T",
        f"{NAME}: {phase} (Because): that is so",
    ]


def test_patience_ends() -> None:
    found = cluster()
    clock = Clock()
    assert run(found, *CLAIM, "--wait", "--timeout", "5m", clock=clock) == 4
    assert clock.now == timedelta(minutes=5).total_seconds()


def test_when_patience_ends_it_says_that_the_verification_does_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(cluster(), *CLAIM, "--wait", "--timeout", "5m", clock=Clock()) == 4
    assert f"No verdict within 5m: {NAME}." in capsys.readouterr().err


def test_a_claim_that_is_not_there_is_registered_and_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = cluster()
    del found.objects[namespaced(NAMESPACE, "persistentvolumeclaims", "llama", api=CORE)]
    assert run(found, *CLAIM) == 0
    assert "There is no claim llama in namespace team-a" in capsys.readouterr().err
    assert registered(found)


def test_a_claim_that_may_not_be_read_is_not_missed(capsys: pytest.CaptureFixture[str]) -> None:
    found = cluster()
    path = namespaced(NAMESPACE, "persistentvolumeclaims", "llama", api=CORE)
    found.forbidden = {f"get {path}"}
    assert run(found, *CLAIM) == 0
    assert capsys.readouterr().err == ""


def test_a_verdict_on_an_older_spec_is_none() -> None:
    found = cluster()
    clock = phases(found, {"phase": "Verified", "observedGeneration": 0})
    assert run(found, *CLAIM, "--wait", "--timeout", "1m", clock=clock) == 4


def test_one_json_document_says_everything(capsys: pytest.CaptureFixture[str]) -> None:
    found = cluster()
    clock = phases(found, {"phase": "Verified", "reason": "Verified", "message": "as signed"})
    assert run(found, *CLAIM, "--wait", "--json", clock=clock) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert json.loads(captured.out) == {
        "dryRun": False,
        "checkpoints": [
            {
                "namespace": NAMESPACE,
                "name": NAME,
                "change": "created",
                "why": "",
                "path": "/step-1200",
                "source": "claim llama",
                "phase": "Verified",
                "reason": "Verified",
                "message": "as signed",
                "progress": "Verified: as signed",
            }
        ],
        "notRegistered": [],
    }


def registered(found: FakeCluster) -> list[Object]:
    return [
        each["spec"]["source"]
        for path, each in found.objects.items()
        if path.startswith(f"{CHECKPOINTS}/")
    ]


CLAIM_AT = {"persistentVolumeClaim": {"claimName": "llama"}}


@pytest.mark.parametrize(
    ("spec", "sources"),
    [
        pytest.param(pod_spec(), [{**CLAIM_AT, "path": "/"}], id="a whole claim"),
        pytest.param(
            pod_spec(containers=[container(mount(subPath="a"), mount(at="/b", subPath="b"))]),
            [{**CLAIM_AT, "path": "/a"}, {**CLAIM_AT, "path": "/b"}],
            id="two folders",
        ),
        pytest.param(
            pod_spec(containers=[container(mount(subPath="a/b"), mount(at="/b", subPath="a"))]),
            [{**CLAIM_AT, "path": "/a"}],
            id="a folder below another",
        ),
        pytest.param(
            pod_spec(
                volume("model", hostPath={"path": "/mnt/models"}),
                nodeSelector={"kubernetes.io/hostname": "node-3"},
            ),
            [{"hostPath": {"path": "/mnt/models", "nodeName": "node-3"}, "path": "/"}],
            id="a folder of a node",
        ),
        pytest.param(
            pod_spec(volume("model", nfs={"server": "nas", "path": "/export", "readOnly": True})),
            [{"nfs": {"server": "nas", "path": "/export"}, "path": "/"}],
            id="NFS",
        ),
        pytest.param(
            pod_spec(volume("model", csi={"driver": "d.example", "volumeAttributes": {"a": "b"}})),
            [{"csi": {"driver": "d.example", "volumeAttributes": {"a": "b"}}, "path": "/"}],
            id="inline CSI",
        ),
        pytest.param(
            pod_spec(volume("model", image={"reference": "r/m@sha256:" + "ab" * 32})),
            [{"image": {"reference": "r/m@sha256:" + "ab" * 32}, "path": "/"}],
            id="an image",
        ),
        pytest.param(pod_spec(volume("model", emptyDir={})), [], id="nothing to verify"),
    ],
)
def test_all_that_a_pod_needs_is_registered(spec: Object, sources: list[Object]) -> None:
    found = cluster(pod(spec=spec))
    assert run(found, "--pod", "trainer-0") == 0
    assert registered(found) == sources


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        pytest.param(
            pod_spec(volume("model", hostPath={"path": "/mnt"})), "nodeAffinity", id="any node"
        ),
        pytest.param(
            pod_spec(containers=[container(mount(subPathExpr="$(X)"))]), "subPath", id="expression"
        ),
        pytest.param(pod_spec(volume("model", iscsi={"targetPortal": "p"})), "iscsi", id="iSCSI"),
        pytest.param(
            pod_spec(volume("model", image={"reference": "r/m:latest"})), "image", id="a tag"
        ),
        pytest.param(
            pod_spec(volume("model", csi={"driver": "d.example", "fsType": "ext4"})),
            "driver and volumeAttributes",
            id="CSI with more",
        ),
    ],
)
def test_what_cannot_be_registered_is_said(
    spec: Object, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = cluster(pod(spec=spec))
    assert run(found, "--pod", "trainer-0") == 4
    assert registered(found) == []
    assert words in capsys.readouterr().out


def test_what_policies_ignore_is_not_registered() -> None:
    ignoring = policy_object(volumes={"default": "Ignore"})
    found = cluster(pod(), **{f"{OURS}/clustermodelpolicies/post-quantum": ignoring})
    assert run(found, "--pod", "trainer-0") == 0
    assert registered(found) == []


def test_a_pod_that_does_not_exist_is_not_registered() -> None:
    with pytest.raises(Malformed) as raised:
        run(cluster(), "--pod", "trainer-0")
    assert "weightlock why pod/trainer-0 --namespace team-a" in raised.value.hint


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["--claim", "llama", "--path", "step"], id="a relative path"),
        pytest.param(["--claim", "Llama"], id="no name of a claim"),
        pytest.param(["--claim", "llama", "--name", "A"], id="no name"),
        pytest.param(["--claim", "llama", "--model-name", "llama-*"], id="a pattern"),
        pytest.param(["--claim", "llama", "--timeout", "soon"], id="no duration"),
        pytest.param(["--claim", "llama", "-n", "/"], id="no namespace"),
        pytest.param(["--pod", "trainer", "--path", "/a"], id="a pod and a path"),
    ],
)
def test_what_makes_no_sense_is_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["register", *words]) == 2
    assert "weightlock register: --" in capsys.readouterr().err


def test_a_claim_and_a_pod_are_two_questions() -> None:
    with pytest.raises(SystemExit) as raised:
        main(["register", "--claim", "a", "--pod", "b"])
    assert raised.value.code == 2
