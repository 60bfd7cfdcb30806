"""A lock that leaves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.cluster.errors import CannotRun
from e2e.cluster.exclusive import exclusive


def test_only_one_holds_it(tmp_path: Path) -> None:
    with (
        exclusive(tmp_path / "lock", "first"),
        pytest.raises(CannotRun, match="second"),
        exclusive(tmp_path / "lock", "second"),
    ):
        pass


def test_it_leaves_no_file_and_can_be_taken_again(tmp_path: Path) -> None:
    for _ in range(2):
        with exclusive(tmp_path / "lock", "any"):
            assert (tmp_path / "lock").exists()
        assert list(tmp_path.iterdir()) == []
