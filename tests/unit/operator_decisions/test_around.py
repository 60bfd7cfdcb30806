"""What is decided around checkpoints: held pods, registration, the status of policies."""

import json
from datetime import timedelta
from typing import Any

import pytest
from tests.support import crds
from tests.unit.operator_decisions.simulated import checkpoint_object, pod_object
from tests.unit.policy.builders import NOW, Json, policy, policy_object

from weightlock.errors import Malformed
from weightlock.policy.checkpoints import Checkpoint, CheckpointSpec
from weightlock.policy.composition import Composition
from weightlock.policy.objects import Policy
from weightlock.policy.paths import VolumePath
from weightlock.policy.registration import Registration
from weightlock.policy.sources import ClaimSource
from weightlock.policy.volumes import VolumeFacts
from weightlock.reasons import Verdict
from weightlock_operator.decision.actions import NudgePod, ReleasePod
from weightlock_operator.decision.holding import HeldPod, release
from weightlock_operator.decision.policies import Invalid, policy_status, read_policy
from weightlock_operator.decision.registration import (
    MOST_PER_NAMESPACE,
    Request,
    registration,
    request_of_event,
    requests_of_pod,
)

# Held pods.


def held(waits: object, *, gate: bool = False, **metadata: object) -> Any:
    pod: Any = pod_object("waiting", nodeName="")
    pod["metadata"]["labels"] = {"weightlock.dev/held": "true"}
    text = waits if isinstance(waits, str) else json.dumps(waits)
    pod["metadata"]["annotations"] = {"weightlock.dev/waits-for": text, **metadata}
    if gate:
        pod["spec"]["schedulingGates"] = [{"name": "weightlock.dev/verification"}]
    return pod


def held_pod(waits: object, *, gate: bool = False) -> HeldPod:
    found = HeldPod.from_object(held(waits, gate=gate))
    assert found is not None
    return found


CHECKPOINT = Checkpoint.from_object(checkpoint_object())
NAMED = {"checkpoint": "llama-step-1200", "path": "/step-1200/x", "claim": "llama", "volume": "m"}


@pytest.mark.parametrize(
    ("waits", "goes"),
    [
        pytest.param([NAMED], True, id="by name"),
        pytest.param([{"claim": "llama", "path": "/step-1200"}], True, id="by claim"),
        pytest.param(
            [{"checkpoint": "llama-step-1200", "path": "/step-1200"}], True, id="by name alone"
        ),
        pytest.param(
            [{"checkpoint": "llama-step-1", "path": "/step-1200"}], False, id="another name"
        ),
        pytest.param([{"path": "/step-1200"}], False, id="for nobody in particular"),
        pytest.param([{"claim": "llama", "path": "/"}], False, id="more than was verified"),
        pytest.param([{"claim": "llama"}], False, id="the whole claim"),
        pytest.param([{"claim": "gpt", "path": "/step-1200"}], False, id="another claim"),
        pytest.param([NAMED, {"claim": "gpt"}], False, id="one of two"),
        pytest.param([], False, id="for nothing"),
        pytest.param("not json", False, id="not json"),
        pytest.param("[" * 5000, False, id="deep"),
        pytest.param(["x"], False, id="no objects"),
        pytest.param([{"path": "../x", "claim": "llama"}], False, id="odd path"),
        pytest.param([NAMED] * 21, False, id="too many"),
        pytest.param(" " * 20_000, False, id="too long"),
    ],
)
def test_a_held_pod_goes_once_all_is_verified(waits: object, goes: bool) -> None:
    pod = held_pod(waits, gate=True)
    found = release(pod, [CHECKPOINT], nudge=False)
    assert found == (ReleasePod("team-a", "waiting", "uid-of-waiting") if goes else None)


def test_without_a_gate_it_is_nudged() -> None:
    pod = held_pod([NAMED])
    assert release(pod, [CHECKPOINT], nudge=True) == NudgePod("team-a", "waiting", pod.uid)
    assert release(pod, [CHECKPOINT], nudge=False) is None
    assert release(pod, [], nudge=True) is None


def test_whose_turn_it_makes_urgent() -> None:
    assert held_pod([NAMED]).waits_for(CHECKPOINT)
    assert not held_pod([{"claim": "gpt"}]).waits_for(CHECKPOINT)


def test_only_pods_with_the_label_are_held() -> None:
    assert HeldPod.from_object(pod_object()) is None


@pytest.mark.parametrize(
    ("node", "phase"), [("node-a", "Pending"), ("", "Succeeded"), ("", "Failed")]
)
def test_a_pod_that_was_let_in_or_has_ended_is_held_no_more(node: str, phase: str) -> None:
    pod = held([NAMED])
    pod["spec"]["nodeName"], pod["status"]["phase"] = node, phase
    assert HeldPod.from_object(pod) is None


def test_a_pod_that_is_malformed_is_not_read() -> None:
    pod = held([NAMED])
    pod["spec"]["tolerations"] = ["x"]
    with pytest.raises(Malformed):
        HeldPod.from_object(pod)


# Registration.

REQUEST = Request("team-a", "llama")
CLAIM = VolumeFacts("persistentVolumeClaim", claim_name="llama")


def composition(**spec: object) -> Composition:
    return Composition.of([policy(**spec)])


def spec_of(checkpoint: Json) -> CheckpointSpec:
    return Checkpoint.from_object(checkpoint).spec


GPT = {"persistentVolumeClaim": {"claimName": "gpt"}}
OF_ANOTHER_CLAIM = spec_of(checkpoint_object(source=GPT))


def test_a_claim_that_is_asked_for_is_registered() -> None:
    found = registration(REQUEST, composition(autoRegister=True), CLAIM, [OF_ANOTHER_CLAIM])
    assert found is not None
    made = Checkpoint.from_object(found.manifest)
    by_hand = Checkpoint.from_object(
        Registration("team-a", ClaimSource("llama"), VolumePath()).document
    )
    assert (made.metadata, made.spec) == (by_hand.metadata, by_hand.spec)
    assert str(made.spec.path) == "/"
    assert found.manifest["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "weightlock"}  # type: ignore[index]
    assert crds.errors(found.manifest, crds.schema("modelcheckpoints")) == []


WHOLE = spec_of(checkpoint_object(source={"persistentVolumeClaim": {"claimName": "llama"}}))


@pytest.mark.parametrize(
    ("policies", "known"),
    [
        pytest.param(composition(), [], id="not wanted"),
        pytest.param(composition(autoRegister=True), [WHOLE], id="there is one"),
        pytest.param(
            composition(autoRegister=True), [CHECKPOINT.spec], id="there is one of a folder"
        ),
        pytest.param(
            composition(autoRegister=True, volumes={"default": "Ignore"}), [], id="not governed"
        ),
        pytest.param(
            composition(autoRegister=True), [OF_ANOTHER_CLAIM] * MOST_PER_NAMESPACE, id="too many"
        ),
        pytest.param(Composition.of([]), [], id="no policy"),
    ],
)
def test_what_is_not_registered(policies: Composition, known: list[CheckpointSpec]) -> None:
    assert registration(REQUEST, policies, CLAIM, known) is None


def event(**changes: object) -> Json:
    return {
        "metadata": {"namespace": "team-a", "name": "x"},
        "reason": "VerificationRequested",
        "reportingComponent": "weightlock-webhook",
        "involvedObject": {
            "kind": "PersistentVolumeClaim",
            "namespace": "team-a",
            "name": "llama",
        },
        **changes,
    }


def test_an_event_of_the_webhook_asks_for_a_claim() -> None:
    assert request_of_event(event()) == REQUEST


@pytest.mark.parametrize(
    "changes",
    [
        {"reason": "Other"},
        {"reportingComponent": "tenant"},
        {"involvedObject": {"kind": "Pod", "name": "x"}},
        {"involvedObject": {"kind": "PersistentVolumeClaim", "name": "x", "namespace": "team-b"}},
        {"involvedObject": {"kind": "PersistentVolumeClaim", "name": "../x"}},
        {"involvedObject": "x"},
        {"metadata": {}},
    ],
)
def test_any_other_event_asks_for_nothing(changes: dict[str, object]) -> None:
    assert request_of_event(event(**changes)) is None


def test_a_held_pod_asks_for_claims_that_no_checkpoint_is_about() -> None:
    pod = held_pod([{"claim": "llama"}, {"claim": "llama", "path": "/x"}, NAMED, {"claim": ""}])
    assert requests_of_pod(pod) == (REQUEST,)


# Policies.


def test_a_usable_policy_is_ready_and_counts_its_checkpoints() -> None:
    value = policy_object()
    verdicts = [
        Verdict.VERIFIED,
        Verdict.VERIFIED,
        Verdict.FAILED,
        Verdict.STALE,
        Verdict.VERIFYING,
    ]
    status: Any = policy_status(value, read_policy(value), verdicts, NOW)
    (ready,) = status["conditions"]
    assert (ready["type"], ready["status"]) == ("Ready", "True")
    assert status["checkpoints"] == {
        "verified": 2,
        "classicalOnly": 0,
        "failed": 1,
        "error": 0,
        "pending": 2,
    }


def test_an_unusable_policy_says_which_field_and_what_to_write() -> None:
    value: Any = policy_object()
    value["spec"]["signatures"]["rules"] = []
    value["metadata"]["generation"] = 3
    found = read_policy(value)
    assert isinstance(found, Invalid)
    assert found.name == "ClusterModelPolicy post-quantum"
    status: Any = policy_status(value, found, [], NOW)
    (ready,) = status["conditions"]
    assert (ready["status"], ready["reason"]) == ("False", "PolicyInvalid")
    assert "spec.signatures.rules" in ready["message"]
    assert "expected at least one" in ready["message"]
    assert status["observedGeneration"] == 3


def test_a_condition_keeps_its_time_until_it_changes() -> None:
    value: Any = policy_object()
    good = read_policy(value)
    value["status"] = policy_status(value, good, [], NOW)
    later = NOW + timedelta(hours=1)
    assert policy_status(value, good, [], later) is None
    changed: Any = policy_status(value, good, [Verdict.VERIFIED], later)
    assert changed["conditions"][0]["lastTransitionTime"] == "2026-11-21T12:00:00Z"
    broken: Any = policy_status(value, Invalid("x", "y"), [], later)
    assert broken["conditions"][0]["lastTransitionTime"] == "2026-11-21T13:00:00Z"


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"kind": "ModelPolicy", "metadata": {"name": "x"}},
        {"kind": "ModelPolicy", "metadata": {"name": 7, "namespace": "team-a"}},
        {"kind": 7, "metadata": "x"},
    ],
)
def test_whatever_is_no_policy_has_a_name_for_messages(value: object) -> None:
    found = read_policy(value)
    assert isinstance(found, Invalid)
    assert found.name
    assert found.message


def test_odd_status_and_metadata_count_as_none() -> None:
    value: Any = policy_object()
    found = read_policy(value)
    assert isinstance(found, Policy)
    value["status"] = {"conditions": ["x", {"type": "Ready", "status": "True"}]}
    value["metadata"] = "x"
    status: Any = policy_status(value, found, [], NOW)
    assert status["conditions"][0]["lastTransitionTime"] == "2026-11-21T12:00:00Z"
    assert status["observedGeneration"] == 0
