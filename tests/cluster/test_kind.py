"""What kind and docker are asked to do, and above all what they are not."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.cluster.recording import Recorded

from e2e.cluster.errors import CannotRun, StepFailed
from e2e.cluster.kind import KindProvider
from e2e.cluster.progress import Progress
from e2e.cluster.settings import Settings

NONE = {"kind get clusters": ""}
OURS = {"kind get clusters": "other weightlock-demo\n"}


def provider(commands: Recorded, settings: Settings, progress: Progress) -> KindProvider:
    return KindProvider("demo", settings, commands, progress)


def test_up_creates_a_cluster_with_a_kubeconfig_of_its_own(
    settings: Settings, progress: Progress
) -> None:
    commands = Recorded(NONE)
    kind = provider(commands, settings, progress)
    kind.up()
    create = next(line for line in commands.lines if line.startswith("kind create cluster"))
    assert "--name weightlock-demo" in create
    assert f"--kubeconfig {kind.kubeconfig}" in create


def test_both_nodes_see_the_volumes_by_the_same_path(
    settings: Settings, progress: Progress
) -> None:
    kind = provider(Recorded(NONE), settings, progress)
    kind.up()
    config = json.loads((kind.kubeconfig.parent / "kind.json").read_text())
    path = str(kind.volumes)
    mounts = [{"hostPath": path, "containerPath": path}]
    assert [node["extraMounts"] for node in config["nodes"]] == [mounts, mounts]


def test_kind_chooses_the_version_unless_an_image_is_named(
    settings: Settings, progress: Progress
) -> None:
    kind = provider(Recorded(NONE), settings, progress)
    kind.up()
    config = json.loads((kind.kubeconfig.parent / "kind.json").read_text())
    assert [node.get("image") for node in config["nodes"]] == [None, None]


def test_both_nodes_are_made_from_the_named_image(settings: Settings, progress: Progress) -> None:
    named = replace(settings, kind_image="kindest/node:v1.37.0")
    kind = provider(Recorded(NONE), named, progress)
    kind.up()
    config = json.loads((kind.kubeconfig.parent / "kind.json").read_text())
    assert [node["image"] for node in config["nodes"]] == ["kindest/node:v1.37.0"] * 2


def test_up_refuses_a_cluster_of_the_same_name_that_it_did_not_make(
    settings: Settings, progress: Progress
) -> None:
    commands = Recorded(OURS)
    with pytest.raises(CannotRun, match="did not make"):
        provider(commands, settings, progress).up()
    assert commands.lines == ["kind get clusters"]


def test_down_deletes_nothing_that_it_did_not_make(settings: Settings, progress: Progress) -> None:
    commands = Recorded(OURS)
    provider(commands, settings, progress).down()
    assert commands.lines == []


def test_up_again_leaves_a_ready_cluster_alone(settings: Settings, progress: Progress) -> None:
    provider(Recorded(NONE), settings, progress).up()
    again = Recorded(OURS)
    provider(again, settings, progress).up()
    assert again.lines == ["kind get clusters"]


def test_what_an_interrupted_up_began_is_deleted_by_down(
    settings: Settings, progress: Progress
) -> None:
    with pytest.raises(StepFailed):
        provider(Recorded(NONE, failing="kind create"), settings, progress).up()
    commands = Recorded(OURS)
    kind = provider(commands, settings, progress)
    kind.down()
    delete = "kind delete cluster --name weightlock-demo --kubeconfig"
    assert commands.lines == [f"{delete} {kind.kubeconfig}"]
    assert not kind.kubeconfig.parent.exists()


def test_an_interrupted_up_is_started_over(settings: Settings, progress: Progress) -> None:
    with pytest.raises(StepFailed):
        provider(Recorded(NONE, failing="kind create"), settings, progress).up()
    again = Recorded(OURS)
    provider(again, settings, progress).up()
    steps = [" ".join(line.split()[:3]) for line in again.lines]
    assert steps[:3] == ["kind get clusters", "kind delete cluster", "kind create cluster"]


def test_a_failed_step_names_the_log_to_read(settings: Settings, progress: Progress) -> None:
    kind = provider(Recorded(NONE, failing="kind create"), settings, progress)
    with pytest.raises(StepFailed, match=r"kind\.log"):
        kind.up()
