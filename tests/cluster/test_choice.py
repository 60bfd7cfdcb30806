"""Which provider runs, and when none does."""

from __future__ import annotations

import dataclasses

import pytest

from e2e.cluster.choice import Kind, Record, decide
from e2e.cluster.errors import CannotRun
from e2e.cluster.native.preflight import Machine, check, obstacles
from e2e.cluster.settings import Settings

ABLE = Machine(
    system="Linux",
    user=0,
    find_program=lambda name: f"/usr/bin/{name}",
    cgroups=True,
    docker_engine=True,
)
WITHOUT_DOCKER = dataclasses.replace(ABLE, docker_engine=False)
UNABLE = dataclasses.replace(WITHOUT_DOCKER, user=1000)


@pytest.mark.parametrize(
    ("asked", "recorded", "machine", "expected"),
    [
        pytest.param(Kind.AUTO, None, ABLE, Kind.KIND, id="kind where Docker answers"),
        pytest.param(Kind.AUTO, None, WITHOUT_DOCKER, Kind.NATIVE, id="native where it does not"),
        pytest.param(Kind.NATIVE, None, ABLE, Kind.NATIVE, id="as asked"),
        pytest.param(Kind.AUTO, Kind.NATIVE, ABLE, Kind.NATIVE, id="as it was brought up"),
        pytest.param(Kind.KIND, Kind.KIND, UNABLE, Kind.KIND, id="asked for what is there"),
    ],
)
def test_the_provider_is(
    asked: Kind, recorded: Kind | None, machine: Machine, expected: Kind
) -> None:
    assert decide(asked, recorded, machine) is expected


def test_a_cluster_is_not_replaced_by_one_of_another_provider() -> None:
    with pytest.raises(CannotRun, match="take it down first"):
        decide(Kind.KIND, Kind.NATIVE, ABLE)


def test_a_machine_that_can_run_none_is_told_why_for_each() -> None:
    with pytest.raises(CannotRun, match=r"no Docker engine answers.*needs root"):
        decide(Kind.AUTO, None, UNABLE)


@pytest.mark.parametrize(
    ("machine", "complaint"),
    [
        pytest.param(dataclasses.replace(ABLE, user=1000), "needs root", id="not root"),
        pytest.param(dataclasses.replace(ABLE, system="Darwin"), "needs Linux", id="not Linux"),
        pytest.param(dataclasses.replace(ABLE, cgroups=False), "control groups", id="no cgroups"),
        pytest.param(
            dataclasses.replace(ABLE, find_program=lambda name: None if name == "apt-get" else "x"),
            "apt-get is missing",
            id="not Debian",
        ),
    ],
)
def test_what_is_in_the_way_is_named(machine: Machine, complaint: str) -> None:
    assert any(complaint in obstacle for obstacle in obstacles(machine))


def test_a_machine_with_all_it_needs_passes() -> None:
    check(ABLE)


def test_all_obstacles_are_named_at_once() -> None:
    bare = dataclasses.replace(ABLE, user=1000, find_program=lambda _: None)
    with pytest.raises(CannotRun, match=r"mmdebstrap.*needs root"):
        check(bare)


def test_a_record_outlives_the_process_that_wrote_it(settings: Settings) -> None:
    Record(settings, "demo").write(Kind.NATIVE)
    assert Record(settings, "demo").read() is Kind.NATIVE
    Record(settings, "demo").forget()
    assert Record(settings, "demo").read() is None
