"""What changes concern which checkpoints, and what lists say about what is gone."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.unit.policy.builders import policy_object

from weightlock.policy.objects import Policy
from weightlock.verdict.floors import VouchedModel
from weightlock_operator.api.cluster import (
    CHECKPOINTS,
    CLAIMS,
    CLUSTER_POLICIES,
    EVENTS,
    JOBS,
    NAMESPACES,
    POLICIES,
    VOLUMES,
    Resource,
)
from weightlock_operator.store import Store
from weightlock_operator.wishes import MOST_OF_NAMESPACE, MOST_REQUESTS, REQUESTED_FOR

Json = dict[str, Any]
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Store:
    made = Store(clock)
    made.apply(CHECKPOINTS, checkpoint("llama", claim="llama"))
    made.apply(CHECKPOINTS, checkpoint("mistral", claim="mistral"))
    made.apply(CHECKPOINTS, checkpoint("host"))
    made.apply(CHECKPOINTS, checkpoint("foreign", namespace="team-b", claim="llama"))
    return made


def body(name: str, version: str = "1", namespace: str = "team-a", **more: Any) -> Json:
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-{name}"}
    return {"metadata": {**metadata, "resourceVersion": version, "generation": 1}, **more}


def checkpoint(name: str, version: str = "1", namespace: str = "team-a", claim: str = "") -> Json:
    source: Json = {"persistentVolumeClaim": {"claimName": claim}} if claim else {"nfs": {}}
    return body(name, version, namespace, spec={"source": source})


def claim(name: str, version: str = "10", uid: str = "", phase: str = "Bound") -> Json:
    made = body(name, version, spec={"volumeName": f"pv-{name}"}, status={"phase": phase})
    made["metadata"]["uid"] = uid or f"uid-claim-{name}"
    return made


def volume(name: str, version: str = "10", **source: Any) -> Json:
    reference = {"namespace": "team-a", "name": name, "uid": f"uid-claim-{name}"}
    made = body(f"pv-{name}", version, spec={"claimRef": reference, **source})
    del made["metadata"]["namespace"]
    return made


def test_a_checkpoint_concerns_itself_until_it_is_gone(store: Store) -> None:
    changed = checkpoint("llama", "2", claim="llama")
    changed["metadata"]["generation"] = 2
    assert store.apply(CHECKPOINTS, changed) == {"uid-llama"}
    assert store.apply(CHECKPOINTS, changed, deleted=True) == {"uid-llama"}
    assert "uid-llama" not in store.checkpoints
    assert store.at(("team-a", "llama")) == frozenset()


def test_the_same_again_concerns_nobody(store: Store) -> None:
    assert store.apply(CHECKPOINTS, checkpoint("llama", claim="llama")) == frozenset()


def test_what_is_older_than_what_is_known_is_not_taken(store: Store) -> None:
    written = checkpoint("llama", "9", claim="llama")
    written["status"] = {"phase": "Verified"}
    store.apply(CHECKPOINTS, written)
    assert store.apply(CHECKPOINTS, checkpoint("llama", "5", claim="llama")) == frozenset()
    assert store.checkpoints["uid-llama"]["status"] == {"phase": "Verified"}


def test_a_change_that_says_nothing_new_is_kept_and_concerns_nobody(store: Store) -> None:
    labelled = checkpoint("llama", "2", claim="llama")
    labelled["metadata"]["labels"] = {"a": "b"}
    assert store.apply(CHECKPOINTS, labelled) == frozenset()
    assert store.checkpoints["uid-llama"]["metadata"]["resourceVersion"] == "2"


def test_a_claim_concerns_the_checkpoints_of_its_namespace_on_it(store: Store) -> None:
    assert store.apply(CLAIMS, claim("llama")) == {"uid-llama"}
    assert store.apply(CLAIMS, claim("llama", "11")) == frozenset(), "only its version differs"
    assert store.apply(CLAIMS, claim("llama", "12", phase="Lost")) == {"uid-llama"}
    assert store.apply(CLAIMS, claim("llama", "13"), deleted=True) == {"uid-llama"}


def test_a_claim_that_is_being_deleted_concerns_its_checkpoints(store: Store) -> None:
    store.apply(CLAIMS, claim("llama"))
    going = claim("llama", "11")
    going["metadata"]["deletionTimestamp"] = "2026-11-20T12:00:00Z"
    assert store.apply(CLAIMS, going) == {"uid-llama"}
    (kept,) = store.claims.values()
    assert kept["metadata"]["deletionTimestamp"]


def test_the_late_end_of_a_claim_does_not_take_its_successor_away(store: Store) -> None:
    store.apply(CLAIMS, claim("llama"))
    assert store.apply(CLAIMS, claim("llama", "20", uid="another")) == {"uid-llama"}
    assert store.apply(CLAIMS, claim("llama", "15"), deleted=True) == frozenset()
    assert store.claims["team-a", "llama"]["metadata"]["uid"] == "another"


def test_a_volume_concerns_the_checkpoints_on_its_claim(store: Store) -> None:
    assert store.apply(VOLUMES, volume("llama", csi={"volumeHandle": "a"})) == {"uid-llama"}
    assert store.apply(VOLUMES, volume("llama", "11", csi={"volumeHandle": "a"})) == frozenset()
    assert store.apply(VOLUMES, volume("llama", "12", csi={"volumeHandle": "b"})) == {"uid-llama"}
    assert store.apply(VOLUMES, volume("llama", "13"), deleted=True) == {"uid-llama"}
    assert store.apply(VOLUMES, volume("llama", "14"), deleted=True) == frozenset()


def test_a_cluster_policy_concerns_all_and_its_status_nobody(store: Store) -> None:
    policy: Json = dict(policy_object())
    policy["metadata"] = {"name": "p", "uid": "uid-p", "generation": 1, "resourceVersion": "1"}
    assert store.apply(CLUSTER_POLICIES, policy) == store.checkpoints.keys()
    policy = {**policy, "metadata": {**policy["metadata"], "resourceVersion": "2"}}
    assert store.apply(CLUSTER_POLICIES, policy) == frozenset()
    governing, invalid = store.governing("team-a")
    assert (len(governing), invalid) == (1, ())
    assert isinstance(governing[0], Policy)
    gone = {**policy, "metadata": {**policy["metadata"], "resourceVersion": "3"}}
    assert store.apply(CLUSTER_POLICIES, gone, deleted=True) == store.checkpoints.keys()
    assert store.governing("team-a") == ((), ())


def test_an_unusable_policy_is_named_where_it_might_govern(store: Store) -> None:
    bad = body("bad", kind="ModelPolicy", apiVersion="weightlock.dev/v1beta1", spec={})
    assert store.apply(POLICIES, bad) == {"uid-llama", "uid-mistral", "uid-host"}
    assert len(store.governing("team-a")[1]) == 1
    assert store.governing("team-b")[1] == ()


def test_a_namespace_concerns_its_checkpoints_when_its_labels_change(store: Store) -> None:
    namespace = {"metadata": {"name": "team-b", "uid": "n", "resourceVersion": "1", "labels": {}}}
    assert store.apply(NAMESPACES, namespace) == {"uid-foreign"}
    namespace = {"metadata": {**namespace["metadata"], "resourceVersion": "2"}}
    assert store.apply(NAMESPACES, namespace) == frozenset()
    namespace = {
        "metadata": {**namespace["metadata"], "resourceVersion": "3", "labels": {"a": "b"}}
    }
    assert store.apply(NAMESPACES, namespace) == {"uid-foreign"}
    assert store.apply(NAMESPACES, namespace, deleted=True) == frozenset()


def job(owner: str, version: str = "1") -> Json:
    made = body("wl-1", version, spec={"template": {"spec": {"containers": []}}})
    made["metadata"]["labels"] = {"weightlock.dev/checkpoint-uid": owner}
    made["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    return made


def test_a_job_concerns_the_checkpoint_that_its_label_names(store: Store) -> None:
    assert store.apply(JOBS, job("uid-llama")) == {"uid-llama"}
    assert [each.name for each in store.jobs("uid-llama")] == ["wl-1"]
    assert store.job_count() == len(list(store.all_jobs())) == 1
    assert store.apply(JOBS, job("uid-mistral", "2")) == {"uid-mistral"}
    assert store.jobs("uid-llama") == ()
    assert store.apply(JOBS, job("nobody", "3")) == frozenset()
    store.apply(JOBS, job("nobody", "4"), deleted=True)
    assert store.job_count() == 0


def test_a_job_that_cannot_be_read_is_left_out(store: Store) -> None:
    broken = job("uid-llama")
    broken["metadata"]["creationTimestamp"] = "yesterday"
    assert store.apply(JOBS, broken) == {"uid-llama"}
    assert store.jobs("uid-llama") == ()


@pytest.mark.parametrize(
    ("resource", "known"),
    [
        pytest.param(CHECKPOINTS, checkpoint("llama", claim="llama"), id="checkpoint"),
        pytest.param(CLAIMS, claim("llama"), id="claim"),
        pytest.param(VOLUMES, volume("llama"), id="volume"),
        pytest.param(JOBS, job("uid-llama"), id="job"),
    ],
)
def test_who_is_missing_from_a_newer_list_is_gone(
    clock: Clock, resource: Resource, known: Json
) -> None:
    store = Store(clock)
    store.apply(CHECKPOINTS, checkpoint("llama", claim="llama"))
    store.apply(resource, known)
    touched, news = store.apply_listing(resource, [], "100")
    assert touched == {"uid-llama"}
    assert news == 1
    assert store.apply_listing(resource, [], "101")[1] == 0


def test_who_came_after_the_list_was_made_is_not(store: Store) -> None:
    store.apply(CLAIMS, claim("llama", "200"))
    assert store.apply_listing(CLAIMS, [], "100") == (frozenset(), 0)
    assert store.claims


def test_a_list_counts_what_was_not_heard_of(store: Store) -> None:
    store.apply(CLAIMS, claim("llama"))
    touched, news = store.apply_listing(CLAIMS, [claim("llama"), claim("mistral")], "100")
    assert touched == {"uid-mistral"}
    assert news == 1


def test_a_list_of_policies_tells_the_two_kinds_apart(store: Store) -> None:
    policy: Json = dict(policy_object())
    policy["metadata"] = {"name": "p", "uid": "uid-p", "generation": 1, "resourceVersion": "1"}
    store.apply(CLUSTER_POLICIES, policy)
    store.apply_listing(POLICIES, [], "100")
    assert store.policies
    store.apply_listing(CLUSTER_POLICIES, [], "100")
    assert not store.policies


def requested(claim_name: str, number: int = 0, namespace: str = "team-a") -> Json:
    return {
        "metadata": {"name": f"e{number}", "namespace": namespace, "uid": f"e{number}"},
        "reason": "VerificationRequested",
        "reportingComponent": "weightlock-webhook",
        "involvedObject": {
            "kind": "PersistentVolumeClaim",
            "namespace": namespace,
            "name": claim_name,
        },
    }


def test_a_wish_counts_for_a_while(store: Store, clock: Clock) -> None:
    assert store.apply(EVENTS, requested("llama")) == {"uid-llama"}
    assert store.is_requested("team-a", "llama")
    assert not store.is_requested("team-b", "llama")
    clock.now += REQUESTED_FOR
    assert not store.is_requested("team-a", "llama")
    assert store.apply(EVENTS, {"metadata": {"namespace": "team-a"}, "reason": "x"}) == frozenset()


def test_wishes_do_not_fill_the_memory(store: Store, clock: Clock) -> None:
    for number in range(MOST_REQUESTS + 1):
        clock.now += timedelta(milliseconds=1)
        store.apply(EVENTS, requested(f"c-{number}", number))
    assert len(store.wishes.of("team-a", clock.now)) == MOST_OF_NAMESPACE
    assert store.is_requested("team-a", f"c-{MOST_REQUESTS}")


def test_the_wishes_of_one_namespace_push_out_those_of_no_other(store: Store) -> None:
    store.apply(EVENTS, requested("llama", namespace="team-b"))
    store.apply(EVENTS, requested("often"))
    for number in range(MOST_REQUESTS + 1):
        store.apply(EVENTS, requested(f"c-{number}", number))
        store.apply(EVENTS, requested("often"))
    assert store.is_requested("team-b", "llama")
    assert store.is_requested("team-a", "often"), "who asks again is not the oldest"


def test_the_wishes_of_many_namespaces_do_not_fill_the_memory(store: Store) -> None:
    for number in range(MOST_OF_NAMESPACE):
        store.apply(EVENTS, requested(f"c-{number}", namespace="greedy"))
    for number in range(MOST_REQUESTS + 1):
        store.apply(EVENTS, requested("llama", namespace=f"team-{number}"))
    names = ["greedy", *(f"team-{number}" for number in range(MOST_REQUESTS + 1))]
    assert sum(len(store.wishes.of(name, NOW)) for name in names) == MOST_REQUESTS
    assert len(store.wishes.of("greedy", NOW)) <= 1, "whoever has the most loses first"
    assert store.is_requested(f"team-{MOST_REQUESTS}", "llama")


def with_model(name: str, model: str, namespace: str = "team-a", version: str = "2") -> Json:
    return {**checkpoint(name, version, namespace), "status": {"modelName": model}}


@pytest.mark.parametrize(
    ("floor", "touched"),
    [
        pytest.param(
            ("ClusterModelPolicy p", "llama-70b"), {"uid-host", "uid-foreign"}, id="of the cluster"
        ),
        pytest.param(("ModelPolicy team-b/p", "llama-70b"), {"uid-foreign"}, id="of one namespace"),
        pytest.param(("ClusterModelPolicy p", "mistral-7b"), {"uid-mistral"}, id="another model"),
        pytest.param(("ClusterModelPolicy p", "gemma"), set(), id="nobody's"),
    ],
)
def test_a_floor_counts_for_the_checkpoints_of_that_model(
    store: Store, floor: tuple[str, str], touched: set[str]
) -> None:
    store.apply(CHECKPOINTS, with_model("host", "llama-70b"))
    store.apply(CHECKPOINTS, with_model("foreign", "llama-70b", "team-b"))
    store.apply(CHECKPOINTS, with_model("mistral", "mistral-7b"))
    assert store.under_floor(VouchedModel(*floor)) == touched


def test_a_floor_counts_no_more_for_what_holds_another_model_or_is_gone(store: Store) -> None:
    store.apply(CHECKPOINTS, with_model("host", "llama-70b"))
    store.apply(CHECKPOINTS, with_model("mistral", "llama-70b"))
    store.apply(CHECKPOINTS, with_model("host", "gemma", version="3"))
    store.apply(CHECKPOINTS, with_model("mistral", "llama-70b", version="3"), deleted=True)
    assert store.under_floor(VouchedModel("ClusterModelPolicy p", "llama-70b")) == frozenset()
    assert store.under_floor(VouchedModel("ClusterModelPolicy p", "gemma")) == {"uid-host"}
