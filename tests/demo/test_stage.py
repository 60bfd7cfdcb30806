"""What the audience is told is what happened: a demo that lies fails."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from demo.stage import NotAsTold, Stage, with_programs


class Nobody:
    def __init__(self) -> None:
        self.waits = 0

    def wants_more(self) -> None:
        self.waits += 1


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    environ = {"PATH": "/usr/bin:/bin"}
    return Stage(io.StringIO(), Nobody(), tmp_path, environ, colours=False)


def shown(stage: Stage) -> str:
    assert isinstance(stage.out, io.StringIO)
    return stage.out.getvalue()


def test_a_command_is_shown_as_it_is_run_with_what_it_prints(stage: Stage) -> None:
    stage.run("sh", "-c", "echo to one; echo to the other >&2")
    assert "$ sh -c 'echo to one; echo to the other >&2'" in shown(stage)
    assert "    to one\n    to the other\n" in shown(stage)


def test_a_command_that_ends_otherwise_than_told_is_an_error(stage: Stage) -> None:
    with pytest.raises(NotAsTold, match="should exit 1, and exits 0"):
        stage.run("true", code=1)
    with pytest.raises(NotAsTold, match="should exit 0, and exits 1"):
        stage.run("false")


def test_a_command_that_says_otherwise_than_told_is_an_error(stage: Stage) -> None:
    done = stage.run("echo", "ClassicalOnly")
    assert done.expect("ClassicalOnly") is done
    with pytest.raises(NotAsTold, match="should say 'Verified'"):
        done.expect("Verified")


def test_a_command_that_is_not_shown_is_checked_too(stage: Stage) -> None:
    assert stage.quietly("true").ended().code == 0
    with pytest.raises(NotAsTold, match=r"should exit 0, and exits 3\nwhy it failed"):
        stage.quietly("sh", "-c", "echo why it failed; exit 3").ended()


def test_what_does_not_come_in_time_is_an_error_that_says_how_far_it_got(stage: Stage) -> None:
    with pytest.raises(NotAsTold, match=r"the pod runs: not within 0 s\nPending"):
        stage.until("the pod runs", lambda: False, seconds=0, so_far=lambda: "Pending")


def test_commands_run_in_the_demos_folder_with_its_environment(stage: Stage) -> None:
    assert stage.run("sh", "-c", "pwd; echo $KUBECONFIG").output == f"{stage.folder}\n\n"


def test_the_audience_is_asked_between_chapters_and_not_before_the_first(stage: Stage) -> None:
    for title in ("one", "two", "three"):
        stage.chapter(title)
    assert isinstance(stage.audience, Nobody)
    assert stage.audience.waits == 2
    assert "3. three" in shown(stage)


def test_long_output_is_cut_with_a_word(stage: Stage) -> None:
    done = stage.run("seq", "100")
    assert done.output.endswith("100\n")
    assert "    30\n    ... 70 more lines\n" in shown(stage)


def test_nothing_of_the_users_leads_to_another_cluster() -> None:
    environ = {"HOME": "/h", "KUBECONFIG": "/mine", "HTTPS_PROXY": "http://p", "PATH": "/bin"}
    assert with_programs(environ, [Path("/demo/bin")]) == {"HOME": "/h", "PATH": "/demo/bin:/bin"}
