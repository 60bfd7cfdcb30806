"""The server programs: a folder in the shape of envtest's assets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.commands import Commands
from e2e.cluster.errors import CannotRun

API_ONLY = ("etcd", "kube-apiserver")
WITH_CONTROLLERS = (*API_ONLY, "kube-controller-manager")


@dataclass(frozen=True, slots=True)
class Assets:
    """A folder of server programs and the minor version of the Kubernetes in it."""

    folder: Path
    minor: int

    def program(self, name: str) -> Path:
        """The full path of one of them."""
        return self.folder / name


def assets_in(folder: Path, needed: tuple[str, ...], commands: Commands) -> Assets:
    """Check a folder before anything is started from it.

    Raises:
        CannotRun: a program is missing.
    """
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        raise CannotRun(f"{folder} has no {', '.join(missing)}")
    version = commands.read([str(folder / "kube-apiserver"), "--version"])
    match = re.match(r"Kubernetes v1\.(\d+)", version)
    if not match:
        raise CannotRun(
            f"{folder}/kube-apiserver is no Kubernetes 1.x: it says {version.strip()!r}"
        )
    return Assets(folder, int(match[1]))
