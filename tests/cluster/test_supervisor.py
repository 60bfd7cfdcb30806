"""A supervisor starts, stops and reaps processes, and takes everything with it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.cluster.errors import StepFailed
from e2e.cluster.ports import LOOPBACK, ReservedPort
from e2e.cluster.supervised import Owned
from e2e.cluster.waiting import wait_until


@pytest.fixture
def owned(tmp_path: Path) -> Iterator[Owned]:
    folder = tmp_path / "cluster"
    folder.mkdir()
    supervisor = Owned(folder)
    yield supervisor
    supervisor.close()


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def exited(owned: Owned, name: str) -> int | None:
    return owned.supervised.status()[name]["exit"]


def test_what_is_started_runs_until_it_is_stopped(owned: Owned) -> None:
    pid = owned.supervised.start("sleeper", ["sleep", "600"])
    assert exited(owned, "sleeper") is None
    owned.supervised.stop("sleeper")
    assert gone(pid)


def test_what_does_not_listen_is_killed(owned: Owned) -> None:
    stubborn = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
    pid = owned.supervised.start("stubborn", ["sh", "-c", stubborn])
    owned.supervised.stop("stubborn")
    assert gone(pid)


def test_an_end_is_known_with_its_status(owned: Owned) -> None:
    owned.supervised.start("short", ["sh", "-c", "exit 7"])
    wait_until("it ends", lambda: exited(owned, "short") == 7, timeout_seconds=10)


def test_a_process_that_has_ended_is_complained_about_with_its_last_words(owned: Owned) -> None:
    owned.supervised.start("short", ["sh", "-c", "echo last words; exit 1"])
    wait_until("it ends", lambda: exited(owned, "short") == 1, timeout_seconds=10)
    with pytest.raises(StepFailed, match="short exited 1") as failure:
        owned.supervised.expect_running("short")
    assert "last words" in failure.value.__notes__[0]


def test_the_users_environment_stays_outside(
    owned: Owned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/home/user/.kube/config")
    owned.supervised.start("env", ["env"])
    wait_until("it ends", lambda: exited(owned, "env") == 0, timeout_seconds=10)
    assert "KUBECONFIG" not in (tmp_path / "cluster" / "env.log").read_text()


def test_a_program_that_is_not_there_is_an_answer_not_an_end(owned: Owned) -> None:
    owned.supervised.start("nothing", ["/nowhere/nothing"])
    wait_until("it fails", lambda: exited(owned, "nothing"), timeout_seconds=10)
    assert exited(owned, "nothing") == 127


def test_nothing_is_left_when_the_owner_hangs_up(owned: Owned, tmp_path: Path) -> None:
    pids = [owned.supervised.start(name, ["sleep", "600"]) for name in ("one", "two")]
    owned.close()
    assert all(map(gone, pids))
    assert not (tmp_path / "cluster").exists()


def test_a_reserved_port_is_given_to_nobody_else() -> None:
    reserved = ReservedPort()
    others = [ReservedPort() for _ in range(200)]
    assert reserved.number not in {other.number for other in others}
    for port in (reserved, *others):
        port.close()


def test_a_server_may_listen_on_a_reserved_port() -> None:
    reserved = ReservedPort()
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((LOOPBACK, reserved.number))
        assert not reserved.listens()
        server.listen()
        assert reserved.listens()
    reserved.close()
