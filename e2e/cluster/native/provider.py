"""A whole cluster on this machine, from Debian's packages, in namespaces of its own."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from e2e.cluster.commands import Commands
from e2e.cluster.errors import CannotRun, StepFailed
from e2e.cluster.exclusive import exclusive
from e2e.cluster.native import cgroups, preflight, processes
from e2e.cluster.native.control_plane import NodeCluster
from e2e.cluster.native.folders import Folders
from e2e.cluster.native.kubernetes import kubernetes_servers, node_root, program_images
from e2e.cluster.progress import Progress
from e2e.cluster.provider import Status
from e2e.cluster.settings import Settings
from e2e.cluster.supervised import ROOT, Supervised
from e2e.cluster.waiting import wait_until

START_SECONDS = 20.0
END_SECONDS = 30.0


class NativeProvider:
    """Builds what is missing, starts the supervisor, then the components one by one."""

    def __init__(
        self, name: str, settings: Settings, commands: Commands, progress: Progress
    ) -> None:
        self.name = name
        self._settings = settings
        self._commands = commands
        self._progress = progress
        self._folders = Folders(settings.state / name)

    @property
    def kubeconfig(self) -> Path:
        return self._folders.kubeconfig

    @property
    def kubectl(self) -> str:
        servers = kubernetes_servers(self._settings, self._commands, self._progress)
        return str(servers / "kubectl")

    @property
    def volumes(self) -> Path:
        """A folder that pods can mount by the same path."""
        return self._folders.volumes

    def up(self) -> None:
        preflight.check(preflight.Machine.this())
        root = node_root(self._settings, self._commands, self._progress)
        servers = kubernetes_servers(self._settings, self._commands, self._progress)
        images = program_images(self._settings, self._commands, self._progress)
        with self._alone():
            if self._folders.ready.exists() and self._lives():
                self._progress.say(f"{self.name} is already up")
                return
            self._remove()
            try:
                self._start(root, servers, images)
            except KeyboardInterrupt:
                self._remove()
                raise

    def down(self) -> None:
        with self._alone():
            self._remove()

    def status(self) -> Status:
        if not self._lives():
            return Status(up=False, lines=("not running",))
        with self._supervised() as supervised:
            components = supervised.status()
        lines = [
            f"{name}: " + ("running" if process["exit"] is None else f"exited {process['exit']}")
            for name, process in components.items()
        ]
        return Status(up=self._folders.ready.exists(), lines=tuple(lines))

    def logs(self) -> Sequence[Path]:
        return sorted(self._folders.logs.glob("*.log"))

    def load(self, archive: Path) -> None:
        with self._cluster() as cluster:
            cluster.load(archive)

    def stop_component(self, component: str) -> None:
        """Stop one process of the cluster, e.g. the API server."""
        with self._supervised() as supervised:
            supervised.stop(component)

    def start_apiserver(self) -> None:
        """Start the API server again after it was stopped."""
        with self._cluster() as cluster:
            cluster.start_apiserver()

    def _start(self, root: Path, servers: Path, images: Path) -> None:
        folders = self._folders
        for folder in (folders.logs, folders.volumes):
            folder.mkdir(parents=True)
        cgroups.create(folders.cgroup)
        with self._progress.step("Starting the node's namespaces"):
            self._start_supervisor(root, servers)
        with self._cluster() as cluster:
            for title, action in cluster.steps(images):
                with self._progress.step(title):
                    action()
        folders.ready.touch()

    def _start_supervisor(self, root: Path, servers: Path) -> None:
        log = self._folders.logs / "supervisor.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "e2e.cluster.native.inside",
                    "--state",
                    str(self._folders.state),
                    "--node-root",
                    str(root),
                    "--servers",
                    str(servers),
                ],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

        def answers() -> bool:
            if process.poll() is not None:
                raise StepFailed(f"the supervisor exited {process.returncode}", log)
            return self._folders.record.exists() and self._folders.control.exists()

        wait_until("the supervisor answers", answers, timeout_seconds=START_SECONDS)
        process.returncode = 0  # it stays when we leave, and `down` ends it by its record

    @contextlib.contextmanager
    def _cluster(self) -> Iterator[NodeCluster]:
        record = json.loads(self._folders.record.read_text())
        with self._supervised() as supervised:
            yield NodeCluster(self._folders, supervised, record["port"])

    @contextlib.contextmanager
    def _supervised(self) -> Iterator[Supervised]:
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(self._folders.control))
            except OSError as error:
                raise CannotRun(f"{self.name} is not running") from error
            with contextlib.closing(Supervised(connection, self._folders.logs)) as supervised:
                yield supervised

    def _remove(self) -> None:
        """End the processes, then remove what they left. Each part may have been done before."""
        folders = self._folders
        if not folders.state.exists():
            return
        wait_until("the cluster's processes end", self._ended, timeout_seconds=END_SECONDS)
        cgroups.remove(folders.cgroup)
        shutil.rmtree(folders.state)

    def _ended(self) -> bool:
        """End what runs, and say whether nothing does any more.

        To be asked again each time, since the record of a supervisor that was just started may be
        late. The lock is not enough: the kernel lets go of it before the last process is gone.
        """
        try:
            record = json.loads(self._folders.record.read_text())
        except FileNotFoundError:
            return not self._lives()
        if not self._lives() and not processes.any_in(record["namespace"]):
            return True
        if processes.names(record["pid"], self._folders.state):
            os.kill(record["pid"], signal.SIGTERM)  # it ends the inner one and waits for it
        elif processes.names(record["inner"], self._folders.state):
            os.kill(record["inner"], signal.SIGKILL)
        return False

    def _lives(self) -> bool:
        """Whether the supervisor holds its lock: a pid alone may be somebody else's by now."""
        try:
            lock = os.open(self._folders.alive, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def _alone(self) -> AbstractContextManager[None]:
        """One `up` or `down` of this cluster at a time."""
        path = self._settings.state / f"{self.name}.lock"
        return exclusive(path, f"another up or down of {self.name} is at work")
