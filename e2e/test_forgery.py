"""Whoever would like to decide for the verifier: tenants, administrators, and accidents."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.cluster.api import Api, ApiError, Json
from e2e.cluster.native.provider import NativeProvider
from e2e.cluster.running import RunningCluster
from e2e.cluster.waiting import wait_until
from e2e.images.programs import BUSYBOX_IMAGE
from e2e.install import disarmed
from e2e.models import Key, config_of, key, sign, write_model
from e2e.pods import busybox
from e2e.teams import Team, team_on

LABEL_VERIFICATION = "weightlock.dev/verification"
STARTED_SECONDS = 60.0
PROBE_SECONDS = 0.002
FORBIDDEN = 403


@dataclass(frozen=True, slots=True)
class Flight:
    """A verification of a good model whose pod waits for a node that takes pods."""

    team: Team

    @property
    def pod(self) -> Json:
        return typed(self.team.verifiers("model")[0], "v1", "Pod")

    @property
    def job(self) -> Json:
        return typed(self.team.jobs()[0], "batch/v1", "Job")


def typed(item: Json, api_version: str, kind: str) -> Json:
    """An item of a list says of what kind it is nowhere."""
    return {**item, "apiVersion": api_version, "kind": kind}


@pytest.fixture
def team(cluster: RunningCluster, release: Key) -> Iterator[Team]:
    with team_on(cluster, "forger") as team:
        sign(write_model(team.folder / "model"), release)
        team.govern({"release": release})
        team.share_folder()
        yield team


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Key:
    return key(tmp_path_factory.mktemp("keys"), "release")


@contextmanager
def in_flight(team: Team) -> Iterator[Flight]:
    """Keep the node from taking pods, so that the verification lasts."""
    node: Json = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": team.cluster.node}}
    team.cluster.api.patch(node, {"spec": {"unschedulable": True}})
    try:
        team.register("model")
        wait_until(
            "the verification's pod exists",
            lambda: team.verifiers("model"),
            timeout_seconds=STARTED_SECONDS,
        )
        yield Flight(team)
    finally:
        team.cluster.api.patch(node, {"spec": {"unschedulable": None}})


def swap_image(api: Api, flight: Flight) -> None:
    spec = {"containers": [{**flight.pod["spec"]["containers"][0], "image": BUSYBOX_IMAGE}]}
    api.patch(flight.pod, {"spec": spec})


def forge_report(api: Api, flight: Flight) -> None:
    terminated = {"exitCode": 0, "message": '{"verdict":"Verified"}', "reason": "Completed"}
    container = {"name": "verifier", "ready": False, "restartCount": 0, "image": "", "imageID": ""}
    status = {"phase": "Succeeded", "containerStatuses": [{**container, "state": terminated}]}
    api.patch(flight.pod, {"status": status}, subresource="/status")


def end_job(api: Api, flight: Flight) -> None:
    api.delete(flight.job)


def take_its_name(api: Api, flight: Flight) -> None:
    api.delete(flight.pod)


def relabel_job(api: Api, flight: Flight) -> None:
    api.patch(flight.job, {"metadata": {"labels": {LABEL_VERIFICATION: None}}})


def squat(api: Api, flight: Flight) -> None:
    labels = flight.job["metadata"]["labels"]
    template = {"spec": {"restartPolicy": "Never", "containers": [busybox("true")]}}
    api.create(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "squatter", "namespace": flight.team.namespace, "labels": labels},
            "spec": {"template": template},
        }
    )


def pose_as_verifier(api: Api, flight: Flight) -> None:
    pod = flight.team.reader("model")
    pod["metadata"]["labels"] = dict(flight.pod["metadata"]["labels"])
    pod["metadata"]["name"] = "poser"
    api.create(pod)


def enter(api: Api, flight: Flight) -> None:
    path = api.path(flight.pod)
    api.send("POST", f"{path}/exec?command=true&container=verifier&stdout=true")


def write_verdict(api: Api, flight: Flight) -> None:
    checkpoint = flight.team.checkpoint("model")
    api.patch(checkpoint, {"status": {"phase": "Verified"}}, subresource="/status")


FORGERIES: tuple[Callable[[Api, Flight], None], ...] = (
    swap_image,
    forge_report,
    end_job,
    take_its_name,
    relabel_job,
    squat,
    pose_as_verifier,
    enter,
    write_verdict,
)


def test_nobody_meddles_with_a_verification(team: Team) -> None:
    with in_flight(team) as flight:
        before = flight.pod["metadata"]["uid"], flight.job["metadata"]["uid"]
        for forge in FORGERIES:
            for api, by in ((team.tenant.api, ""), (team.cluster.api, "admission webhook")):
                with pytest.raises(ApiError) as refused:
                    forge(api, flight)
                assert refused.value.code == FORBIDDEN, (forge.__name__, str(refused.value))
                assert by in refused.value.message, forge.__name__
        assert (flight.pod["metadata"]["uid"], flight.job["metadata"]["uid"]) == before
        assert team.status("model")["phase"] == "Verifying"
    assert team.verdict("model")["phase"] == "Verified"
    assert team.runs(team.reader("model")) == config_of(1)


def test_the_operator_believes_no_other_image_even_where_nobody_guards_the_pod(team: Team) -> None:
    with in_flight(team) as flight, disarmed(team.cluster):
        swap_image(team.cluster.api, flight)
        status = team.verdict("model", "Error")
        assert status["reason"] == "VerifierTampered"
    assert "VerifierTampered" in team.refusal(team.reader("model"))


def test_a_verifier_that_is_killed_is_tried_again(cluster: RunningCluster, team: Team) -> None:
    if not isinstance(cluster.provider, NativeProvider):
        pytest.skip("the processes of the node are not this machine's")
    team.register("model")
    pid = wait_until(
        "the verifier runs",
        lambda: verifier_process(team),
        timeout_seconds=STARTED_SECONDS,
        poll=PROBE_SECONDS,
    )
    os.kill(pid, signal.SIGKILL)
    status = team.verdict("model", "Error")
    assert status["reason"] == "VerifierCrashed"
    assert "VerifierCrashed" in team.refusal(team.reader("model"))
    team.verdict("model", "Verified")
    assert team.runs(team.reader("model")) == config_of(1)


def verifier_process(team: Team) -> int:
    """The process of the team's verification: its request is on its command line."""
    nonces = [job["metadata"]["labels"][LABEL_VERIFICATION] for job in team.jobs()]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if "report" in words and any(nonce in words for nonce in nonces):
            return int(path.parent.name)
    return 0
