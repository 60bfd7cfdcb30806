"""Which provider: as asked for, as the cluster was made, or whatever can run here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from e2e.cluster.commands import Commands
from e2e.cluster.errors import CannotRun
from e2e.cluster.existing import ExistingProvider
from e2e.cluster.kind import KindProvider
from e2e.cluster.native.preflight import Machine, obstacles
from e2e.cluster.native.provider import NativeProvider
from e2e.cluster.progress import Progress
from e2e.cluster.provider import Provider
from e2e.cluster.settings import Settings


class Kind(StrEnum):
    """The ways to a cluster."""

    AUTO = "auto"
    KIND = "kind"
    NATIVE = "native"
    EXISTING = "existing"


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked for."""

    name: str
    kind: Kind = Kind.AUTO
    kubeconfig: Path | None = None
    context: str | None = None


def decide(asked: Kind, recorded: Kind | None, machine: Machine) -> Kind:
    """The recorded one wins: a cluster is taken down by what brought it up.

    Raises:
        CannotRun: something else runs under this name, or nothing can run here.
    """
    if recorded:
        if asked not in (Kind.AUTO, recorded):
            raise CannotRun(f"a cluster of this name was made with {recorded}: take it down first")
        return recorded
    if asked is not Kind.AUTO:
        return asked
    if machine.docker_engine and machine.find_program("kind"):
        return Kind.KIND
    found = obstacles(machine)
    if not found:
        return Kind.NATIVE
    why_not_kind = "kind is not installed" if machine.docker_engine else "no Docker engine answers"
    raise CannotRun(f"no cluster can run here. kind: {why_not_kind}. Native: {'; '.join(found)}")


class Record:
    """Remembers which provider made a cluster, beside its state folder."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._path = settings.state / f"{name}.provider"

    def read(self) -> Kind | None:
        """The provider, or None when there is no cluster."""
        try:
            return Kind(self._path.read_text().strip())
        except FileNotFoundError:
            return None

    def write(self, kind: Kind) -> None:
        """Before anything is made, so that what is interrupted can be undone."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(f"{kind}\n")

    def forget(self) -> None:
        """After everything is gone."""
        self._path.unlink(missing_ok=True)


def provider_for(
    kind: Kind, request: Request, settings: Settings, commands: Commands, progress: Progress
) -> Provider:
    """The provider of a kind that was decided upon."""
    match kind:
        case Kind.KIND:
            return KindProvider(request.name, settings, commands, progress)
        case Kind.EXISTING:
            source, context = request.kubeconfig, request.context
            return ExistingProvider(request.name, settings, commands, source, context)
        case _:
            return NativeProvider(request.name, settings, commands, progress)
