"""A process is ended only when it is surely ours."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.cluster.native.processes import any_in, names, namespace_of

WORD = Path("/state/of/ours")


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(  # noqa: S603 our own words
        ["/bin/sh", "-c", "echo ready; read line", str(WORD)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout
    process.stdout.readline()  # before it speaks, the kernel may not yet show its words
    yield process
    process.communicate()


def test_a_process_is_ours_when_it_was_started_with_our_folder(
    sleeper: subprocess.Popen[bytes],
) -> None:
    assert names(sleeper.pid, WORD)


def test_a_number_that_somebody_else_has_now_is_not_ours(
    sleeper: subprocess.Popen[bytes],
) -> None:
    assert not names(sleeper.pid, Path("/state/of"))
    assert not names(os.getpid(), WORD)


def test_a_number_that_nobody_has_is_not_ours(sleeper: subprocess.Popen[bytes]) -> None:
    sleeper.communicate()
    assert not names(sleeper.pid, WORD)


def test_a_namespace_is_empty_when_nobody_is_in_it() -> None:
    assert any_in(namespace_of(os.getpid()))
    assert not any_in("pid:[0]")
