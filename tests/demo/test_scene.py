"""Two demos do not meet on one stage."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from demo.scene import Scene
from e2e.cluster.errors import CannotRun
from e2e.cluster.progress import Progress
from e2e.cluster.settings import Settings


def scene(home: Path, name: str = "demo") -> Scene:
    return Scene(name, Settings.from_environ({"HOME": str(home)}), Progress(io.StringIO()))


def test_a_demo_that_is_being_told_is_neither_told_again_nor_taken_down(tmp_path: Path) -> None:
    with scene(tmp_path).alone():
        with pytest.raises(CannotRun, match="another demo uses the cluster demo"):
            scene(tmp_path).alone().__enter__()
        with scene(tmp_path, "other").alone():
            pass
    with scene(tmp_path).alone():
        pass


def test_where_there_was_no_demo_there_is_nothing_to_strike_or_keep(tmp_path: Path) -> None:
    scene(tmp_path).strike()
    scene(tmp_path).keep_logs(tmp_path / "logs")
    assert not (tmp_path / "logs").exists()
