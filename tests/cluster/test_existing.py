"""Somebody else's cluster is used only on purpose, and never changed by up or down."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from tests.cluster.recording import Recorded

from e2e.cluster.errors import CannotRun
from e2e.cluster.existing import ExistingProvider
from e2e.cluster.settings import Settings

VIEW = {
    "current-context": "prod",
    "contexts": [{"name": "prod", "context": {"cluster": "c", "user": "u"}}],
    "clusters": [{"name": "c", "cluster": {"server": "https://example.test"}}],
    "users": [{"name": "u", "user": {"token": "t"}}],
}
ANSWERS = {"kubectl": json.dumps(VIEW)}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "kubeconfig"
    path.write_text("{}")
    return path


def test_the_copy_has_a_context_name_of_our_own(settings: Settings, file: Path) -> None:
    existing = ExistingProvider("demo", settings, Recorded(ANSWERS), file, None)
    existing.up()
    copy = json.loads(existing.kubeconfig.read_text())
    assert copy["current-context"] == "weightlock-demo"
    assert [context["name"] for context in copy["contexts"]] == ["weightlock-demo"]


def test_the_copy_is_for_its_owner_only(settings: Settings, file: Path) -> None:
    existing = ExistingProvider("demo", settings, Recorded(ANSWERS), file, None)
    existing.up()
    assert existing.kubeconfig.stat().st_mode & 0o077 == 0


def test_without_a_file_it_refuses(settings: Settings) -> None:
    with pytest.raises(CannotRun, match="--kubeconfig"):
        ExistingProvider("demo", settings, Recorded(ANSWERS), None, None).up()


def test_the_current_context_of_the_user_is_never_taken_by_accident(
    settings: Settings, file: Path
) -> None:
    mine = dataclasses.replace(settings, user_kubeconfigs=(file,))
    commands = Recorded(ANSWERS)
    with pytest.raises(CannotRun, match="--context"):
        ExistingProvider("demo", mine, commands, file, None).up()
    assert commands.lines == []


def test_a_context_of_the_user_that_is_named_is_taken(settings: Settings, file: Path) -> None:
    mine = dataclasses.replace(settings, user_kubeconfigs=(file,))
    commands = Recorded(ANSWERS)
    ExistingProvider("demo", mine, commands, file, "prod").up()
    assert "--context prod" in commands.lines[0]


def test_down_forgets_the_copy_and_asks_nobody(settings: Settings, file: Path) -> None:
    commands = Recorded(ANSWERS)
    existing = ExistingProvider("demo", settings, commands, file, None)
    existing.up()
    existing.down()
    assert not existing.kubeconfig.exists()
    assert file.exists()
    assert len(commands.lines) == 1
