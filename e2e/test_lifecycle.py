"""Up and down of a native cluster leave the machine as it was, whatever happens to the tool."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.cluster.native.folders import Folders
from e2e.cluster.native.namespaces import KERNEL_SETTINGS
from e2e.cluster.native.provider import NativeProvider
from e2e.cluster.running import RunningCluster
from e2e.cluster.settings import Settings
from e2e.cluster.supervised import ROOT
from e2e.cluster.waiting import wait_until

NAMESPACES = ("mnt", "net", "pid", "uts", "ipc")


@dataclass(frozen=True, slots=True)
class Lone:
    """A cluster of this test's own, handled through the command line only."""

    name: str

    @property
    def folders(self) -> Folders:
        return Folders(Settings.from_environ().state / self.name)

    def start(self, *words: str) -> subprocess.Popen[str]:
        # A shell's background jobs ignore the signal of Ctrl-C, and so would whatever they start.
        listening = ("env", "--default-signal=INT")
        argv = [*listening, sys.executable, "-m", "e2e.cluster", "--name", self.name, *words]
        return subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True)

    def finish(self, *words: str) -> tuple[int, str]:
        process = self.start(*words)
        printed, _ = process.communicate()
        return process.returncode, printed

    def up(self) -> None:
        status, printed = self.finish("up", "--provider", "native")
        assert status == 0, printed

    def down(self) -> None:
        assert self.finish("down")[0] == 0

    def record(self) -> dict[str, int]:
        record: dict[str, int] = json.loads(self.folders.record.read_text())
        return record

    def namespaces(self) -> set[str]:
        first = self.record()["inner"]
        return {str(Path(f"/proc/{first}/ns/{kind}").readlink()) for kind in NAMESPACES}

    def traces(self) -> list[str]:
        """What is left of it on the machine."""
        return [
            *(
                line
                for line in Path("/proc/self/mounts").read_text().split("\n")
                if self.name in line
            ),
            *(str(path) for path in Path("/sys/fs/cgroup").rglob(f"weightlock-{self.name}*")),
            *(str(path) for path in self.folders.state.parent.glob(f"{self.name}*")),
            *processes_of(self.name),
        ]


@pytest.fixture
def lone(cluster: RunningCluster) -> Iterator[Lone]:
    if not isinstance(cluster.provider, NativeProvider):
        pytest.skip("kind takes care of its own clusters")
    cluster_of_ours = Lone(f"life-{secrets.token_hex(3)}")
    yield cluster_of_ours
    cluster_of_ours.down()


def test_down_leaves_nothing(lone: Lone) -> None:
    machine = facts_of_the_machine()
    lone.up()
    namespaces = lone.namespaces()
    assert lone.traces()  # the search finds what there is
    lone.down()
    assert lone.traces() == []
    assert members_of(namespaces) == []
    assert facts_of_the_machine() == machine


def test_up_again_changes_nothing_and_down_again_is_no_error(lone: Lone) -> None:
    lone.up()
    before = lone.record()
    lone.up()
    assert lone.record() == before
    lone.down()
    lone.down()


def test_a_tool_that_is_killed_leaves_nothing_that_down_does_not_find(lone: Lone) -> None:
    tool = lone.start("up", "--provider", "native")
    wait_until("the node has begun", lone.folders.control.exists, timeout_seconds=60)
    tool.kill()
    tool.communicate()
    namespaces = lone.namespaces()
    lone.down()
    assert lone.traces() == []
    assert members_of(namespaces) == []


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_tool_that_is_interrupted_takes_back_what_it_began(
    lone: Lone, stop: signal.Signals
) -> None:
    tool = lone.start("up", "--provider", "native")
    wait_until("the node has begun", lone.folders.control.exists, timeout_seconds=60)
    tool.send_signal(stop)
    tool.communicate()
    assert tool.returncode == 130
    assert lone.traces() == []


def test_the_whole_cluster_ends_with_its_supervisor(lone: Lone) -> None:
    lone.up()
    namespaces = lone.namespaces()
    os.kill(lone.record()["pid"], signal.SIGKILL)
    wait_until("everything ends", lambda: not members_of(namespaces), timeout_seconds=10)
    status, printed = lone.finish("status")
    assert (status, "not running" in printed) == (1, True)
    lone.down()
    assert lone.traces() == []


def test_a_second_cluster_is_none_of_the_first_ones_business(
    lone: Lone, cluster: RunningCluster
) -> None:
    lone.up()
    assert lone.record()["port"] != int(cluster.api.url.rsplit(":", 1)[1])
    lone.down()
    assert cluster.api.answers()


def facts_of_the_machine() -> dict[str, Sequence[str] | str]:
    """What a node would change if it were not on its own."""
    settings = {name: Path("/proc/sys", name).read_text() for name in KERNEL_SETTINGS}
    return {
        **settings,
        "links": sorted(path.name for path in Path("/sys/class/net").iterdir()),
        "routes": Path("/proc/net/route").read_text(),
        "forwarding": Path("/proc/sys/net/ipv4/ip_forward").read_text(),
    }


def processes_of(name: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if name in words:
            found.append(words)
    return found


def members_of(namespaces: set[str]) -> list[str]:
    found = []
    for kind in NAMESPACES:
        for path in Path("/proc").glob(f"[0-9]*/ns/{kind}"):
            try:
                if str(path.readlink()) in namespaces:
                    found.append(str(path))
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found
