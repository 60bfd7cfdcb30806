"""Whatever happens in whatever order, wherever the operator ends: the same state, and a true one.

A machine of small steps: looks that may end before any of their writes, Jobs that run, are lost,
are deleted or forged; then a quiet time. It must converge to what an undisturbed run reaches, and
no bad model may ever be called good on the way.
"""

import contextlib
import copy
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.operator_decisions.simulated import (
    NAMESPACE,
    RELEASED,
    Cluster,
    Content,
    Crash,
    pod_object,
    step,
    volume_object,
)

from weightlock.reasons import Reason
from weightlock_operator.decision.actions import Event
from weightlock_operator.decision.landing import ORPHAN_AGE

GOOD = Content()
BAD = [
    Content(reason=Reason.CONTENT_MISMATCH),
    Content(signers=()),
    Content(reason=Reason.UNSAFE_ENTRY),
]


def look(cluster: Cluster, crash_after: int | None) -> None:
    cluster.crash_after = crash_after
    with contextlib.suppress(Crash):
        cluster.look()
    cluster.crash_after = None


def lose_pods(cluster: Cluster) -> None:
    """A node is lost: its pods are gone, and their Jobs fail."""
    for job in cluster.jobs.values():
        if "status" not in job:
            cluster.end_job(job, "Failed", "BackoffLimitExceeded")


def delete_jobs(cluster: Cluster) -> None:
    for name in list(cluster.jobs):
        cluster.delete_job(name)


def forge_report(cluster: Cluster) -> None:
    """A tenant makes a pod that says what a good one would, and labels it as ours."""
    for job in list(cluster.jobs.values()):
        content, cluster.content = cluster.content, GOOD
        pod = cluster.run_pod(job)
        cluster.content = content
        container = step(pod, "spec.containers.0")
        assert isinstance(container, dict)
        container["command"] = ["forge"]


def forge_job(cluster: Cluster) -> None:
    """A tenant replaces our Job by one of the same name that has a perfect report."""
    for name, job in list(cluster.jobs.items()):
        cluster.delete_job(name)
        forged = copy.deepcopy(job)
        metadata = forged["metadata"]
        assert isinstance(metadata, dict)
        metadata["uid"] = "forged"
        forged.pop("status", None)
        cluster.jobs[name] = forged
        content, cluster.content = cluster.content, GOOD
        cluster.run_pod(forged)
        cluster.end_job(forged, "Complete")
        cluster.content = content


def replay_status(cluster: Cluster) -> None:
    """A tenant takes our word for another object."""
    if "verification" in cluster.status:
        flight = copy.deepcopy(cluster.status["verification"])
        assert isinstance(flight, dict)
        flight["jobUID"] = "forged"
        cluster.status["verification"] = flight


def wait(cluster: Cluster) -> None:
    cluster.pass_time(minutes=3)


def write_and_leave(cluster: Cluster) -> None:
    cluster.others = [] if cluster.others else [pod_object("editor", read_only=False)]


Deed = Callable[[Cluster], None]
deeds = st.one_of(
    st.builds(lambda after: lambda cluster: look(cluster, after), st.none() | st.integers(0, 3)),
    st.sampled_from([Cluster.run_jobs, lose_pods, delete_jobs, wait, write_and_leave]),
)
attacks = st.sampled_from([forge_report, forge_job, replay_status])


def calm_down(cluster: Cluster) -> None:
    """A quiet day: nobody ends the operator, whoever waits is looked at again."""
    cluster.others = []
    for _ in range(40):
        cluster.pass_time(minutes=20)
        cluster.look()
        cluster.run_jobs()
    cluster.look()


@pytest.mark.parametrize("content", [GOOD, *BAD], ids=["good", "changed", "unsigned", "unsafe"])
@given(steps=st.lists(deeds, max_size=14))
@settings(max_examples=60, deadline=None)
def test_any_course_of_events_ends_where_an_undisturbed_one_does(
    content: Content, steps: list[Deed]
) -> None:
    undisturbed, cluster = Cluster(content=content), Cluster(content=content)
    undisturbed.settle()
    for deed in steps:
        deed(cluster)
        assert content is GOOD or cluster.phase != "Verified"
    calm_down(cluster)
    assert (cluster.phase, cluster.reason) == (undisturbed.phase, undisturbed.reason)
    assert cluster.floors == undisturbed.floors


@given(steps=st.lists(deeds | attacks, max_size=14), content=st.sampled_from(BAD))
@settings(max_examples=150, deadline=None)
def test_no_attack_makes_a_bad_model_good(steps: list[Deed], content: Content) -> None:
    cluster = Cluster(content=content)
    for deed in steps:
        deed(cluster)
        assert cluster.phase not in ("Verified", "ClassicalOnly")
    calm_down(cluster)
    assert cluster.phase == "Failed"


@given(steps=st.lists(deeds, max_size=10), content=st.sampled_from([GOOD, *BAD]))
@settings(max_examples=100, deadline=None)
def test_a_second_look_at_the_same_has_nothing_to_say(steps: list[Deed], content: Content) -> None:
    """The status is read back as it was meant: else it would be written for ever."""
    cluster = Cluster(content=content)
    for deed in steps:
        deed(cluster)
        cluster.look()
        again = cluster.look()
        assert (again.status, again.create) == (None, None)
        assert [action for action in again.after if isinstance(action, Event)] == []


@pytest.mark.parametrize("writes", range(6))
@pytest.mark.parametrize("looks", range(3))
@pytest.mark.parametrize("content", [GOOD, BAD[0]], ids=["good", "bad"])
def test_one_crash_costs_at_most_one_job(content: Content, looks: int, writes: int) -> None:
    cluster = Cluster(content=content)
    for _ in range(looks):
        cluster.look()
        cluster.run_jobs()
    look(cluster, writes)
    for _ in range(6):
        cluster.run_jobs()
        cluster.pass_time(seconds=31)
        cluster.look()
    assert cluster.phase == ("Verified" if content is GOOD else "Failed")
    assert cluster.jobs_made <= 2


def test_a_job_that_no_status_knows_is_deleted() -> None:
    cluster = Cluster()
    look(cluster, 1)  # the Job is made, the status is not written
    assert len(cluster.jobs) == 1
    (orphan,) = cluster.jobs
    cluster.pass_time(minutes=2)
    cluster.look()
    assert orphan not in cluster.jobs
    cluster.settle()
    assert (cluster.phase, cluster.jobs_made) == ("Verified", 2)


def test_the_floor_is_raised_before_the_status_says_verified() -> None:
    cluster = Cluster()
    cluster.look()
    cluster.run_jobs()
    look(cluster, 1)  # the floor is raised, the status is not written
    assert (cluster.floors, cluster.phase) == ({RELEASED: 7}, "Verifying")
    cluster.look()
    assert (cluster.floors, cluster.phase) == ({RELEASED: 7}, "Verified")


def bad_content_while_the_job_runs(cluster: Cluster) -> None:
    (job,) = cluster.jobs.values()
    cluster.run_pod(job)


def a_second_container(cluster: Cluster) -> None:
    (job,) = cluster.jobs.values()
    pod = cluster.run_pod(job)
    containers = step(pod, "spec.containers")
    assert isinstance(containers, list)
    containers.append({"name": "guest", "image": "guest"})


@pytest.mark.parametrize("minutes", [0, 5], ids=["young", "old"])
@pytest.mark.parametrize(
    ("deed", "phase", "reason"),
    [
        pytest.param(bad_content_while_the_job_runs, "Failed", "ContentMismatch", id="bad content"),
        pytest.param(a_second_container, "Error", "VerifierTampered", id="tampered"),
    ],
)
def test_a_job_stays_until_the_status_says_what_came_of_it(
    deed: Deed, phase: str, reason: str, minutes: int
) -> None:
    cluster = Cluster(content=BAD[0])
    cluster.look()
    (name,) = cluster.jobs
    deed(cluster)
    cluster.pass_time(minutes=minutes)
    look(cluster, 0)  # the first write fails
    assert name in cluster.jobs, "it is the evidence"
    look(cluster, 1)  # the status is written, the Job not deleted
    assert (cluster.phase, cluster.reason) == (phase, reason)
    assert name in cluster.jobs
    cluster.pass_time(minutes=1)
    cluster.look()
    assert name not in cluster.jobs


def test_a_job_that_was_not_deleted_after_its_status_is_looked_for_again() -> None:
    cluster = Cluster(content=BAD[0])
    cluster.look()
    bad_content_while_the_job_runs(cluster)
    cluster.pass_time(minutes=5)
    decision = cluster.look()
    assert decision.requeue_after is not None
    assert decision.requeue_after <= ORPHAN_AGE


@given(flips=st.integers(2, 40))
@settings(max_examples=10, deadline=None)
def test_a_spec_that_flips_makes_few_jobs(flips: int) -> None:
    cluster = Cluster()
    for generation in range(1, flips):
        metadata = cluster.checkpoint["metadata"]
        assert isinstance(metadata, dict)
        metadata["generation"] = generation
        cluster.look()
        cluster.look()
        cluster.pass_time(seconds=1)
    assert cluster.jobs_made <= 2 + flips // 30


def test_storage_that_changes_under_a_job_calls_it_off() -> None:
    cluster = Cluster()
    cluster.look()
    cluster.run_jobs()
    cluster.volume = volume_object(handle="h-2")
    cluster.look()
    assert cluster.phase != "Verified"
    cluster.pass_time(minutes=1)
    cluster.settle()
    assert (cluster.phase, cluster.jobs_made) == ("Verified", 2)


def test_the_namespace_is_the_only_place_where_jobs_are_made() -> None:
    cluster = Cluster()
    cluster.look()
    assert {step(job, "metadata.namespace") for job in cluster.jobs.values()} == {NAMESPACE}
