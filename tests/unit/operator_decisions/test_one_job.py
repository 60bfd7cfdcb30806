"""Of one checkpoint one Job runs at a time, whatever became of the last one (A25)."""

from datetime import timedelta

import pytest
from tests.unit.operator_decisions.simulated import Cluster, step

from weightlock_operator.decision.landing import COOLDOWN, ORPHAN_AGE


def with_orphan() -> Cluster:
    """A Job was made, and the status that would have said so was not written."""
    cluster = Cluster()
    cluster.look()
    del cluster.checkpoint["status"]
    return cluster


def test_a_job_that_no_status_knows_is_waited_for() -> None:
    cluster = with_orphan()
    decision = cluster.look()
    assert (cluster.jobs_made, len(cluster.jobs)) == (1, 1)
    assert (cluster.phase, cluster.reason) == ("Pending", "Queued")
    assert decision.requeue_after == ORPHAN_AGE
    assert decision.ticket is None


def test_it_gives_way_when_it_is_old() -> None:
    cluster = with_orphan()
    (orphan,) = cluster.jobs
    cluster.pass_time(seconds=ORPHAN_AGE.total_seconds())
    cluster.look()
    assert (cluster.jobs_made, len(cluster.jobs)) == (2, 1)
    assert orphan not in cluster.jobs
    assert cluster.phase == "Verifying"


def test_one_that_has_ended_is_not_waited_for() -> None:
    cluster = with_orphan()
    cluster.run_jobs()
    cluster.look()
    assert (cluster.jobs_made, cluster.phase) == (2, "Verifying")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("metadata.ownerReferences.0", {"uid": "another"}, id="of another owner"),
        pytest.param(
            "metadata.labels", {"app.kubernetes.io/managed-by": "helm"}, id="without our label"
        ),
    ],
)
def test_one_of_somebody_else_is_not_waited_for(field: str, value: dict[str, str]) -> None:
    cluster = with_orphan()
    (orphan,) = cluster.jobs.values()
    found = step(orphan, field)
    assert isinstance(found, dict)
    found.update(value)
    cluster.look()
    assert (cluster.jobs_made, cluster.phase) == (2, "Verifying")


def test_nothing_starts_before_its_time() -> None:
    """What a status would say if it could have been written."""
    cluster = Cluster()
    facts = cluster.facts(not_before=cluster.now + COOLDOWN)
    cluster.facts = lambda **_: facts  # type: ignore[method-assign]
    decision = cluster.look()
    assert (cluster.jobs, cluster.reason) == ({}, "Queued")
    assert decision.requeue_after == COOLDOWN
    assert decision.ticket is None


def test_the_later_of_two_pauses_counts() -> None:
    cluster = Cluster(refuse_jobs="quota")
    cluster.look()
    soon = cluster.facts(not_before=cluster.now + timedelta(seconds=1))
    cluster.facts = lambda **_: soon  # type: ignore[method-assign]
    decision = cluster.look()
    assert decision.requeue_after is not None
    assert decision.requeue_after > timedelta(seconds=1)
