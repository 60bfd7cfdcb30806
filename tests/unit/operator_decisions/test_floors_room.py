"""How much is remembered against rollback, and what becomes of a model when there is no room."""

from dataclasses import replace

import pytest
from tests.unit.operator_decisions.simulated import RELEASED, Cluster, Content
from tests.unit.policy.builders import policy_object

from weightlock.formats.manifest import ModelIdentity
from weightlock.verdict.floors import VouchedModel
from weightlock_operator.decision import reconcile
from weightlock_operator.decision.floors import (
    MOST_BYTES,
    MOST_BYTES_OF_TENANTS,
    MOST_OF_A_POLICY,
    UNNUMBERED,
)
from weightlock_operator.decision.reconcile import NOT_KEPT_RETRY

LONG = "x" * 200


def crowd(policy: str, count: int, name: str = "step") -> dict[VouchedModel, int]:
    return {VouchedModel(policy, f"{name}-{number}"): 2 for number in range(count)}


FULL = {
    "under the policy": crowd("ClusterModelPolicy post-quantum", MOST_OF_A_POLICY),
    "in all": crowd("ClusterModelPolicy other", MOST_BYTES // 330, LONG),
}


@pytest.mark.parametrize("floors", FULL.values(), ids=FULL)
def test_without_room_a_model_is_an_error_that_says_what_to_do(
    floors: dict[VouchedModel, int],
) -> None:
    cluster = Cluster(floors=dict(floors))
    cluster.settle()
    assert (cluster.phase, cluster.reason) == ("Error", "VersionNotKept")
    assert "under ClusterModelPolicy post-quantum" in str(cluster.status["message"])
    assert "docs/runbooks/version-floors.md" in str(cluster.status["message"])
    assert cluster.events[-1].reason == "VersionNotKept"
    assert cluster.floors == floors


def test_it_is_looked_at_again_and_not_read_again() -> None:
    cluster = Cluster(floors=dict(FULL["under the policy"]))
    cluster.settle()
    for _ in range(6):
        cluster.pass_time(minutes=10)
        assert cluster.look().requeue_after == NOT_KEPT_RETRY
    assert cluster.jobs_made == 1
    cluster.floors.popitem()
    cluster.look()
    assert (cluster.phase, cluster.jobs_made, cluster.floors[RELEASED]) == ("Verified", 1, 7)


def test_what_is_remembered_already_rises_however_full_it_is() -> None:
    cluster = Cluster(floors={**FULL["under the policy"], RELEASED: 6})
    cluster.settle()
    assert (cluster.phase, cluster.floors[RELEASED]) == ("Verified", 7)


def test_what_cannot_be_recorded_takes_the_verdict_until_it_can() -> None:
    cluster = Cluster()
    cluster.settle()
    cluster.floors.clear()
    refused = reconcile.actions_for(replace(cluster.facts(), unkept="422: Too long"))
    assert refused.status is not None
    assert (refused.status["phase"], refused.reason.value) == ("Error", "VersionNotKept")
    assert "422: Too long" in str(refused.status["message"])
    assert not refused.before
    cluster.look()
    assert (cluster.phase, cluster.floors) == ("Verified", {RELEASED: 7})


def test_what_is_remembered_already_needs_no_recording() -> None:
    cluster = Cluster()
    cluster.settle()
    assert cluster.floors == {RELEASED: 7}
    again = reconcile.actions_for(replace(cluster.facts(), unkept="422: Too long"))
    assert (again.status, again.reason.value) == (None, "Verified")


def test_tenants_share_a_part_of_it() -> None:
    others = crowd("ModelPolicy team-b/own", MOST_BYTES_OF_TENANTS // 320, LONG)
    cluster = Cluster(policies=[policy_object("own", "team-a")], floors=dict(others))
    cluster.settle()
    assert (cluster.phase, cluster.floors) == ("Verified", others)


def test_what_cluster_policies_remember_takes_nothing_of_that_part() -> None:
    others = crowd("ClusterModelPolicy other", MOST_BYTES_OF_TENANTS // 320, LONG)
    cluster = Cluster(policies=[policy_object("own", "team-a")], floors=dict(others))
    cluster.settle()
    own = RELEASED._replace(policy="ModelPolicy team-a/own")
    assert (cluster.phase, cluster.floors) == ("Verified", {**others, own: 7})


def test_a_version_that_nobody_has_numbered_is_not_remembered() -> None:
    cluster = Cluster(content=Content(model=ModelIdentity("step-1200", UNNUMBERED)))
    cluster.settle()
    assert (cluster.phase, cluster.floors) == ("Verified", {})
