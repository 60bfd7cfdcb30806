"""What is said, to whom, when: phases, events, evictions, and what a status is read back as."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.operator_decisions.simulated import (
    KEY,
    NAMESPACE,
    OTHER_KEY,
    Cluster,
    Content,
    checkpoint_object,
    claim_object,
    pod_object,
)
from tests.unit.policy.builders import EC, NOW, PQ, Json, authority, policy_object, rule, signatures

from weightlock.policy.checkpoints import VolumeStatus
from weightlock.policy.paths import VolumePath
from weightlock.reasons import Reason
from weightlock_operator.decision import reconcile
from weightlock_operator.decision.actions import Decision, EventType
from weightlock_operator.decision.announcing import EVICT_EVERY, MOST_PODS
from weightlock_operator.decision.conditions import Condition, conditions_of
from weightlock_operator.decision.facts import Registered
from weightlock_operator.decision.flights import DeviceKind, Flight
from weightlock_operator.decision.memory import Memory, recall
from weightlock_operator.decision.queue import Place


@pytest.fixture
def verified() -> Cluster:
    cluster = Cluster()
    cluster.settle()
    cluster.events.clear()
    return cluster


def told(cluster: Cluster) -> list[str]:
    return [event.reason for event in cluster.events]


def test_a_failure_of_what_was_verified_tells_whoever_uses_it(verified: Cluster) -> None:
    verified.others = [pod_object(f"trainer-{number:02d}") for number in range(25)]
    verified.content = Content(reason=Reason.CONTENT_MISMATCH)
    verified.pass_time(hours=140)
    verified.settle()
    (event,) = verified.events
    assert (event.type, event.reason) == (EventType.WARNING, "ContentMismatch")
    assert "25 running pods" in event.message
    assert len(event.pods) == 20
    users = verified.status["users"]
    assert isinstance(users, list)
    assert (users[0], len(users), verified.status["userCount"]) == ("trainer-00", 20, 25)
    assert verified.evictions == []


@pytest.mark.parametrize(
    ("enforcement", "evicted"), [("Enforce", ["trainer"]), ("Warn", []), ("Audit", [])]
)
def test_running_pods_are_evicted_only_where_that_is_enforced(
    enforcement: str, evicted: list[str]
) -> None:
    cluster = Cluster(policies=[policy_object(enforcement=enforcement, onFailure="Evict")])
    cluster.others = [pod_object()]
    cluster.settle()
    assert (cluster.phase, cluster.evictions) == ("Verified", [])
    cluster.content = Content(reason=Reason.EXTRA_FILE)
    cluster.pass_time(hours=140)
    cluster.settle()
    assert cluster.phase == "Failed"
    assert sorted(set(cluster.evictions)) == evicted


EXPORT = {"server": "files.example", "path": "/models"}


def shared(**more: Any) -> Cluster:
    """A checkpoint on an export that is everybody's."""
    source = {"nfs": EXPORT, "path": "/"}
    policies = [policy_object(onFailure="Evict")]
    return Cluster(checkpoint=checkpoint_object(source=source), policies=policies, **more)


def user(name: str, namespace: str = NAMESPACE, *, read_only: bool = True) -> Any:
    pod: Any = pod_object(name)
    pod["metadata"]["namespace"] = namespace
    pod["spec"]["volumes"] = [{"name": "models", "nfs": {**EXPORT, "readOnly": read_only}}]
    return pod


def failed_on_an_export(*pods: Json) -> tuple[Cluster, Decision]:
    cluster = shared(content=Content(reason=Reason.CONTENT_MISMATCH), others=list(pods))
    cluster.look()
    cluster.run_jobs()
    return cluster, cluster.look()


def test_whoever_has_the_same_export_elsewhere_is_a_number_and_not_evicted() -> None:
    strangers = [user(f"aaa-{number:02d}", "team-b") for number in range(25)]
    cluster, _ = failed_on_an_export(*strangers, user("trainer"))
    assert cluster.phase == "Failed"
    assert cluster.evictions == ["trainer"]
    assert (cluster.status["users"], cluster.status["userCount"]) == (["trainer"], 26)
    (event,) = [each for each in cluster.events if each.type is EventType.WARNING]
    assert event.pods == (("trainer", "uid-of-trainer"),)
    assert "26 running pods" in event.message
    assert "aaa-" not in json.dumps(cluster.status)


def test_a_verification_does_not_say_where_strangers_run() -> None:
    cluster, _ = failed_on_an_export(user("aaa", "team-b"))
    (job,) = cluster.jobs.values()
    assert "affinity" not in json.dumps(job)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        pytest.param(["own", "other", "another"], "own and 2 of other namespaces can", id="both"),
        pytest.param(["other"], "1 of other namespaces can", id="strangers only"),
    ],
)
def test_writers_elsewhere_count_and_have_no_name(names: list[str], said: str) -> None:
    where = {"own": NAMESPACE}
    cluster = shared()
    cluster.others = [user(each, where.get(each, "team-b"), read_only=False) for each in names]
    cluster.look()
    assert cluster.reason == "WriterActive"
    assert str(cluster.status["message"]).startswith(said)


def test_who_cannot_be_evicted_yet_is_asked_again() -> None:
    cluster, decision = failed_on_an_export(user("trainer"))
    for _ in range(3):
        assert decision.requeue_after == EVICT_EVERY
        cluster.pass_time(seconds=EVICT_EVERY.total_seconds())
        decision = cluster.look()
    assert cluster.evictions == ["trainer"] * 4
    cluster.others = []
    decision = cluster.look()
    assert decision.requeue_after is not None
    assert decision.requeue_after > EVICT_EVERY


def test_who_is_protected_stands_before_nobody_else() -> None:
    cluster, _ = failed_on_an_export(*(user(f"p-{number:03d}") for number in range(101)))
    assert len(cluster.evictions) == MOST_PODS
    for _ in range(6):
        cluster.pass_time(seconds=EVICT_EVERY.total_seconds())
        cluster.look()
    assert len(set(cluster.evictions)) == 101


def test_no_event_is_repeated(verified: Cluster) -> None:
    for _ in range(5):
        verified.pass_time(hours=1)
        verified.look()
    assert told(verified) == []


def test_trouble_with_a_refresh_is_told_while_the_verdict_stands(verified: Cluster) -> None:
    verified.pass_time(hours=140)
    verified.refuse_jobs = "exceeded quota: gpus"
    verified.look()
    assert (verified.phase, told(verified)) == ("Verified", ["JobRefused"])
    verified.look()
    assert told(verified) == ["JobRefused"]


def test_the_course_of_a_good_verification() -> None:
    cluster = Cluster()
    cluster.settle()
    assert told(cluster) == ["VerificationRunning", "Verified"]
    assert all(event.type is EventType.NORMAL for event in cluster.events)


def test_conditions_say_what_the_phase_says(verified: Cluster) -> None:
    conditions: Any = verified.status["conditions"]
    found = {each["type"]: (each["status"], each["reason"]) for each in conditions}
    assert found == {
        "Verified": ("True", "Verified"),
        "Scheduled": ("False", "NothingToDo"),
        "Fresh": ("True", "WithinMaxAge"),
    }
    metadata: Any = verified.checkpoint["metadata"]
    assert {each["observedGeneration"] for each in conditions} == {metadata["generation"]}
    assert all(each["message"].isprintable() for each in conditions)
    assert verified.status["expires"] == "2026-11-28T12:00:00Z"
    assert verified.status["signatures"] == [
        {"algorithm": "ML-DSA-65", "family": "ML-DSA", "keyid": PQ.keyid, "authority": "release"}
    ]


@pytest.mark.parametrize("since", [None, 7, ["2026"]], ids=repr)
def test_a_condition_whose_time_is_odd_begins_now(since: object) -> None:
    known = [{"type": "Fresh", "status": "True", "lastTransitionTime": since}]
    (found,) = conditions_of([Condition("Fresh", True, "r")], known, 3, NOW)
    assert found["lastTransitionTime"] == "2026-11-21T12:00:00Z"
    assert found["observedGeneration"] == 3


def test_a_spec_that_says_nothing_is_malformed() -> None:
    cluster = Cluster()
    cluster.checkpoint["spec"] = {"source": {}}
    cluster.look()
    assert (cluster.phase, cluster.reason, cluster.jobs) == ("Failed", "Malformed", {})
    assert "spec.source" in str(cluster.status["message"])
    assert cluster.look().status is None


def test_a_spec_that_goes_bad_calls_off_what_flies() -> None:
    cluster = Cluster()
    cluster.look()
    cluster.checkpoint["spec"] = {"source": {}}
    cluster.look()
    assert (cluster.phase, cluster.jobs) == ("Failed", {})


def test_an_unusable_policy_is_named_where_no_other_is_left() -> None:
    broken = policy_object("broken", signatures={})
    cluster = Cluster(policies=[broken])
    cluster.look()
    assert (cluster.phase, cluster.reason) == ("Error", "PolicyInvalid")
    assert "ClusterModelPolicy broken" in str(cluster.status["message"])
    cluster.policies.append(policy_object())
    cluster.settle()
    assert cluster.phase == "Verified"


def test_a_checkpoint_that_is_being_deleted_is_left_alone() -> None:
    cluster = Cluster()
    metadata = cluster.checkpoint["metadata"]
    assert isinstance(metadata, dict)
    metadata["deletionTimestamp"] = "2026-11-21T12:00:00Z"
    assert cluster.look() == Decision()


def test_without_a_seal_key_nothing_is_decided() -> None:
    cluster = Cluster(keys=())
    decision = cluster.look()
    assert (decision.status, decision.create) == (None, None)
    assert decision.requeue_after is not None


def test_a_key_that_ends_is_looked_at_again_in_time() -> None:
    ends = authority(
        "release", PQ, notAfter="2026-11-21T14:00:00Z", notBefore="2026-01-01T00:00:00Z"
    )
    trust = signatures(ends, classical={"action": "Warn", "sunset": "2026-11-21T20:00:00Z"})
    cluster = Cluster(policies=[policy_object(signatures=trust)])
    cluster.settle()
    assert cluster.look().requeue_after == timedelta(hours=2)
    cluster.pass_time(hours=2)
    decision = cluster.look()
    assert (cluster.phase, cluster.reason) == ("Failed", "KeyExpired")
    assert decision.requeue_after == timedelta(hours=6)
    assert cluster.jobs_made == 1


@pytest.mark.parametrize(("sunset", "admits"), [("2026-11-22T00:00:00Z", True), (None, False)])
def test_whether_classical_signatures_admit(sunset: str | None, admits: bool) -> None:
    classical = {"action": "Warn", "sunset": sunset} if sunset else {"action": "Deny"}
    trust = signatures(
        authority("release", PQ),
        authority("legacy", EC),
        rules=[rule("any", "release", "legacy", atLeast=1)],
        classical=classical,
    )
    cluster = Cluster(policies=[policy_object(signatures=trust)], content=Content(signers=(EC,)))
    cluster.settle()
    decision = cluster.look()
    assert (cluster.phase, decision.admits) == ("ClassicalOnly", admits)


def test_what_fails_for_want_of_trust_is_read_again_under_another_policy() -> None:
    cluster = Cluster(content=Content(signers=(EC,)))
    cluster.settle()
    assert (cluster.phase, cluster.reason) == ("Failed", "SignerUntrusted")
    cluster.pass_time(hours=1)
    cluster.look()
    trust = signatures(
        authority("release", PQ),
        authority("legacy", EC),
        rules=[rule("any", "release", "legacy", atLeast=1)],
    )
    cluster.policies = [policy_object(signatures=trust)]
    cluster.settle()
    assert (cluster.phase, cluster.jobs_made) == ("ClassicalOnly", 2)


def test_a_policy_that_changes_under_a_job_is_judged_by_afterwards() -> None:
    cluster = Cluster()
    cluster.look()
    cluster.run_jobs()
    cluster.policies = [policy_object(freshness={"maxAge": "24h"})]
    cluster.settle()
    assert (cluster.phase, cluster.jobs_made) == ("Verified", 1)
    assert "keys" not in cluster.status["verifier"]  # type: ignore[operator]
    trust = signatures(authority("legacy", EC))
    cluster.policies = [policy_object(signatures=trust, enforcement="Audit")]
    cluster.settle()
    assert (cluster.phase, cluster.reason, cluster.jobs_made) == ("Failed", "SignerUntrusted", 2)


def test_trouble_about_something_else_counts_no_more() -> None:
    cluster = Cluster(refuse_jobs="exceeded quota")
    for _ in range(4):
        cluster.pass_time(hours=2)
        cluster.look()
    assert cluster.status["attempts"] == 4
    cluster.refuse_jobs = ""
    cluster.policies = [policy_object(freshness={"maxAge": "24h"})]
    decision = cluster.look()
    assert "attempts" not in cluster.status
    assert decision.requeue_after is not None
    assert decision.requeue_after <= timedelta(seconds=30)
    cluster.pass_time(seconds=30)
    cluster.settle()
    assert cluster.phase == "Verified"


def test_jobs_that_ended_long_ago_are_deleted_where_the_server_does_not() -> None:
    cluster = Cluster()
    cluster.settle()
    assert len(cluster.jobs) == 1
    cluster.pass_time(hours=1)
    cluster.look()
    assert cluster.jobs == {}


def test_jobs_that_ended_do_not_keep_a_claim_from_being_deleted(verified: Cluster) -> None:
    verified.look()
    assert len(verified.jobs) == 1
    going: dict[str, object] = {"deletionTimestamp": "2026-11-20T12:00:00Z"}
    claim: Any = claim_object()
    verified.claim = {**claim, "metadata": {**claim["metadata"], **going}}
    verified.look()
    assert verified.jobs == {}


@pytest.mark.parametrize("what", ["claim", "volume"])
def test_what_is_being_deleted_loses_its_verdict_and_gets_none(
    verified: Cluster, what: str
) -> None:
    going: dict[str, object] = {"deletionTimestamp": "2026-11-20T12:00:00Z"}
    found: Any = getattr(verified, what)
    setattr(verified, what, {**found, "metadata": {**found["metadata"], **going}})
    made = verified.jobs_made
    verified.settle()
    assert verified.phase in {"Stale", "Pending"}
    assert verified.jobs_made == made
    setattr(verified, what, found)
    verified.pass_time(minutes=1)  # what was verified until now counts no more
    verified.settle()
    assert verified.phase == "Verified"


def test_a_job_that_only_says_that_it_is_ours_is_left_alone(verified: Cluster) -> None:
    (job,) = verified.jobs.values()
    metadata = job["metadata"]
    assert isinstance(metadata, dict)
    metadata["ownerReferences"] = []
    verified.pass_time(hours=5)
    verified.look()
    assert len(verified.jobs) == 1


# The status, read back.


def test_a_status_that_cannot_be_read_is_forgotten(verified: Cluster) -> None:
    for status in ({"phase": "Sideways"}, {"message": "x"}, {"phase": "Verified", "digest": "x"}):
        verified.checkpoint["status"] = status
        assert recall(verified.facts()) == Memory()
    verified.checkpoint["status"] = "x"
    assert Registered.from_object(verified.checkpoint).status == {}
    verified.pass_time(seconds=1)
    verified.settle()
    assert verified.phase == "Verified"


def test_a_reason_of_a_later_version_is_no_reason_to_stumble(verified: Cluster) -> None:
    verified.status.update(reason="FromTheFuture", seal="")
    word = recall(verified.facts()).word
    assert word is not None
    assert word.reason is Reason.INTERNAL_ERROR
    verified.pass_time(seconds=1)
    verified.settle()
    assert verified.phase == "Verified"


@pytest.mark.parametrize("reason", [reason.value for reason in Reason])
def test_a_reason_that_somebody_wrote_never_makes_a_failed_checkpoint_good(reason: str) -> None:
    """A10: nothing seals why it failed."""
    failed = Cluster(content=Content(reason=Reason.CONTENT_MISMATCH, signers=()))
    failed.settle()
    assert failed.phase == "Failed"
    failed.status["reason"] = reason
    failed.look()
    assert failed.phase not in ("Verified", "ClassicalOnly")
    failed.settle()
    assert failed.phase == "Failed"


@pytest.mark.parametrize("seconds", ["x", -1, 1e30])
def test_odd_numbers_count_as_none(verified: Cluster, seconds: object) -> None:
    verified.status["verifier"]["seconds"] = seconds  # type: ignore[index]
    assert recall(verified.facts()).verifier.milliseconds == 0


FLIGHT = Flight(
    "uid", 1, "wl-x", "job-uid", "nonce", 1, "ab" * 32, DeviceKind.CPU, "cd" * 32, Cluster().now
)
texts = st.text("ab-", max_size=3)
flights = st.builds(
    Flight,
    texts,
    st.integers(0, 3),
    texts,
    texts,
    texts,
    st.integers(0, 3),
    texts,
    st.sampled_from(DeviceKind),
    texts,
    st.sampled_from([Cluster().now, Cluster().now + timedelta(microseconds=1)]),
    st.builds(VolumeStatus, texts, texts, texts, texts, st.just(VolumePath.parse("/x"))),
)


@given(flights)
def test_a_flight_is_read_back_as_it_was(flight: Flight) -> None:
    status = flight.status(KEY)
    assert Flight.from_status(status, flight.checkpoint_uid, (OTHER_KEY, KEY)) == flight
    assert Flight.from_status(status, flight.checkpoint_uid, (OTHER_KEY,)) is None
    assert Flight.from_status(status, flight.checkpoint_uid + "x", (KEY,)) is None


@given(flights, flights)
def test_no_two_flights_share_a_seal(one: Flight, other: Flight) -> None:
    seals = one.status(KEY)["seal"] == other.status(KEY)["seal"]
    assert seals == (one == other)


@pytest.mark.parametrize("field", [field for field in FLIGHT.status(KEY) if field != "volume"])
def test_a_flight_that_was_changed_is_none(field: str) -> None:
    status = FLIGHT.status(KEY)
    value = status[field]
    status[field] = value + 1 if isinstance(value, int) else f"{value}x"
    assert Flight.from_status(status, "uid", (KEY,)) is None
    del status[field]
    assert Flight.from_status(status, "uid", (KEY,)) is None


def test_a_seal_of_odd_characters_is_none() -> None:
    status = {**FLIGHT.status(KEY), "seal": "\ud800"}
    assert Flight.from_status(status, "uid", (KEY,)) is None


def test_looking_twice_decides_the_same(verified: Cluster) -> None:
    facts = verified.facts(place=Place())
    assert reconcile.actions_for(facts) == reconcile.actions_for(facts)
