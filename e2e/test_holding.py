"""Pods that come before the verdict: held until it stands, or verified by a container in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from e2e.cluster.api import Json
from e2e.cluster.running import RunningCluster
from e2e.cluster.waiting import wait_until
from e2e.models import Key, config_of, flip_one_bit, key, sign, write_model
from e2e.teams import CLAIM, Team, team_on

HELD = "weightlock.dev/held"
READ_ONLY_CLAIM = {"persistentVolumeClaim": {"claimName": CLAIM, "readOnly": True}}
TOLD_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Early:
    """A team whose volume holds one signed model, which nobody has registered."""

    team: Team
    release: Key

    @property
    def pod(self) -> Json:
        """It wants all of the volume."""
        return self.team.reader("trainer", volume=READ_ONLY_CLAIM)

    def checkpoint_name(self) -> str:
        """The name of the checkpoint that the operator has registered."""

        def found() -> str:
            path = f"/apis/weightlock.dev/v1beta1/namespaces/{self.team.namespace}/modelcheckpoints"
            items = self.team.tenant.api.get(path)["items"]
            return items[0]["metadata"]["name"] if items else ""

        return wait_until("a checkpoint is registered", found, timeout_seconds=TOLD_SECONDS)


@pytest.fixture
def early(cluster: RunningCluster, release: Key) -> Iterator[Early]:
    with team_on(cluster, "early") as team:
        sign(write_model(team.folder / "model"), release)
        (team.folder / "model").rename(team.folder.with_suffix(".model"))
        team.folder.rmdir()
        team.folder.with_suffix(".model").rename(team.folder)
        yield Early(team, release)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Key:
    return key(tmp_path_factory.mktemp("keys"), "release")


def test_a_held_pod_starts_when_its_checkpoint_is_verified(early: Early) -> None:
    early.team.govern({"release": early.release}, onUnverified="Hold", autoRegister=True)
    early.team.share_folder()
    stored = early.team.tenant.api.create(early.pod)
    assert stored["metadata"]["labels"][HELD] == "true"
    assert early.team.read_by(early.pod) == config_of(1)
    assert early.team.status(early.checkpoint_name())["phase"] == "Verified"
    api = early.team.tenant.api
    wait_until(
        "it is said to be held no more",
        lambda: HELD not in api.read(stored)["metadata"].get("labels", {}),
        timeout_seconds=TOLD_SECONDS,
    )


def test_a_held_pod_never_starts_on_a_bad_checkpoint(early: Early) -> None:
    team = early.team
    flip_one_bit(team.folder)
    team.govern({"release": early.release}, onUnverified="Hold", autoRegister=True)
    team.share_folder()
    team.tenant.api.create(early.pod)
    team.verdict(early.checkpoint_name(), "Failed")

    def told() -> bool:
        return any(event["reason"] == "ContentMismatch" for event in team.events_about("trainer"))

    wait_until("the pod's events say why", told, timeout_seconds=TOLD_SECONDS)
    live = team.tenant.api.read(early.pod)
    assert "nodeName" not in live["spec"]
    assert live["status"]["phase"] == "Pending"


def test_a_refused_pod_has_its_checkpoint_registered(early: Early) -> None:
    early.team.govern({"release": early.release}, autoRegister=True)
    early.team.share_folder()
    assert "NoCheckpoint" in early.team.refusal(early.pod)
    early.team.verdict(early.checkpoint_name(), "Verified")
    assert early.team.runs(early.pod) == config_of(1)


def test_an_injected_container_lets_a_good_checkpoint_pass(early: Early) -> None:
    early.team.govern({"release": early.release}, onUnverified="Inject")
    early.team.share_folder()
    stored = early.team.tenant.api.create(early.pod)
    assert [each["name"] for each in stored["spec"]["initContainers"]] == ["weightlock-verify-0"]
    assert early.team.read_by(early.pod) == config_of(1)


def test_an_injected_container_stops_a_bad_checkpoint(early: Early) -> None:
    flip_one_bit(early.team.folder)
    early.team.govern({"release": early.release}, onUnverified="Inject")
    early.team.share_folder()
    early.team.tenant.api.create(early.pod)
    live = early.team.tenant.api.wait_for(early.pod, "the pod fails", phase="Failed")
    (injected,) = live["status"]["initContainerStatuses"]
    assert "ContentMismatch" in injected["state"]["terminated"]["message"]
    (main,) = live["status"]["containerStatuses"]
    assert "waiting" in main["state"]  # never started
