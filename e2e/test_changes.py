"""What becomes of a verdict when the world around it changes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from e2e.cluster.running import RunningCluster
from e2e.models import Key, config_of, flip_one_bit, key, sign, write_model
from e2e.teams import SERVE, Team, claim_for, local_volume, team_on
from e2e.waiting import gone

REJUDGED_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Lab:
    """A team with two keys that it trusts."""

    team: Team
    release: Key
    other: Key


@pytest.fixture
def lab(cluster: RunningCluster, keys: dict[str, Key]) -> Iterator[Lab]:
    with team_on(cluster, "lab") as team:
        yield Lab(team, keys["release"], keys["other"])


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Key]:
    folder = tmp_path_factory.mktemp("keys")
    return {name: key(folder, name) for name in ("release", "other")}


def test_a_changed_policy_is_applied_at_once_and_nothing_is_read_again(lab: Lab) -> None:
    team = lab.team
    sign(write_model(team.folder / "model"), lab.release)
    team.govern({"release": lab.release, "other": lab.other})
    team.share_folder()
    team.register("model")
    assert team.verdict("model")["phase"] == "Verified"
    jobs = [job["metadata"]["uid"] for job in team.jobs()]

    rules = team.cluster.api.read(team.policy)["spec"]["signatures"]["rules"]
    for authorities, phase in ((["other"], "Failed"), (["release", "other"], "Verified")):
        signatures = {"rules": [{**rules[0], "authorities": authorities}]}
        started = time.monotonic()
        team.change_policy(signatures=signatures)
        team.verdict("model", phase)
        assert time.monotonic() - started < REJUDGED_SECONDS
        if phase == "Failed":
            assert "SignerUntrusted" in team.refusal(team.reader("model"))
    assert [job["metadata"]["uid"] for job in team.jobs()] == jobs
    assert team.runs(team.reader("model")) == config_of(1)


def test_a_claim_that_is_made_anew_has_to_be_verified_anew(lab: Lab) -> None:
    team = lab.team
    sign(write_model(team.folder / "one" / "model", seed=1), lab.release)
    flip_one_bit(sign(write_model(team.folder / "two" / "model", seed=2), lab.release))
    team.govern({"release": lab.release})
    bind_to(team, "one")
    team.register("model")
    assert team.verdict("model")["phase"] == "Verified"
    assert team.runs(team.reader("model")) == config_of(1)

    gone(team.cluster.api, team.reader("model"))  # even a pod that has ended keeps a claim
    bind_to(team, "two")
    second = team.reader("model")
    second["metadata"]["name"] = "second"
    team.refusal(second)
    status = team.verdict("model", "Failed")
    assert status["reason"] == "ContentMismatch"
    assert "ContentMismatch" in team.refusal(second)

    bind_to(team, "one")
    team.refusal(second)
    team.verdict("model", "Verified")
    assert team.runs(second) == config_of(1)


def bind_to(team: Team, folder: str) -> None:
    """Let the claim of the same name, made anew, lead to another volume of the same name."""
    api = team.cluster.api
    claim, volume = claim_for(team), local_volume(team)
    for old in (claim, volume):
        gone(api, old)
    volume["spec"]["local"]["path"] = str(team.folder / folder)
    api.create(volume)
    team.claim()


def test_pods_are_evicted_when_what_they_loaded_turns_out_bad(lab: Lab) -> None:
    team = lab.team
    for name in ("spoiled", "sound"):
        sign(write_model(team.folder / name), lab.release, name=name)
    team.govern({"release": lab.release}, onFailure="Evict")
    team.share_folder()
    readers = {name: team.reader(name, command=SERVE) for name in ("spoiled", "sound")}
    for name, reader in readers.items():
        team.register(name)
        team.verdict(name, "Verified")
        team.tenant.api.create(reader)
        team.read_by(reader, "Running")

    flip_one_bit(team.folder / "spoiled")
    team.change_policy(freshness={"maxAge": "15s"})
    assert team.verdict("spoiled", "Failed")["reason"] == "ContentMismatch"
    team.change_policy(freshness={"maxAge": "1h"})
    team.is_evicted(readers["spoiled"])
    team.verdict("sound", "Verified")
    assert team.pod_status(readers["sound"])["phase"] == "Running"


def test_a_folder_of_a_node_counts_on_that_node_only(lab: Lab) -> None:
    team, node = lab.team, lab.team.cluster.node
    sign(write_model(team.folder / "model"), lab.release)
    sign(write_model(team.folder / "other"), lab.release)
    team.govern({"release": lab.release})
    team.register("model", hostPath={"path": str(team.folder / "model"), "nodeName": node})
    assert team.verdict("model")["phase"] == "Verified"

    reader = team.reader("model", volume={"hostPath": {"path": str(team.folder / "model")}})
    assert "NodeNotPinned" in team.refusal(reader)
    reader["spec"]["nodeSelector"] = {"kubernetes.io/hostname": node}
    other = team.reader("other", volume={"hostPath": {"path": str(team.folder / "other")}})
    other["spec"]["nodeSelector"] = reader["spec"]["nodeSelector"]
    assert "NoCheckpoint" in team.refusal(other)
    assert team.runs(reader) == config_of(1)
