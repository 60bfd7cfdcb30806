"""What is asked, and said, about a Job that may make no pod."""

import asyncio
from typing import Any

import pytest
from tests.support.memory_cluster import MemoryCluster, failing
from tests.unit.operator_runtime.stage import NAMESPACE, NOW, Stage

from weightlock_operator.api.cluster import EVENTS, JOBS
from weightlock_operator.api.cluster_errors import Forbidden
from weightlock_operator.refusals import MOST_JOBS, Refusals

Json = dict[str, Any]


@pytest.fixture
def stage() -> Stage:
    return Stage()


def failed_create(job: Json, at: str, message: str, name: str) -> Json:
    return {
        "metadata": {"name": name, "namespace": NAMESPACE},
        "involvedObject": {"kind": "Job", "uid": job["metadata"]["uid"]},
        "reason": "FailedCreate",
        "lastTimestamp": at,
        "message": message,
    }


def asked(stage: Stage) -> int:
    return sum(call.resource == "events" and call.verb == "list" for call in stage.cluster.calls)


def test_why_a_job_has_no_pod_is_asked_for_once_and_again_a_while_later(stage: Stage) -> None:
    """D12: the Job itself never says so."""
    uid = stage.good()
    stage.look(uid)
    [job] = stage.all(JOBS)
    stage.cluster.add(EVENTS, failed_create(job, "2026-11-21T12:00:01Z", "no quota", "a"))
    stage.cluster.add(EVENTS, failed_create(job, "2026-11-21T12:00:09Z", "no\nroom", "b"))
    other = {"metadata": {"uid": "another"}}
    stage.cluster.add(EVENTS, failed_create(other, "2026-11-21T12:00:10Z", "no luck", "c"))
    stage.look(uid)
    assert asked(stage) == 0, "controllers take a moment"
    stage.pass_time(10)
    stage.look(uid)
    assert stage.word() == ("Verifying", "VerificationRunning")
    assert stage.status()["message"].endswith("has made no pod yet: no\\nroom")
    stage.pass_time(10)
    stage.look(uid)
    assert asked(stage) == 1
    stage.pass_time(20)
    stage.cluster.objects.pop(("events", NAMESPACE, "a"))
    stage.cluster.objects.pop(("events", NAMESPACE, "b"))
    stage.look(uid)
    assert asked(stage) == 2
    assert "no\\nroom" in stage.status()["message"], "events end after an hour, quotas do not"
    stage.run_jobs()
    stage.look(uid)
    assert stage.word() == ("Verified", "Verified")


def test_a_job_with_a_pod_costs_no_question(stage: Stage) -> None:
    uid = stage.good()
    stage.look(uid)
    stage.run_jobs()
    stage.pass_time(60)
    stage.look(uid)
    assert stage.word() == ("Verified", "Verified")
    assert asked(stage) == 0


def test_events_that_cannot_be_read_change_nothing(stage: Stage) -> None:
    uid = stage.good()
    stage.look(uid)
    stage.cluster.before = failing(Forbidden("no events"), ["list"])
    stage.pass_time(10)
    stage.look(uid)
    assert stage.word() == ("Verifying", "VerificationRunning")
    assert "no pod yet" not in stage.status()["message"]


def test_an_odd_event_says_nothing(stage: Stage) -> None:
    uid = stage.good()
    stage.look(uid)
    [job] = stage.all(JOBS)
    odd = failed_create(job, "2026-11-21T12:00:01Z", "", "odd")
    del odd["message"], odd["lastTimestamp"]
    stage.cluster.add(EVENTS, odd)
    stage.pass_time(10)
    stage.look(uid)
    assert "no pod yet" not in stage.status()["message"]


def test_what_was_found_of_too_many_jobs_is_forgotten() -> None:
    cluster = MemoryCluster()
    refusals = Refusals(cluster)

    async def ask() -> None:
        for number in range(MOST_JOBS + 1):
            await refusals.of(NAMESPACE, f"job-{number}", NOW)
        await refusals.of(NAMESPACE, "job-0", NOW)
        await refusals.of(NAMESPACE, "job-2", NOW)

    asyncio.run(ask())
    assert len(cluster.calls) == MOST_JOBS + 2
