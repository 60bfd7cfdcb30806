"""Earlier statuses that somebody puts back: sealed by us, and worth nothing any more (A10)."""

import copy
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.operator_decisions.simulated import (
    MODEL,
    Cluster,
    Content,
    pod_object,
)
from tests.unit.policy.builders import PQ, Json

from weightlock.policy.checkpoints import RecordedSignature, VolumeStatus
from weightlock.reasons import Reason
from weightlock.verdict.records import VerdictRecord
from weightlock_operator.decision.queue import Running
from weightlock_operator.decision.spent import Spent, spent

BAD = Content(reason=Reason.CONTENT_MISMATCH)
START = datetime(2026, 1, 1, tzinfo=UTC)


def history_of(cluster: Cluster) -> list[Json]:
    """Good, then changed by a writer and found bad: every status on the way."""
    found = []

    def look() -> None:
        cluster.look()
        found.append(copy.deepcopy(cluster.status))

    look()
    cluster.run_jobs()
    look()
    assert cluster.phase == "Verified"
    cluster.others = [pod_object("editor", read_only=False)]
    look()
    assert [cluster.reason] == ["WriterSeen"]
    cluster.others = []
    cluster.content = BAD
    for _ in range(4):
        cluster.pass_time(minutes=6)
        look()
        cluster.run_jobs()
    look()
    assert cluster.reason == "ContentMismatch"
    return found


def put_back(cluster: Cluster, status: Json) -> None:
    cluster.checkpoint["status"] = copy.deepcopy(status)


@given(replayed=st.lists(st.integers(0, 5), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_no_order_of_earlier_statuses_makes_it_good_again(replayed: list[int]) -> None:
    cluster = Cluster()
    history = history_of(cluster)
    for index in replayed:
        put_back(cluster, history[index])
        cluster.look()
        assert cluster.phase not in ("Verified", "ClassicalOnly")
        cluster.pass_time(minutes=1)
    for _ in range(10):
        cluster.pass_time(minutes=20)
        cluster.look()
        cluster.run_jobs()
    cluster.look()
    assert cluster.phase == "Failed"


def test_it_says_that_a_status_was_put_back() -> None:
    cluster = Cluster()
    good = next(each for each in history_of(cluster) if each["phase"] == "Verified")
    put_back(cluster, good)
    cluster.running = [Running(f"other-{number}", "team-b") for number in range(32)]
    cluster.look()
    assert (cluster.phase, cluster.reason) == ("Stale", "SealBroken")
    assert "an earlier status was put back" in str(cluster.status["message"])


def test_what_was_verified_again_is_not_taken_back_to_the_time_before() -> None:
    cluster = Cluster()
    cluster.settle()
    former = copy.deepcopy(cluster.status)
    cluster.pass_time(hours=140)
    cluster.settle()
    newest = copy.deepcopy(cluster.status)
    assert newest["lastVerified"] != former["lastVerified"]
    put_back(cluster, newest)
    cluster.look()
    assert cluster.phase == "Verified", "what still counts may be written as often as one likes"
    put_back(cluster, former)
    cluster.look()
    assert (cluster.phase, cluster.jobs_made) == ("Verifying", 3)


def test_a_status_that_is_put_back_after_a_forged_one_does_not_count_either() -> None:
    """The operator never saw the good one go: the forged one took its place."""
    cluster = Cluster()
    cluster.settle()
    good = copy.deepcopy(cluster.status)
    put_back(cluster, {**good, "seal": "v1:none:broken"})
    cluster.content = BAD
    cluster.settle()
    assert cluster.reason == "ContentMismatch"
    put_back(cluster, good)
    cluster.look()
    assert [cluster.phase] == ["Verifying"]


def test_a_forged_record_spends_nothing_but_what_it_replaces() -> None:
    """Or whoever writes one of next year would have nothing count until then."""
    cluster = Cluster()
    cluster.settle()
    put_back(cluster, {**cluster.status, "lastVerified": "2027-11-21T12:00:00Z"})
    cluster.pass_time(seconds=1)
    cluster.settle()
    assert (cluster.phase, cluster.jobs_made) == ("Verified", 2)


def record(second: int, generation: int = 1) -> VerdictRecord:
    return VerdictRecord(
        checkpoint_uid="u",
        generation=generation,
        volume=VolumeStatus("claim", "pv", "uid"),
        digest=None,
        signatures=(RecordedSignature(PQ.algorithm, PQ.keyid),),
        model=MODEL,
        policy_hash="p",
        verifier_image="i",
        verified_at=START + timedelta(seconds=second),
    )


records = st.builds(record, st.integers(0, 3), st.integers(1, 2))
NOW = START + timedelta(minutes=1)
spents = st.builds(
    Spent,
    st.integers(0, 3).map(lambda second: START + timedelta(seconds=second)),
    st.frozensets(records, max_size=3),
)


@given(one=spents, other=spents, found=records)
def test_what_either_covers_the_two_together_do(
    one: Spent, other: Spent, found: VerdictRecord
) -> None:
    both = one.joined(other)
    assert both.covers(found, NOW) == (one.covers(found, NOW) or other.covers(found, NOW))
    assert both == both.joined(one) == both.joined(other)
    assert one.joined(None) == one


@given(kept=records, known=st.lists(records, max_size=3))
def test_what_is_kept_counts_and_what_is_dropped_does_not(
    kept: VerdictRecord, known: list[VerdictRecord]
) -> None:
    found = spent(kept, known, NOW)
    assert found is not None
    assert not found.covers(kept, NOW)
    later = spent(None, [found.kept], NOW)
    assert later is not None
    assert later.joined(found).covers(kept, NOW)
    dropped = spent(None, known, NOW)
    assert (dropped is None) == (not known)
    assert all(dropped.covers(each, NOW) for each in known if dropped is not None)


def test_a_clock_that_was_ahead_spends_nothing_of_the_time_to_come() -> None:
    ahead = spent(None, [record(3600)], START)
    assert ahead is not None
    assert ahead.covers(record(3600), START)
    assert not ahead.covers(record(1), START + timedelta(seconds=1))
    kept = spent(record(3600), [], START + timedelta(hours=1))
    assert kept is not None
    assert not kept.covers(record(1), START + timedelta(seconds=1)), "the clock went back"


def test_another_verification_of_the_same_second_still_counts() -> None:
    dropped = spent(None, [record(0)], NOW)
    assert dropped is not None
    assert not dropped.covers(record(0, generation=2), NOW)
