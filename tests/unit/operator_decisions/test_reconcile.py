"""One checkpoint from its registration on: what the status says after what has happened."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from tests.unit.operator_decisions.simulated import (
    NAMESPACE,
    OTHER_KEY,
    RELEASED,
    Cluster,
    Content,
    checkpoint_object,
    claim_object,
    pod_object,
    volume_object,
)
from tests.unit.policy.builders import EC, PQ, PQ_TOO, authority, policy_object, rule, signatures

from weightlock.formats.manifest import ModelIdentity
from weightlock.reasons import Reason
from weightlock.verdict.floors import VouchedModel
from weightlock_operator.decision import reconcile
from weightlock_operator.decision.facts import ServerFeatures
from weightlock_operator.decision.floors import MOST_OF_A_TENANT
from weightlock_operator.decision.queue import Running


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def verified(cluster: Cluster) -> Cluster:
    cluster.settle()
    assert cluster.phase == "Verified"
    return cluster


def test_a_good_model_is_verified_by_one_job(verified: Cluster) -> None:
    assert verified.jobs_made == 1
    assert verified.status["seal"]
    assert verified.floors == {RELEASED: 7}
    assert "verification" not in verified.status


def test_nothing_is_written_once_it_is_verified(verified: Cluster) -> None:
    writes = verified.status_writes
    verified.pass_time(hours=1)
    verified.look()
    assert (verified.status_writes, verified.jobs_made) == (writes, 1)


def test_it_says_verifying_while_the_job_runs(cluster: Cluster) -> None:
    cluster.look()
    assert (cluster.phase, cluster.reason) == ("Verifying", "VerificationRunning")


def test_a_removed_key_counts_no_more_and_nothing_is_read_again(cluster: Cluster) -> None:
    both = signatures(
        authority("release", PQ),
        authority("second", PQ_TOO),
        rules=[{"name": "all", "authorities": ["release", "second"], "atLeast": 1}],
    )
    cluster.policies = [policy_object(signatures=both)]
    cluster.settle()
    assert cluster.phase == "Verified"
    cluster.policies = [policy_object(signatures=signatures(authority("second", PQ_TOO)))]
    cluster.look()
    assert (cluster.phase, cluster.reason) == ("Failed", "SignerUntrusted")
    cluster.policies = [policy_object()]
    cluster.look()
    assert (cluster.phase, cluster.jobs_made) == ("Verified", 1)


def test_a_key_that_was_never_tried_is_a_reason_to_read_again(verified: Cluster) -> None:
    verified.content = Content(signers=(PQ, PQ_TOO))
    verified.policies = [policy_object(signatures=signatures(authority("second", PQ_TOO)))]
    verified.settle()
    assert (verified.phase, verified.jobs_made) == ("Verified", 2)


def test_bad_content_is_failed_and_not_read_again(cluster: Cluster) -> None:
    cluster.content = Content(reason=Reason.CONTENT_MISMATCH)
    cluster.settle()
    assert (cluster.phase, cluster.reason) == ("Failed", "ContentMismatch")
    cluster.pass_time(hours=24)
    cluster.policies = [policy_object(freshness={"maxAge": "100h"})]
    cluster.settle()
    assert cluster.jobs_made == 1


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda c: c.checkpoint["metadata"].update(generation=2), id="spec"),
        pytest.param(lambda c: c.volume["spec"]["csi"].update(volumeHandle="h-2"), id="storage"),
        pytest.param(lambda c: c.pass_time(hours=140), id="age"),
        pytest.param(lambda c: setattr(c, "restored_at", c.now), id="restore"),
    ],
)
@pytest.mark.parametrize("reason", [Reason.CONTENT_MISMATCH, Reason.VERIFIED])
def test_what_makes_it_read_again(cluster: Cluster, reason: Reason, change) -> None:  # type: ignore[no-untyped-def]
    cluster.content = Content(reason=reason)
    cluster.settle()
    cluster.pass_time(minutes=10)
    change(cluster)
    cluster.pass_time(minutes=10)
    cluster.content = Content()
    cluster.settle()
    assert (cluster.phase, cluster.jobs_made) == ("Verified", 2)


def test_a_classical_signature_is_classical_only(cluster: Cluster) -> None:
    trust = signatures(
        authority("release", PQ),
        authority("legacy", EC),
        rules=[{"name": "any", "authorities": ["release", "legacy"], "atLeast": 1}],
    )
    cluster.policies = [policy_object(signatures=trust)]
    cluster.content = Content(signers=(EC,))
    cluster.settle()
    assert (cluster.phase, cluster.floors) == ("ClassicalOnly", {})


def test_an_older_version_is_a_rollback(verified: Cluster) -> None:
    verified.content = Content(model=ModelIdentity("llama-70b", 6))
    verified.volume = volume_object(handle="h-2")
    verified.settle()
    assert (verified.phase, verified.reason) == ("Failed", "Rollback")
    assert verified.floors == {RELEASED: 7}


def test_the_old_verdict_stands_while_it_is_refreshed(verified: Cluster) -> None:
    verified.pass_time(hours=140)
    verified.look()
    assert verified.phase == "Verified"
    assert "verification" in verified.status
    verified.content = Content(reason=Reason.EXTRA_FILE)
    verified.settle()
    assert (verified.phase, verified.reason) == ("Failed", "ExtraFile")
    assert "seal" not in verified.status


def test_trouble_leaves_the_old_verdict_until_it_expires(verified: Cluster) -> None:
    verified.pass_time(hours=140)
    verified.refuse_jobs = "exceeded quota"
    verified.settle()
    assert verified.phase == "Verified"
    assert verified.status["attempts"] == 1
    verified.pass_time(hours=40)
    verified.look()
    assert [verified.phase, verified.reason] == ["Error", "JobRefused"]


def test_a_writer_makes_it_stale_and_keeps_a_verification_from_starting(verified: Cluster) -> None:
    verified.pass_time(hours=1)
    verified.others = [pod_object("editor", read_only=False)]
    verified.look()
    assert (verified.phase, verified.reason) == ("Stale", "WriterSeen")
    verified.pass_time(hours=1)
    verified.settle()
    assert verified.jobs_made == 1
    verified.others = []
    verified.settle()
    assert (verified.phase, verified.jobs_made) == ("Verified", 2)


def test_another_seal_key_needs_no_reading_while_both_are_there(verified: Cluster) -> None:
    seal = verified.status["seal"]
    verified.keys = (OTHER_KEY, *verified.keys)
    verified.settle()
    verified.keys = (OTHER_KEY,)
    verified.settle()
    assert verified.phase == "Verified"
    assert verified.status["seal"] != seal
    assert verified.jobs_made == 1


def test_a_forged_status_is_not_believed(cluster: Cluster) -> None:
    cluster.settle()
    status = dict(cluster.status)
    cluster.checkpoint["status"] = {**status, "lastVerified": "2026-11-21T13:00:00Z"}
    cluster.pass_time(hours=2)
    decision = cluster.look()
    assert decision.verdict.value == "Verifying"


def test_without_a_policy_nothing_runs_and_the_record_is_kept(verified: Cluster) -> None:
    policies, verified.policies = verified.policies, []
    verified.look()
    assert (verified.phase, verified.reason) == ("Error", "NoPolicy")
    verified.policies = policies
    verified.look()
    assert (verified.phase, verified.jobs_made) == ("Verified", 1)


def test_a_missing_claim_is_waited_for(cluster: Cluster) -> None:
    cluster.claim = None
    cluster.settle()
    assert (cluster.phase, cluster.reason) == ("Pending", "StoragePending")
    cluster.claim = claim_object()
    cluster.settle()
    assert cluster.phase == "Verified"


def test_infrastructure_trouble_is_retried_ever_more_slowly(cluster: Cluster) -> None:
    cluster.refuse_jobs = "exceeded quota"
    waits = []
    for _ in range(4):
        decision = cluster.look()
        assert decision.requeue_after is not None
        waits.append(decision.requeue_after)
        cluster.pass_time(seconds=decision.requeue_after.total_seconds())
    assert waits == sorted(waits)
    assert waits[-1] >= timedelta(hours=1)
    cluster.refuse_jobs = ""
    cluster.settle()
    assert (cluster.phase, cluster.jobs_made) == ("Verified", 1)


def test_another_generation_calls_off_what_flies(cluster: Cluster) -> None:
    cluster.look()
    (job,) = cluster.jobs
    metadata = cluster.checkpoint["metadata"]
    assert isinstance(metadata, dict)
    metadata["generation"] = 2
    cluster.look()
    assert job not in cluster.jobs


def test_a_policy_that_is_tried_out_takes_no_verdict_away(cluster: Cluster) -> None:
    trust = signatures(authority("second", PQ_TOO))
    watching = policy_object("watching", signatures=trust, enforcement="Audit")
    cluster.policies.append(watching)
    cluster.settle()
    assert (cluster.phase, cluster.jobs_made) == ("Verified", 1)


def test_a_forged_record_does_not_outlast_the_absence_of_policies(verified: Cluster) -> None:
    policies, verified.policies = verified.policies, []
    verified.status["modelVersion"] = 99
    verified.look()
    verified.policies = policies
    verified.look()
    assert verified.phase != "Verified"


def test_a_floor_is_raised_once(verified: Cluster) -> None:
    facts = verified.facts()
    assert reconcile.actions_for(facts).before == ()
    verified.floors.clear()
    verified.look()
    assert verified.floors == {RELEASED: 7}


MANY_TURNS = {"limits": {"perNamespace": 900, "total": 1000}}
FEW_TURNS = {"limits": {"perNamespace": 1, "total": 2}}


def own_policy(**more: object) -> dict[str, object]:
    return policy_object("own", NAMESPACE, **more)


OWN = VouchedModel("ModelPolicy team-a/own", "llama-70b")
HIGHEST = ModelIdentity("llama-70b", 2**63 - 1)


@pytest.mark.parametrize(
    "others",
    [
        pytest.param([], id="no other policy"),
        pytest.param([policy_object(enforcement="Audit")], id="one that watches"),
    ],
)
def test_a_key_raises_the_floors_of_policies_that_it_satisfies_and_no_others(
    cluster: Cluster, others: list[dict[str, object]]
) -> None:
    tenants = signatures(authority("tenant", PQ_TOO))
    cluster.policies = [*others, own_policy(signatures=tenants)]
    cluster.content = Content(signers=(PQ_TOO,), model=HIGHEST)
    cluster.settle()
    assert (cluster.phase, cluster.floors) == ("Verified", {OWN: 2**63 - 1})


def test_a_lax_cluster_policy_takes_no_model_from_those_who_do_not_trust_its_keys() -> None:
    """Dev and prod in turn govern the namespace; dev's key signs the highest version there is."""
    dev = policy_object("dev", signatures=signatures(authority("dev", PQ_TOO)))
    there = Cluster(policies=[dev], content=Content(signers=(PQ_TOO,), model=HIGHEST))
    there.settle()
    assert there.floors == {VouchedModel("ClusterModelPolicy dev", "llama-70b"): 2**63 - 1}
    here = Cluster(policies=[policy_object("prod")], floors=there.floors)
    here.settle()
    assert here.phase == "Verified"
    here.policies.append(dev | {"spec": here.policies[0]["spec"]})
    here.look()
    assert (here.phase, here.reason) == ("Failed", "Rollback"), "every policy that binds counts"


def test_another_key_of_the_same_policy_does_not_get_an_old_version_past_its_floor() -> None:
    both = [authority("release", PQ), authority("other", PQ_TOO)]
    rules = [rule("any", "release", "other", atLeast=1)]
    either = policy_object(signatures=signatures(*both, rules=rules))
    cluster = Cluster(policies=[either], content=Content(model=ModelIdentity("llama-70b", 8)))
    cluster.settle()
    assert cluster.floors == {RELEASED: 8}
    former = Cluster(policies=[either], content=Content(signers=(PQ_TOO,)), floors=cluster.floors)
    former.settle()
    assert (former.phase, former.reason) == ("Failed", "Rollback")


def test_a_policy_that_watches_remembers_what_it_would_vouch_for(cluster: Cluster) -> None:
    cluster.policies = [policy_object("later", enforcement="Audit"), own_policy()]
    cluster.settle()
    later = VouchedModel("ClusterModelPolicy later", "llama-70b")
    assert cluster.floors == {later: 7, OWN: 7}
    cluster.floors[later] = 8
    cluster.look()
    assert cluster.phase == "Verified", "it decides nothing yet"
    cluster.policies = [policy_object("later"), own_policy()]
    cluster.look()
    assert (cluster.phase, cluster.reason) == ("Failed", "Rollback")


def test_a_tenant_does_not_fill_the_memory_that_all_share(cluster: Cluster) -> None:
    full = {OWN._replace(model=f"m{number}"): 1 for number in range(MOST_OF_A_TENANT)}
    cluster.policies, cluster.floors = [own_policy()], dict(full)
    cluster.settle()
    assert (cluster.phase, cluster.floors) == ("Verified", full)
    cluster.floors |= {OWN: 6}
    cluster.look()
    assert cluster.floors[OWN] == 7
    cluster.policies = [policy_object()]
    cluster.look()
    assert cluster.floors[RELEASED] == 7


def test_what_kept_a_verification_from_starting_is_forgotten_once_it_does_not() -> None:
    image = "registry.example/models/llama@sha256:" + "ab" * 32
    cluster = Cluster(checkpoint=checkpoint_object(source={"image": {"reference": image}}))
    cluster.look()
    cluster.running = [Running(f"other-{number}", "b") for number in range(32)]
    cluster.server = ServerFeatures(image_volumes=True)
    cluster.look()
    conditions = cluster.status["conditions"]
    assert isinstance(conditions, list)
    assert [each["reason"] for each in conditions if each["type"] == "Scheduled"] == ["Queued"]


def test_denied_roots_and_keys_count_at_once(verified: Cluster) -> None:
    for denied, reason in (
        ({"digests": ["sha256:" + "ab" * 32]}, "DigestDenied"),
        ({"keyids": [PQ.keyid]}, "KeyRevoked"),
    ):
        verified.policies = [policy_object(denied=denied)]
        verified.look()
        assert (verified.phase, verified.reason) == ("Failed", reason)
    assert verified.jobs_made == 1


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        pytest.param([own_policy(verification=MANY_TURNS)], (4, 32), id="a tenant alone"),
        pytest.param([policy_object(verification=MANY_TURNS)], (900, 1000), id="administrator"),
        pytest.param([own_policy(verification=FEW_TURNS)], (1, 2), id="a tenant that wants less"),
        pytest.param(
            [policy_object(verification=FEW_TURNS), own_policy(verification=MANY_TURNS)],
            (1, 2),
            id="both",
        ),
    ],
)
def test_a_tenant_takes_no_more_turns_than_are_usual(
    cluster: Cluster, policies: list[dict[str, object]], expected: tuple[int, int]
) -> None:
    cluster.policies = policies
    ticket = reconcile.ticket_for(cluster.facts())
    assert ticket is not None
    total = min(most for _, most in ticket.totals)
    assert (ticket.per_namespace, total) == expected


YEARS = timedelta(days=3650)


def test_a_clock_that_was_years_ahead_keeps_nothing_from_being_tried_again(
    cluster: Cluster,
) -> None:
    cluster.refuse_jobs = "exceeded quota"
    cluster.now += YEARS
    cluster.look()
    cluster.now -= YEARS
    cluster.refuse_jobs = ""
    decision = cluster.look()
    assert decision.requeue_after is not None
    assert decision.requeue_after <= timedelta(minutes=75)
    cluster.now += decision.requeue_after
    cluster.settle()
    assert (cluster.phase, cluster.jobs_made) == ("Verified", 1)


@pytest.mark.parametrize("reason", [Reason.CONTENT_MISMATCH, Reason.VERIFIED])
def test_what_was_found_by_a_clock_that_was_years_ahead_is_found_again(
    cluster: Cluster, reason: Reason
) -> None:
    cluster.content = Content(reason=reason)
    cluster.now += YEARS
    cluster.settle()
    cluster.now -= YEARS
    cluster.content = Content()
    cluster.settle()
    assert (cluster.phase, cluster.jobs_made) == ("Verified", 2)


def test_a_flight_that_a_clock_ahead_began_is_called_off_like_any_other(cluster: Cluster) -> None:
    cluster.now += YEARS
    cluster.look()
    cluster.now -= YEARS
    cluster.checkpoint["metadata"].update(generation=2)  # type: ignore[attr-defined]
    cluster.look()
    cluster.pass_time(seconds=30)
    cluster.settle()
    assert (cluster.phase, cluster.jobs_made) == ("Verified", 2)


def test_nobody_waits_since_tomorrow(cluster: Cluster) -> None:
    cluster.running = [Running(f"other-{number}", "b") for number in range(32)]
    cluster.now += YEARS
    cluster.look()
    cluster.now -= YEARS
    ticket = cluster.look().ticket
    assert ticket is not None
    assert ticket.since == cluster.now


def restored_years_from_now(cluster: Cluster) -> None:
    cluster.restored_at = cluster.now + YEARS


def counted_for_less_than_reading_takes(cluster: Cluster) -> None:
    cluster.policies = [policy_object(freshness={"maxAge": "5m"})]


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        (Reason.VERIFIED, restored_years_from_now),
        (Reason.CONTENT_MISMATCH, restored_years_from_now),
        (Reason.VERIFIED, counted_for_less_than_reading_takes),
    ],
)
def test_an_answer_that_never_counts_is_not_asked_for_without_a_pause(
    cluster: Cluster, reason: Reason, change: Callable[[Cluster], object]
) -> None:
    cluster.content = Content(reason=reason)
    change(cluster)
    for _ in range(144):
        for job in list(cluster.jobs.values()):
            if "status" not in job:
                cluster.run_pod(job)
                cluster.pass_time(minutes=10)
                cluster.end_job(job, "Complete")
        cluster.look()
        cluster.pass_time(minutes=10)
    assert cluster.phase != "Verified"
    assert cluster.jobs_made <= 25
