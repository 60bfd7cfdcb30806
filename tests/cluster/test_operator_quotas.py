"""A namespace with quotas of its own: what they refuse is said, and tried again later."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

import pytest
import yaml
from tests.cluster.operator_objects import Shelf
from tests.support.node_agent import NodeAgent

from e2e.cluster.api import ApiError, Json
from e2e.cluster.apiserver import ApiServer
from e2e.cluster.waiting import wait_until
from weightlock_operator.decision.troubles import ASKED_AFTER

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "quota.yaml"


JOBS = "count/jobs.batch"
CHECKPOINTS = "count/modelcheckpoints.weightlock.dev"


def limited(server: ApiServer, shelf: Shelf, name: str, what: str, amount: str) -> Json:
    """A quota that counts already."""
    found = yaml.safe_load(EXAMPLE.read_text())
    assert {JOBS, CHECKPOINTS} <= set(found["spec"]["hard"]), "the example names both"
    found["metadata"] = {"name": name, "namespace": shelf.tenant.namespace}
    found["spec"]["hard"] = {what: amount}
    made = server.api.create(found)
    wait_until(
        "the quota counts",
        lambda: (server.api.read(made).get("status") or {}).get("used"),
        timeout_seconds=30,
    )
    return made


def test_a_quota_of_jobs_is_named_and_the_job_made_once_there_is_room(
    apiserver_with_controllers: ApiServer, shelf: Shelf, node: NodeAgent
) -> None:
    quota = limited(apiserver_with_controllers, shelf, "jobs", JOBS, "0")
    shelf.good("crowded")
    status = shelf.reaches("crowded", "Error", "JobRefused")
    assert "exceeded quota: jobs, requested: count/jobs.batch=1" in status["message"]
    since = datetime.fromisoformat(status["conditions"][0]["lastTransitionTime"])
    pause = datetime.fromisoformat(status["nextAttempt"]) - since
    assert 25 <= pause.total_seconds() <= 45, "not again at once"
    apiserver_with_controllers.api.delete(quota)
    shelf.reaches("crowded", "Verified", seconds=60)
    assert node.ran.count("crowded") == 1


def test_a_quota_of_pods_is_named_at_once_and_the_job_goes_on_once_there_is_room(
    apiserver_with_controllers: ApiServer, shelf: Shelf, node: NodeAgent
) -> None:
    """D12: the Job exists, and never says itself why it makes no pod."""
    quota = limited(apiserver_with_controllers, shelf, "no-pods", "pods", "0")
    shelf.good("podless")
    began = time.monotonic()
    wait_until(
        "what refuses it is told",
        lambda: "exceeded quota: no-pods" in shelf.status("podless").get("message", ""),
        timeout_seconds=90,
    )
    assert time.monotonic() - began > ASKED_AFTER[0].total_seconds() - 2, "and not before"
    status = shelf.status("podless")
    assert (status["phase"], status["reason"]) == ("Verifying", "VerificationRunning")
    scheduled = next(each for each in status["conditions"] if each["type"] == "Scheduled")
    assert [scheduled[key] for key in ("status", "reason")] == ["False", "JobRefused"]
    apiserver_with_controllers.api.delete(quota)
    shelf.reaches("podless", "Verified", seconds=90)
    assert node.ran.count("podless") == 1


def test_a_quota_of_checkpoints_ends_a_flood_of_them(
    apiserver_with_controllers: ApiServer, shelf: Shelf
) -> None:
    """D18."""
    limited(apiserver_with_controllers, shelf, "checkpoints", CHECKPOINTS, "3")
    for number in range(3):
        shelf.checkpoint(f"flood-{number}")
    with pytest.raises(ApiError, match="exceeded quota"):
        shelf.checkpoint("flood-3")
