"""Pods that wait: let go, registered for, and each by itself."""

import asyncio
import json
from typing import Any

import pytest
from tests.support.memory_cluster import Call, failing
from tests.unit.operator_runtime.stage import NAMESPACE, Stage, verified, work

from weightlock_operator.api.cluster import (
    CHECKPOINTS,
    CLAIMS,
    EVENTS,
    PODS,
    VOLUMES,
)
from weightlock_operator.api.cluster_errors import (
    ClusterTrouble,
    Conflict,
    Forbidden,
    NotLeader,
    Unavailable,
)
from weightlock_operator.controller import LOBBY
from weightlock_operator.decision.registration import MOST_PER_NAMESPACE
from weightlock_operator.lobby import NUDGE_EVERY
from weightlock_operator.pod_records import record_of_pod

Json = dict[str, Any]
CREATES_JOB = ("create", "jobs")


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_held_pod_is_let_go_and_an_unknown_claim_registered(stage: Stage) -> None:
    policy = stage.cluster.objects["clustermodelpolicies", "", "post-quantum"]
    policy["spec"]["autoRegister"] = True
    stage.good("other")
    claim = stage.cluster.add(
        CLAIMS,
        {
            "metadata": {"name": "wanted", "namespace": NAMESPACE},
            "spec": {"volumeName": "pv-wanted", "accessModes": ["ReadWriteMany"]},
            "status": {"phase": "Bound"},
        },
    )
    reference = {"namespace": NAMESPACE, "name": "wanted", "uid": claim["metadata"]["uid"]}
    stage.cluster.add(
        VOLUMES,
        {"metadata": {"name": "pv-wanted"}, "spec": {"claimRef": reference, "nfs": {"path": "/"}}},
    )
    stage.cluster.add(PODS, held("gated", gated=True))
    stage.cluster.add(PODS, held("nudged", gated=False))
    work(stage, LOBBY + NAMESPACE)
    [made] = [each for each in stage.all(CHECKPOINTS) if each["metadata"]["name"] != "other"]
    assert made["spec"]["source"]["persistentVolumeClaim"]["claimName"] == "wanted"
    stage.cluster.objects["modelcheckpoints", NAMESPACE, made["metadata"]["name"]]["metadata"][
        "generation"
    ] = 1
    work(stage, made["metadata"]["uid"])
    stage.run_jobs()
    work(stage, made["metadata"]["uid"])
    pods = {pod["metadata"]["name"]: pod for pod in stage.all(PODS)}
    assert pods["gated"]["spec"]["schedulingGates"] == [{"name": "kueue.x-k8s.io/admission"}]
    assert "weightlock.dev/held" not in pods["gated"]["metadata"]["labels"]
    assert "weightlock.dev/nudged-at" in pods["nudged"]["metadata"]["annotations"]
    before = len(stage.cluster.calls)
    work(stage, LOBBY + NAMESPACE)
    assert len(stage.cluster.calls) == before, "not nudged again so soon"


def waiting(name: str, claim: str) -> Json:
    """A pod with a gate that waits for the whole of a claim."""
    pod = held(name, gated=True)
    waits = [{"volume": "m", "claim": claim, "path": "/", "checkpoint": ""}]
    pod["metadata"]["annotations"] = {"weightlock.dev/waits-for": json.dumps(waits)}
    return pod


def is_gated(stage: Stage, name: str) -> bool:
    gates = stage.cluster.objects["pods", NAMESPACE, name]["spec"].get("schedulingGates") or []
    return {"name": "weightlock.dev/verification"} in gates


def with_pods_for_two_claims(stage: Stage) -> None:
    """One is verified; the other is registered by nobody."""
    stage.cluster.objects["clustermodelpolicies", "", "post-quantum"]["spec"] |= {
        "autoRegister": True
    }
    verified(stage)
    for claim in ("other", "another"):
        metadata = {"name": claim, "namespace": NAMESPACE}
        stage.cluster.add(CLAIMS, {"metadata": metadata, "spec": {}, "status": {}})
    for name, claim in (("a", "llama"), ("b", "other"), ("c", "llama"), ("d", "another")):
        stage.cluster.add(PODS, waiting(name, claim))


def test_what_cannot_be_registered_holds_nobody_else(stage: Stage) -> None:
    """A quota on checkpoints is full."""
    with_pods_for_two_claims(stage)

    def full(call: Call) -> None:
        if (call.verb, call.resource) == ("create", "modelcheckpoints"):
            raise Forbidden("exceeded quota: count/modelcheckpoints", code=403)

    stage.cluster.before = full
    stage.hear()
    assert asyncio.run(stage.lobby.see_to(NAMESPACE)) == NUDGE_EVERY
    assert [is_gated(stage, name) for name in "abcd"] == [False, True, False, True]
    stage.hear()
    assert asyncio.run(stage.lobby.see_to(NAMESPACE)) == NUDGE_EVERY, "there may be room by then"
    stage.cluster.before = lambda _call: None
    stage.hear()
    assert asyncio.run(stage.lobby.see_to(NAMESPACE)) is None
    assert len(stage.all(CHECKPOINTS)) == 3


@pytest.mark.parametrize("trouble", [Conflict("x"), Unavailable("x"), Forbidden("x")])
def test_a_pod_that_cannot_be_let_go_holds_nobody_else(
    stage: Stage, trouble: ClusterTrouble
) -> None:
    with_pods_for_two_claims(stage)
    stage.cluster.before = failing(trouble, ["patch"])
    work(stage, LOBBY + NAMESPACE)
    assert [is_gated(stage, name) for name in "ac"].count(True) == 1
    assert len(stage.all(CHECKPOINTS)) == 3
    stage.hear()
    asyncio.run(stage.lobby.see_to(NAMESPACE))
    assert not is_gated(stage, "a")
    assert not is_gated(stage, "c")


def test_who_leads_no_more_does_nothing_more(stage: Stage) -> None:
    with_pods_for_two_claims(stage)
    stage.cluster.before = failing(NotLeader("no"), ["patch"])
    stage.hear()
    with pytest.raises(NotLeader):
        asyncio.run(stage.lobby.see_to(NAMESPACE))
    assert len([call for call in stage.cluster.calls if call.verb == "patch"]) == 1


@pytest.mark.parametrize(
    ("node", "phase"), [("node-a", "Running"), ("node-a", "Succeeded"), ("", "Failed")]
)
def test_who_was_let_in_loses_the_label_once_and_awaits_nothing(
    stage: Stage, node: str, phase: str
) -> None:
    """Where servers have no gates, nothing else ends the waiting of a pod."""
    uid = verified(stage)
    pod = waiting("trainer", "llama")
    pod["spec"] = {"containers": [], "nodeName": node}
    pod["status"] = {"phase": phase}
    stage.cluster.add(PODS, pod)
    stage.hear()
    assert stage.store.pods.held(NAMESPACE) == ()
    awaited = asyncio.run(stage.looker._gatherer.from_store(stage.store.checkpoints[uid])).held
    assert awaited == ()
    for _ in range(5):
        work(stage, LOBBY + NAMESPACE)
        stage.pass_time(NUDGE_EVERY.total_seconds() + 1)
    labels = stage.cluster.objects["pods", NAMESPACE, "trainer"]["metadata"]["labels"]
    assert "weightlock.dev/held" not in labels
    assert len([call for call in stage.cluster.calls if call.verb == "patch"]) == 1
    assert stage.store.pods.let_in(NAMESPACE) == ()


def test_no_more_is_registered_than_there_is_room_for(stage: Stage) -> None:
    policy = stage.cluster.objects["clustermodelpolicies", "", "post-quantum"]
    policy["spec"]["autoRegister"] = True
    stage.hear()
    for number in range(MOST_PER_NAMESPACE - 1):
        metadata = {"name": f"c-{number}", "namespace": NAMESPACE, "uid": f"c-{number}"}
        stage.store.apply(CHECKPOINTS, {"metadata": metadata, "spec": {"source": "unreadable"}})
    for name in ("one", "two", "three"):
        metadata = {"name": name, "namespace": NAMESPACE, "uid": name}
        stage.store.apply(CLAIMS, {"metadata": metadata, "spec": {}})
        stage.store.apply(
            EVENTS,
            {
                "metadata": {"namespace": NAMESPACE},
                "reason": "VerificationRequested",
                "reportingComponent": "weightlock-webhook",
                "involvedObject": {"kind": "PersistentVolumeClaim", "name": name},
            },
        )
    asyncio.run(stage.lobby.see_to(NAMESPACE))
    assert len(stage.all(CHECKPOINTS)) == 1


def held(name: str, *, gated: bool) -> Json:
    gates = [{"name": "weightlock.dev/verification"}, {"name": "kueue.x-k8s.io/admission"}]
    waits = '[{"volume": "m", "claim": "wanted", "path": "/", "checkpoint": ""}]'
    return {
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {"weightlock.dev/held": "true"},
            "annotations": {"weightlock.dev/waits-for": waits},
        },
        "spec": {"containers": [], **({"schedulingGates": gates} if gated else {})},
    }


@pytest.mark.parametrize(
    ("wait", "touched"),
    [
        pytest.param({"claim": "one", "checkpoint": ""}, {"one", "one-step"}, id="a claim"),
        pytest.param({"claim": "", "checkpoint": "one-step"}, {"one-step"}, id="a checkpoint"),
        pytest.param({"claim": "", "checkpoint": "nobody"}, set(), id="one that is not there"),
        pytest.param({"claim": "elsewhere", "checkpoint": ""}, set(), id="another claim"),
        pytest.param({"claim": "", "checkpoint": ""}, set(), id="nothing"),
    ],
)
def test_a_held_pod_has_those_looked_at_that_it_waits_for(
    stage: Stage, wait: Json, touched: set[str]
) -> None:
    """Of a thousand in its namespace, for each of a thousand pods."""
    stage.good("one")
    step = stage.checkpoint("one-step")
    body = stage.cluster.objects["modelcheckpoints", NAMESPACE, "one-step"]
    body["spec"]["source"] = {"persistentVolumeClaim": {"claimName": "one"}, "path": "/step"}
    stage.good("two")
    stage.hear()
    pod = held("trainer", gated=True)
    pod["metadata"] |= {
        "uid": "trainer",
        "annotations": {"weightlock.dev/waits-for": json.dumps([{**wait, "path": "/"}])},
    }
    pod["metadata"]["resourceVersion"] = "7"

    def names(uids: frozenset[str]) -> set[str]:
        return {stage.store.checkpoints[uid]["metadata"]["name"] for uid in uids}

    def awaited() -> set[str]:
        found = {
            uid: asyncio.run(stage.looker._gatherer.from_store(body)).held
            for uid, body in stage.store.checkpoints.items()
        }
        return names(frozenset(uid for uid, pods in found.items() if pods))

    assert names(stage.store.apply_pod("trainer", record_of_pod(pod))) == touched
    assert awaited() == touched
    assert names(stage.store.apply_pod("trainer", None)) == touched
    assert awaited() == set()
    assert not stage.store.pods._waiting
    assert step in stage.store.checkpoints


def test_another_checkpoint_of_the_same_name_is_the_one_that_is_awaited(stage: Stage) -> None:
    """Deleted and made anew; the end of the first may be heard last."""
    stage.good("llama")
    stage.hear()
    first = stage.cluster.objects.pop(("modelcheckpoints", NAMESPACE, "llama"))
    second = stage.checkpoint("llama")
    body = stage.cluster.objects["modelcheckpoints", NAMESPACE, "llama"]
    stage.store.apply(CHECKPOINTS, body)
    stage.store.apply(CHECKPOINTS, first, deleted=True)
    pod = held("trainer", gated=True)
    waits = [{"claim": "", "checkpoint": "llama", "path": "/"}]
    pod["metadata"] |= {
        "uid": "trainer",
        "annotations": {"weightlock.dev/waits-for": json.dumps(waits)},
    }
    assert stage.store.apply_pod("trainer", record_of_pod(pod)) == {second}
    stage.store.apply(CHECKPOINTS, body, deleted=True)
    assert stage.store.apply_pod("trainer", None) == frozenset()
