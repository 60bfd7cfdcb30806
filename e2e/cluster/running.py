"""A cluster that is up, as e2e tests see it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from e2e.cluster.api import Api
from e2e.cluster.choice import Record, Request, provider_for
from e2e.cluster.commands import Commands, Programs
from e2e.cluster.errors import CannotRun
from e2e.cluster.progress import Progress
from e2e.cluster.provider import Provider
from e2e.cluster.settings import Settings
from e2e.cluster.tenants import Tenant, create_tenant


@dataclass(frozen=True)
class RunningCluster:
    """What tests do with it."""

    provider: Provider
    commands: Commands

    @classmethod
    def named(cls, name: str, settings: Settings, progress: Progress) -> RunningCluster:
        """The one of this name.

        Raises:
            CannotRun: it is not up; says how to bring it up.
        """
        kind = Record(settings, name).read()
        if kind is None:
            raise CannotRun(f"no cluster {name} is up: run `make cluster` first")
        commands = Programs(progress)
        provider = provider_for(kind, Request(name), settings, commands, progress)
        if not provider.status().up:
            raise CannotRun(f"the cluster {name} is not ready: see `python -m e2e.cluster status`")
        return cls(provider, commands)

    @cached_property
    def api(self) -> Api:
        """The administrator's view."""
        return Api.from_kubeconfig(self.provider.kubeconfig)

    @property
    def volumes(self) -> Path:
        """A folder that pods can mount by the same path."""
        return self.provider.volumes

    @property
    def node(self) -> str:
        """The name of a node that runs pods: the last one, since on kind the first is the control
        plane's.
        """
        nodes = self.api.get("/api/v1/nodes")["items"]
        real = [node for node in nodes if node["status"].get("nodeInfo", {}).get("kubeletVersion")]
        name: str = real[-1]["metadata"]["name"]
        return name

    def kubectl(self, *words: str) -> str:
        """Run kubectl against this cluster only; what it printed."""
        command = [self.provider.kubectl, "--kubeconfig", str(self.provider.kubeconfig), *words]
        return self.commands.read(command)

    def tenant(self, name: str = "team-a") -> Tenant:
        """Someone with edit rights in a fresh namespace in which pods are welcome."""
        return create_tenant(self.api, name, aggregated=True)
