"""The cluster with the product on it: brought up, installed by Helm, taken down."""

from __future__ import annotations

import shutil
import sys
import sysconfig
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.api import Json
from e2e.cluster.choice import Kind, Record, Request, decide, provider_for
from e2e.cluster.commands import Commands, Programs
from e2e.cluster.exclusive import exclusive
from e2e.cluster.native.preflight import Machine
from e2e.cluster.progress import Progress
from e2e.cluster.provider import Provider
from e2e.cluster.running import RunningCluster
from e2e.cluster.settings import Settings
from e2e.images.__main__ import build
from e2e.install import Installation
from e2e.kept_logs import keep_logs

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = Path(sysconfig.get_path("scripts"))
# What the demo wants of the chart: everything small, and logs for people.
VALUES: Json = {"operator": {"replicas": 1}, "webhook": {"replicas": 1}, "logFormat": "text"}


@dataclass(frozen=True, slots=True)
class Scene:
    """One cluster for the demo, by name."""

    name: str
    settings: Settings
    progress: Progress
    asked: Kind = Kind.AUTO

    def set(self, folder: Path) -> Provider:
        """Bring the cluster up and install the product; both may be repeated."""
        kind = decide(self.asked, self._record.read(), Machine.this())
        provider = self._provider(kind)
        self._record.write(kind)
        with self.progress.step(f"Cluster {self.name} ({kind})"):
            provider.up()
        archive = ROOT / "build" / "images.tar"
        with self.progress.step("The product's images"):
            build(archive, self.progress, with_docker=kind is Kind.KIND)
        installation = Installation(RunningCluster(provider, self._commands), folder / "helm")
        with self.progress.step("Loading the images, helm upgrade --install"):
            installation.install(archive, VALUES)
        return provider

    def alone(self) -> AbstractContextManager[None]:
        """One demo of this name at a time, and nobody takes it down meanwhile."""
        path = self.settings.state / f"{self.name}.run"
        return exclusive(path, f"another demo uses the cluster {self.name}: choose a --name")

    def keep_logs(self, folder: Path) -> None:
        """Save the logs from `strike`, if there is a cluster."""
        kind = self._record.read()
        if kind:
            keep_logs(self._provider(kind), self.progress, folder)

    def strike(self) -> None:
        """Take everything down."""
        kind = self._record.read()
        if kind:
            self._provider(kind).down()
            self._record.forget()

    @property
    def _record(self) -> Record:
        return Record(self.settings, self.name)

    @property
    def _commands(self) -> Commands:
        return Programs(self.progress)

    def _provider(self, kind: Kind) -> Provider:
        request = Request(self.name)
        return provider_for(kind, request, self.settings, self._commands, self.progress)


def kubectl_folder(provider: Provider, folder: Path) -> Path:
    """A folder with the cluster's kubectl under its usual name."""
    found = shutil.which(provider.kubectl)
    if found is None:
        sys.exit(f"{provider.kubectl} is not there")
    link = folder / "bin" / "kubectl"
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(found)
    return link.parent
