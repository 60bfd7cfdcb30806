"""What every way of having a cluster can do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Status:
    """What is there."""

    up: bool
    lines: tuple[str, ...]


class Provider(Protocol):
    """One cluster, by name. `up` and `down` may be repeated and interrupted at any time."""

    name: str

    def up(self) -> None:
        """Bring it up, or leave it as it is when it is up.

        Raises:
            CannotRun: this machine cannot, or a cluster of this name is not ours.
            StepFailed: with the log to read.
        """
        ...

    def down(self) -> None:
        """Remove it and everything it made. Not an error when there is none."""
        ...

    def status(self) -> Status:
        """Whether it is up, and of what."""
        ...

    @property
    def kubeconfig(self) -> Path:
        """A file of our own with a context of our own name."""
        ...

    @property
    def kubectl(self) -> str:
        """A kubectl that fits the cluster."""
        ...

    @property
    def volumes(self) -> Path:
        """A folder that pods can mount from any node by the same path.

        Raises:
            CannotRun: this cluster shares none with the machine.
        """
        ...

    def logs(self) -> Sequence[Path]:
        """The logs there are."""
        ...

    def load(self, archive: Path) -> None:
        """Make the images of an archive available to pods."""
        ...
