"""A cluster by kind, where Docker is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from e2e.cluster.commands import Commands
from e2e.cluster.errors import CannotRun
from e2e.cluster.progress import Progress
from e2e.cluster.provider import Status
from e2e.cluster.settings import Settings
from e2e.images.programs import BUSYBOX_IMAGE

READY = "180s"
PUBLIC_BUSYBOX = "busybox:1.37-musl"


class KindProvider:
    """One control-plane node and one worker, so that placement has a choice."""

    def __init__(
        self, name: str, settings: Settings, commands: Commands, progress: Progress
    ) -> None:
        self.name = name
        self._cluster = f"weightlock-{name}"
        self._state = settings.state / name
        self._image = settings.kind_image
        self._commands = commands
        self._progress = progress

    @property
    def kubeconfig(self) -> Path:
        return self._state / "kubeconfig"

    @property
    def kubectl(self) -> str:
        return "kubectl"

    @property
    def volumes(self) -> Path:
        return self._state / "volumes"

    def up(self) -> None:
        exists = self._exists()
        if exists and not self._record.exists():
            raise CannotRun(f"a kind cluster {self._cluster} exists that this tool did not make")
        if exists and self._ready.exists():
            self._progress.say(f"{self.name} is already up")
            return
        self.down()
        self.volumes.mkdir(parents=True)
        self._record.write_text(
            f"{self._cluster}\n"
        )  # first, so that an interrupted `up` can be undone
        config = self._state / "kind.json"
        config.write_text(json.dumps(kind_config(self.volumes, self._image)))
        with self._progress.step("Creating a kind cluster"):
            self._run(
                [
                    "kind",
                    "create",
                    "cluster",
                    "--name",
                    self._cluster,
                    "--wait",
                    READY,
                    "--kubeconfig",
                    str(self.kubeconfig),
                    "--config",
                    str(config),
                ]
            )
        with self._progress.step("Loading the image of the test programs"):
            self._run(["docker", "pull", PUBLIC_BUSYBOX])
            self._run(["docker", "tag", PUBLIC_BUSYBOX, BUSYBOX_IMAGE])
            self._run(["kind", "load", "docker-image", BUSYBOX_IMAGE, "--name", self._cluster])
        self._ready.touch()

    def down(self) -> None:
        if self._record.exists():
            # kind would otherwise look for the context in the user's own kubeconfig.
            delete = ["kind", "delete", "cluster", "--name", self._cluster]
            self._run([*delete, "--kubeconfig", str(self.kubeconfig)])
        if self._state.exists():
            shutil.rmtree(self._state)

    def status(self) -> Status:
        if not (self._record.exists() and self._exists()):
            return Status(up=False, lines=("not running",))
        nodes = self._commands.read(["kind", "get", "nodes", "--name", self._cluster])
        return Status(
            up=self._ready.exists(), lines=tuple(f"node {node}" for node in nodes.split())
        )

    def logs(self) -> Sequence[Path]:
        return sorted(self._state.glob("*.log"))

    def load(self, archive: Path) -> None:
        self._run(["kind", "load", "image-archive", str(archive), "--name", self._cluster])

    @property
    def _record(self) -> Path:
        return self._state / "created"

    @property
    def _ready(self) -> Path:
        return self._state / "ready"

    def _exists(self) -> bool:
        return self._cluster in self._commands.read(["kind", "get", "clusters"]).split()

    def _run(self, argv: Sequence[str]) -> None:
        self._commands.run(argv, self._state / f"{argv[0]}.log")


def kind_config(volumes: Path, image: str | None) -> dict[str, object]:
    """Both nodes see the volumes folder by the machine's own path, and are of one version."""
    node: dict[str, object] = {
        "extraMounts": [{"hostPath": str(volumes), "containerPath": str(volumes)}]
    }
    if image:
        node["image"] = image
    return {
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "kind": "Cluster",
        "nodes": [{"role": role, **node} for role in ("control-plane", "worker")],
    }
