"""Where prometheus and promtool come from, and what is said where they come from nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cluster.recording import Recorded

from e2e.cluster.errors import CannotRun
from e2e.cluster.progress import Progress
from e2e.cluster.settings import Settings
from e2e.prometheus.programs import VERSION, Programs, prometheus_programs


def nowhere(_: str) -> None:
    """No program is on the PATH."""


def test_what_is_installed_is_taken(settings: Settings, progress: Progress) -> None:
    commands = Recorded({})
    found = prometheus_programs(settings, commands, progress, lambda name: f"/opt/{name}")
    assert found == Programs(Path("/opt/prometheus"), Path("/opt/promtool"))
    assert commands.lines == []


def test_debians_package_is_unpacked_once_and_never_installed(
    settings: Settings, progress: Progress
) -> None:
    commands = Recorded({})
    first = prometheus_programs(settings, commands, progress, nowhere)
    assert prometheus_programs(settings, commands, progress, nowhere) == first
    assert first.promtool.is_relative_to(settings.cache / "prometheus" / VERSION)
    (fetched,) = commands.lines
    assert fetched.endswith(VERSION)
    assert "apt-get download" in fetched
    assert "dpkg -x" in fetched
    assert "install" not in fetched


def test_without_an_archive_the_reason_and_the_ways_out_are_said(
    settings: Settings, progress: Progress
) -> None:
    with pytest.raises(CannotRun, match="on the PATH, or let apt know") as refused:
        prometheus_programs(settings, Recorded({}, failing="sh -c"), progress, nowhere)
    assert VERSION in str(refused.value)
    assert not (settings.cache / "prometheus" / VERSION).exists()
