"""Where a native cluster keeps everything: one folder, the same path in the node."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Folders:
    """The paths inside a cluster's state folder."""

    state: Path

    @property
    def name(self) -> str:
        """The cluster's name."""
        return self.state.name

    @property
    def alive(self) -> Path:
        """Locked for as long as any process of the cluster runs."""
        return self.state / "alive"

    @property
    def record(self) -> Path:
        """Which process to end, and where the API server's door is."""
        return self.state / "supervisor.json"

    @property
    def ready(self) -> Path:
        """Exists once `up` has succeeded."""
        return self.state / "ready"

    @property
    def control(self) -> Path:
        """The supervisor's socket."""
        return self.state / "control.sock"

    @property
    def logs(self) -> Path:
        """One log per component."""
        return self.state / "logs"

    @property
    def pki(self) -> Path:
        """Certificates and keys."""
        return self.state / "pki"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's, to be used from the machine."""
        return self.state / "kubeconfig"

    @property
    def root(self) -> Path:
        """Where the node's root file system is mounted, seen by the node only."""
        return self.state / "root"

    @property
    def volumes(self) -> Path:
        """For hostPath and local volumes: the machine and the node see the same files here."""
        return self.state / "volumes"

    @property
    def cgroup(self) -> str:
        """The parent of every pod's control group."""
        return f"/weightlock-{self.name}"

    def node_kubeconfig(self, component: str) -> Path:
        """A component's own, to be used inside the node."""
        return self.state / "kubeconfigs" / component
