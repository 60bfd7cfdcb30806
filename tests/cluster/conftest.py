"""What the tests of the cluster tool share."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from e2e.cluster.progress import Progress
from e2e.cluster.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.from_environ(
        {
            "HOME": str(tmp_path / "home"),
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "XDG_STATE_HOME": str(tmp_path / "state"),
        }
    )


@pytest.fixture
def progress() -> Progress:
    return Progress(io.StringIO())
