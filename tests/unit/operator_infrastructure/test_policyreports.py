import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.support.memory_cluster import MemoryCluster, failing

from weightlock.reasons import Verdict
from weightlock_operator.api.cluster import Json, Resource
from weightlock_operator.api.cluster_errors import Conflict, Terminating
from weightlock_operator.api.policyreports import (
    KINDS,
    MAX_RESULTS,
    Outcome,
    Reporter,
    by_namespace,
    report,
    served,
)

WGPOLICY, OPENREPORTS = KINDS
GOOD = Outcome(
    "team-a",
    "llama",
    "uid-1",
    Verdict.VERIFIED,
    "Verified",
    "signed by release",
    ("ClusterModelPolicy post-quantum",),
    datetime(2026, 1, 1, tzinfo=UTC),
)
BAD = replace(GOOD, name="bad", phase=Verdict.FAILED, reason="ExtraFile")


def stored(cluster: MemoryCluster, resource: Resource = WGPOLICY) -> Json:
    return cluster.objects[resource.plural, "team-a", "weightlock"]


def write(reporter: Reporter, *outcomes: Outcome) -> None:
    asyncio.run(reporter.write("team-a", outcomes))


@pytest.mark.parametrize("phase", list(Verdict))
def test_every_phase_has_a_result(phase: Verdict) -> None:
    body = report(WGPOLICY, "team-a", [replace(GOOD, phase=phase)])
    assert sum(body["summary"].values()) == 1
    assert (body["results"][0]["result"] == "pass") is (phase is Verdict.VERIFIED)


def test_a_cut_report_keeps_the_worst_and_counts_all() -> None:
    many = [replace(GOOD, name=f"good-{number}") for number in range(MAX_RESULTS + 100)]
    body = report(OPENREPORTS, "team-a", [*many, BAD])
    assert len(body["results"]) == MAX_RESULTS
    assert body["results"][0]["resources"][0]["name"] == "bad"
    assert body["summary"] == {
        "pass": MAX_RESULTS + 100,
        "fail": 1,
        "warn": 0,
        "error": 0,
        "skip": 0,
    }


def test_each_api_gets_its_kind() -> None:
    cluster = MemoryCluster()
    write(Reporter(cluster, KINDS), GOOD)
    assert stored(cluster)["kind"] == "PolicyReport"
    assert stored(cluster, OPENREPORTS)["kind"] == "Report"
    assert stored(cluster, OPENREPORTS)["source"] == "weightlock"


def test_what_did_not_change_is_not_written_again() -> None:
    cluster = MemoryCluster()
    reporter = Reporter(cluster, [WGPOLICY])
    write(reporter, GOOD)
    calls = len(cluster.calls)
    write(reporter, GOOD)
    assert len(cluster.calls) == calls
    write(reporter, BAD)
    assert stored(cluster)["summary"]["fail"] == 1


def test_a_namespace_without_checkpoints_has_no_report() -> None:
    cluster = MemoryCluster()
    reporter = Reporter(cluster, [WGPOLICY])
    write(reporter, GOOD)
    write(reporter)
    assert not cluster.objects
    write(Reporter(cluster, [WGPOLICY]))
    assert not cluster.objects


@pytest.mark.parametrize("trouble", [Terminating("going"), Conflict("changed")])
def test_trouble_is_tried_again_next_time(trouble: Terminating | Conflict) -> None:
    cluster = MemoryCluster()
    reporter = Reporter(cluster, [WGPOLICY])
    cluster.before = failing(trouble, ["create"])
    write(reporter, GOOD)
    assert not cluster.objects
    write(reporter, GOOD)
    assert stored(cluster)


def test_only_what_the_server_has_is_written() -> None:
    cluster = MemoryCluster(
        documents={
            "/apis/openreports.io/v1alpha1": {"resources": [{"name": "reports"}]},
            "/apis/wgpolicyk8s.io/v1alpha2": {"resources": [{"name": "clusterpolicyreports"}]},
        }
    )
    assert asyncio.run(served(cluster)) == (OPENREPORTS,)
    assert asyncio.run(served(MemoryCluster())) == ()


def test_outcomes_are_sorted_by_namespace() -> None:
    other = replace(GOOD, namespace="team-b")
    assert by_namespace([GOOD, other, BAD]) == {"team-a": [GOOD, BAD], "team-b": [other]}
