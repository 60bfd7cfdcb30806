"""`weightlock policy test`: the webhook's answer, offline, with everything that it assumes."""

import importlib.metadata
import io
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.unit.policy.builders import PQ, policy_object
from tests.unit.webhook.cluster import (
    CSI,
    LLAMA,
    NAMESPACE,
    SEAL_KEY,
    claim_object,
    volume_object,
)
from tests.unit.webhook.objects import Object, claim_volume, container, mount, pod_spec, volume

from weightlock.cli.main import main
from weightlock.policy.checkpoints import Checkpoint
from weightlock.policy.scalars import instant
from weightlock.verdict.records import record_of
from weightlock.verdict.seal import seal
from weightlock.verdict.storage import persistent_volume_hash
from weightlock_webhook.policy_test import add_parser

EXAMPLES = Path(__file__).resolve().parents[3] / "docs" / "examples"
AT = "2026-11-21T12:00:00Z"


def pod(spec: Object | None = None, **metadata: Any) -> Object:
    found = {"name": "trainer", "namespace": NAMESPACE, **metadata}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": found, "spec": spec or pod_spec()}


def checkpoint(path: str = "/", **status: Any) -> Object:
    assert LLAMA.backing is not None
    return {
        "apiVersion": "weightlock.dev/v1beta1",
        "kind": "ModelCheckpoint",
        "metadata": {"name": "llama", "namespace": NAMESPACE},
        "spec": {"source": {"persistentVolumeClaim": {"claimName": "llama"}, "path": path}},
        "status": {
            "phase": "Verified",
            "digest": {"tree": "rfc6962-v1", "hash": "sha256", "root": "ab" * 32},
            "signatures": [{"algorithm": "ML-DSA-65", "family": "ML-DSA", "keyid": PQ.keyid}],
            "volume": {
                "pvcUID": "claim-uid",
                "pvName": "pv-llama",
                "pvUID": "pv-uid-llama",
                "sourceHash": persistent_volume_hash(CSI),
                "path": path,
            },
            "lastVerified": "2026-11-21T11:00:00Z",
            **status,
        },
    }


class Program:
    """The command, its files, and what it said."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.capsys = capsys

    def file(self, *objects: Object) -> str:
        path = self.folder / f"{len(list(self.folder.iterdir()))}.yaml"
        path.write_text("\n---\n".join(json.dumps(each) for each in objects))
        return str(path)

    def run(self, *arguments: str) -> tuple[int, str]:
        code = main(["policy", "test", *arguments])
        captured = self.capsys.readouterr()
        return code, captured.out + captured.err

    def judge(self, *objects: Object, options: tuple[str, ...] = ()) -> Mapping[str, Any]:
        """What the files of one policy and these objects are answered with, as JSON."""
        path = self.file(policy_object(), *objects)
        code, said = self.run("-f", path, "--at", AT, "--json", *options)
        found: dict[str, Any] = json.loads(said)
        return {"code": code, **found}


@pytest.fixture
def program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(tmp_path, capsys)


def example(*names: str) -> list[str]:
    return [part for name in names for part in ("-f", str(EXAMPLES / f"{name}.yaml"))]


@pytest.mark.parametrize(
    ("names", "code", "expected"),
    [
        pytest.param(["pod-allowed"], 0, ["Allow", "Verified", "signed by release"], id="allowed"),
        pytest.param(["pod-allowed", "storage"], 0, ["Allow"], id="allowed, with its storage"),
        pytest.param(
            ["pod-denied"],
            1,
            ["Deny", "NestedMount", "WritableMount", "PathNotCovered"],
            id="denied",
        ),
        pytest.param(
            ["pytorchjob"],
            1,
            ["Worker.template: PathNotCovered", "Master.template: volume"],
            id="a workload of which one part is denied",
        ),
    ],
)
def test_the_examples_are_answered_as_they_say(
    program: Program, names: list[str], code: int, expected: list[str]
) -> None:
    files = example("policy", "checkpoint", *names)
    found, said = program.run(*files, "--at", AT)
    assert found == code
    assert all(words in said for words in expected)


def test_the_claim_of_the_examples_is_assumed_unless_a_file_holds_it(program: Program) -> None:
    without = program.run(*example("policy", "checkpoint", "pod-allowed"), "--at", AT)[1]
    assert "Assumed: Claim llama of namespace team-a, which no file holds" in without
    files = example("policy", "checkpoint", "pod-allowed", "storage")
    assert "which no file holds" not in program.run(*files, "--at", AT)[1]


def test_the_example_expires_with_the_clock(program: Program) -> None:
    files = example("policy", "checkpoint", "pod-allowed")
    code, said = program.run(*files, "--at", "2026-11-28T09:30:00Z")
    assert code == 1
    assert "VerdictExpired" in said


def test_without_an_instant_the_clock_is_read(program: Program) -> None:
    code, said = program.run(*example("policy", "checkpoint", "pod-allowed"), "--json")
    assert code in (0, 1)
    assert instant(json.loads(said)["at"]) > instant("2026-11-21T00:00:00Z")


def test_one_json_document_says_everything(program: Program) -> None:
    found = program.judge(checkpoint(), pod(pod_spec(claim_volume(read_only=False))))
    assert (found["code"], found["outcome"], found["allowed"]) == (1, "Deny", False)
    (judged,) = found["pods"]
    assert judged["policies"] == ["ClusterModelPolicy post-quantum"]
    (objection,) = judged["objections"]
    assert objection["reason"] == "WritableMount"
    assert (objection["container"], objection["containerKind"]) == ("trainer", "container")
    assert objection["message"] == judged["message"]
    assert judged["vouched"][0]["checkpoint"] == "llama"


def test_an_objection_to_the_pod_names_no_container(program: Program) -> None:
    (judged,) = program.judge(checkpoint(), pod(pod_spec(hostPID=True)))["pods"]
    assert judged["objections"][0]["container"] == ""


def test_a_held_pod_is_not_allowed(program: Program) -> None:
    path = program.file(policy_object(onUnverified="Hold"), pod())
    code, said = program.run("-f", path, "--at", AT)
    assert code == 1
    assert "Hold" in said


def test_warnings_are_told_and_allow(program: Program) -> None:
    path = program.file(
        policy_object(enforcement="Warn"), checkpoint(), pod(pod_spec(hostPID=True))
    )
    code, said = program.run("-f", path, "--at", AT)
    assert code == 0
    assert "Warning: HostNamespaces" in said


def test_a_pod_that_is_stored_already_has_its_node(program: Program) -> None:
    """A new one names none, so that a scheduler places it and it is looked at again then."""
    placed = pod_spec(nodeName="node-1")
    new = program.judge(checkpoint(), pod(placed))
    stored = program.judge(checkpoint(), pod(placed, uid="11111111-1111-4111-8111-111111111111"))
    assert (new["code"], stored["code"]) == (1, 0)
    assert "NodeNamed" in str(new)


def test_a_pod_that_no_policy_governs_is_allowed(program: Program) -> None:
    selector = {"matchLabels": {"models": "governed"}}
    policy = policy_object(namespaceSelector=selector)
    namespace: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    labelled = namespace | {"metadata": {"name": NAMESPACE, "labels": {"models": "governed"}}}
    assert "no policy" in program.run("-f", program.file(policy, pod(), namespace), "--at", AT)[1]
    assert program.run("-f", program.file(policy, pod(), labelled), "--at", AT)[0] == 1


def test_a_pod_that_cannot_be_read_is_denied(program: Program) -> None:
    found = program.judge(checkpoint(), pod(pod_spec(hostPID="false")))
    assert (found["code"], found["pods"][0]["reason"]) == (1, "Malformed")


def test_objects_that_name_no_namespace_are_in_the_one_given(program: Program) -> None:
    nowhere = pod()
    del nowhere["metadata"]["namespace"]
    found = program.judge(checkpoint(), nowhere)
    assert (found["code"], found["pods"][0]["namespace"]) == (1, "default")
    assert program.judge(checkpoint(), nowhere, options=("-n", NAMESPACE))["code"] == 0


def test_a_checkpoint_of_another_namespace_vouches_for_nothing(program: Program) -> None:
    elsewhere = checkpoint()
    elsewhere["metadata"]["namespace"] = "team-b"
    found = program.judge(elsewhere, pod())
    assert found["pods"][0]["reason"] == "ClaimUnbound"
    assert "team-b" not in found["pods"][0]["message"]


def test_a_generated_name_is_a_name(program: Program) -> None:
    found = program.judge(checkpoint(), pod(name=None, generateName="trainer-"))
    assert found["pods"][0]["name"] == "trainer-"


PVC = claim_object()
PV = volume_object()
LOST = claim_object() | {"status": {"phase": "Lost"}}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        pytest.param([PVC, PV], "Verified", id="claim and volume as they were verified"),
        pytest.param([PVC], "Verified", id="the claim alone: its volume is assumed"),
        pytest.param([LOST], "ClaimUnbound", id="a claim that is bound to nothing"),
        pytest.param([claim_object(uid="x")], "ClaimUnbound", id="another claim of that name"),
        pytest.param(
            [PVC, volume_object(csi={"driver": "disk.example", "volumeHandle": "vol-2"})],
            "IdentityChanged",
            id="another disk",
        ),
        pytest.param(
            [PVC, PV, volume_object("twin", accessModes=["ReadWriteMany"], **CSI)],
            "BackingShared",
            id="another volume that can write to the disk",
        ),
        pytest.param(
            [claim_object() | {"metadata": {"name": "llama", "namespace": "team-b"}}],
            "Verified",
            id="a claim of another namespace",
        ),
    ],
)
def test_storage_in_files_is_compared_with_what_was_verified(
    program: Program, given: list[Object], reason: str
) -> None:
    assert program.judge(checkpoint(), pod(), *given)["pods"][0]["reason"] == reason


def test_without_a_verdict_no_storage_is_assumed(program: Program) -> None:
    for status in ({"phase": "Pending"}, {"lastVerified": None}):
        found = checkpoint()
        found["status"] |= status
        found["status"] = {key: value for key, value in found["status"].items() if value}
        assert program.judge(found, pod())["pods"][0]["reason"] == "ClaimUnbound"
        assert program.judge(found, pod(), PVC, PV)["pods"][0]["reason"] == "NotVerified"


def test_a_status_by_hand_is_completed_and_that_is_said(program: Program) -> None:
    found = checkpoint("/step-1200", observedGeneration=4)
    del found["status"]["volume"]["path"]
    spec = pod_spec(containers=[container(mount(subPath="step-1200"))])
    answer = program.judge(found, pod(spec))
    assert answer["code"] == 0
    assert {
        "Checkpoint llama: metadata.generation is the one that was verified.",
        "Checkpoint llama: /step-1200 is the path that was verified.",
    } <= set(answer["assumptions"])


def test_a_checkpoint_that_was_edited_since_is_not_completed(program: Program) -> None:
    found = checkpoint(observedGeneration=4)
    found["metadata"]["generation"] = 5
    assert program.judge(found, pod())["pods"][0]["reason"] == "SpecChanged"


def test_storage_that_the_checkpoint_describes_is_taken_as_verified(program: Program) -> None:
    found = checkpoint()
    found["spec"]["source"] = {"nfs": {"server": "nas", "path": "/export"}}
    found["status"]["volume"] = {}
    spec = pod_spec(volume("model", nfs={"server": "nas", "path": "/export", "readOnly": True}))
    answer = program.judge(found, pod(spec))
    assert answer["code"] == 0
    assert (
        "Checkpoint llama: what its source says now is what was verified."
        in (answer["assumptions"])
    )


def test_seals_are_checked_when_there_is_a_key(program: Program, tmp_path: Path) -> None:
    key, other = tmp_path / "seal.key", tmp_path / "other.key"
    key.write_bytes(SEAL_KEY.secret)
    other.write_bytes(b"o" * 32)
    found = checkpoint()
    record = record_of(Checkpoint.from_object(found))
    assert record is not None
    found["status"]["seal"] = seal(record, SEAL_KEY)
    good = program.judge(found, pod(), options=("--seal-key", str(key)))
    assert good["code"] == 0
    assert not any("seal" in assumption for assumption in good["assumptions"])
    bad = program.judge(found, pod(), options=("--seal-key", str(other)))
    assert bad["pods"][0]["reason"] == "SealBroken"


def test_seals_need_not_be_assumed(program: Program) -> None:
    found = program.judge(checkpoint(), pod(), options=("--no-assume-sealed",))
    assert found["pods"][0]["reason"] == "SealBroken"


def device_claim(kind: str, name: str, device_class: str, namespace: str = NAMESPACE) -> Object:
    request = {"name": "gpu", "exactly": {"deviceClassName": device_class}}
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"devices": {"requests": [request]}},
    }


def test_device_classes_are_read_from_files(program: Program) -> None:
    spec = pod_spec(
        resourceClaims=[
            {"name": "one", "resourceClaimName": "mine"},
            {"name": "two", "resourceClaimTemplateName": "ours"},
        ]
    )
    found = program.judge(
        checkpoint(),
        pod(spec),
        device_claim("ResourceClaim", "mine", "gpu.example"),
        device_claim("ResourceClaimTemplate", "ours", "nic.example"),
        device_claim("ResourceClaim", "theirs", "x.example", "team-b"),
    )
    messages = [each["found"] for each in found["pods"][0]["objections"]]
    assert messages == [
        'the resource claim "one" of "gpu.example"',
        'the resource claim "two" of "nic.example"',
    ]


def test_objects_that_nobody_looks_at_are_named(program: Program) -> None:
    service: Object = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}}
    assert program.judge(checkpoint(), pod(), service)["notLookedAt"] == ["Service web"]
    path = program.file(policy_object(), checkpoint(), pod(), service)
    assert "Not looked at: Service web" in program.run("-f", path, "--at", AT)[1]


@pytest.mark.parametrize(
    ("objects", "code", "message"),
    [
        pytest.param([policy_object()], 2, "no pod", id="nothing to judge"),
        pytest.param([pod()], 2, "no policy", id="nothing to judge by"),
        pytest.param(
            [policy_object(enforcement="Perhaps"), pod()], 4, "enforcement", id="no such policy"
        ),
        pytest.param([policy_object(), pod(), PV, PV], 4, "pv-llama twice", id="one object twice"),
        pytest.param([policy_object(), pod(), PVC, PVC], 4, "team-a/llama twice", id="and a claim"),
        pytest.param([policy_object(), pod(), PVC | {"spec": 1}], 4, "spec", id="a broken claim"),
    ],
)
def test_a_question_without_an_answer(
    program: Program, objects: list[Object], code: int, message: str
) -> None:
    path = program.file(*objects)
    for options in ((), ("--json",)):
        found, said = program.run("-f", path, "--at", AT, *options)
        assert (found, message in said) == (code, True)
        assert "Traceback" not in said


@pytest.mark.parametrize("option", ["-f", "--seal-key"])
def test_a_file_that_is_not_there(program: Program, option: str) -> None:
    path = program.file(policy_object(), pod())
    code, said = program.run("-f", path, option, "/nowhere/file")
    assert code == 4
    assert "/nowhere/file: No such file" in said


def test_an_instant_that_is_none(program: Program) -> None:
    assert program.run("-f", program.file(policy_object(), pod()), "--at", "noon")[0] == 4


def test_documents_may_come_from_standard_input(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = Path(program.file(policy_object(), checkpoint(), pod())).read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert program.run("-f", "-", "--at", AT)[0] == 0


def test_a_terminal_gets_its_own_width(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    path = program.file(policy_object(), checkpoint(), pod())
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    said = program.run("-f", path, "--at", AT)[1]
    assert max(len(line) for line in said.splitlines() if "━" in line) < 160


def test_the_command_is_found_through_its_entry_point() -> None:
    (found,) = importlib.metadata.entry_points(group="weightlock.commands", name="policy test")
    assert found.load().add_parser is add_parser
