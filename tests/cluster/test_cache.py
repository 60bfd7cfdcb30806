"""What is slow to make is made once, in one piece."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.cluster.cache import cached, recipe_key
from e2e.cluster.errors import StepFailed
from e2e.cluster.progress import Progress


def make(folder: Path) -> None:
    (folder / "thing").write_text("made")


def fail(folder: Path) -> None:
    (folder / "half").write_text("half")
    raise StepFailed("no luck")


def never(folder: Path) -> None:
    raise AssertionError(folder)


def test_it_is_made_once(tmp_path: Path, progress: Progress) -> None:
    first = cached(tmp_path, "key", make, progress)
    assert cached(tmp_path, "key", never, progress) == first
    assert (first / "thing").read_text() == "made"


def test_another_recipe_is_another_thing(tmp_path: Path, progress: Progress) -> None:
    one = cached(tmp_path, recipe_key("a"), make, progress)
    assert cached(tmp_path, recipe_key("b"), make, progress) != one


def test_ingredients_do_not_run_into_each_other() -> None:
    assert recipe_key("ab", "c") != recipe_key("a", "bc")


def test_what_was_interrupted_is_not_taken_for_finished(tmp_path: Path, progress: Progress) -> None:
    with pytest.raises(StepFailed):
        cached(tmp_path, "key", fail, progress)
    folder = cached(tmp_path, "key", make, progress)
    assert [path.name for path in folder.iterdir()] == ["thing"]
