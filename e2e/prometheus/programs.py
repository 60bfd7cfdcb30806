"""prometheus and promtool: those on the PATH, else Debian's package unpacked into the cache.

Unpacked, never installed: installing would start a daemon on the machine.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.cache import cached
from e2e.cluster.commands import Commands
from e2e.cluster.errors import CannotRun, ClusterError
from e2e.cluster.progress import Progress
from e2e.cluster.settings import Settings

VERSION = "2.42.0+ds-5+deb12u1"  # Debian 12; apt checks the archive's signature
NAMES = ("prometheus", "promtool")


@dataclass(frozen=True, slots=True)
class Programs:
    """Where the two are."""

    prometheus: Path
    promtool: Path


def prometheus_programs(
    settings: Settings,
    commands: Commands,
    progress: Progress,
    find: Callable[[str], str | None] = shutil.which,
) -> Programs:
    """Find them, or fetch them once.

    Raises:
        CannotRun: they are neither installed nor to be had from the machine's Debian archive.
    """
    found = [find(name) for name in NAMES]
    if all(found):
        return Programs(*(Path(str(path)) for path in found))

    def make(folder: Path) -> None:
        with progress.step("Fetching Prometheus"):
            _unpack(folder, settings, commands)

    folder = cached(settings.cache / "prometheus", VERSION, make, progress) / "usr" / "bin"
    return Programs(*(folder / name for name in NAMES))


def _unpack(folder: Path, settings: Settings, commands: Commands) -> None:
    """The package's files, without any of its scripts."""
    log = settings.cache / "logs" / "prometheus.log"
    fetch = 'cd "$0" && apt-get download --quiet "prometheus=$1" && dpkg -x prometheus_*.deb .'
    try:
        commands.run(["sh", "-c", fetch, str(folder), VERSION], log)
    except ClusterError as error:
        raise CannotRun(
            f"these tests need prometheus and promtool: install them so that they are on the PATH, "
            f"or let apt know Debian's prometheus {VERSION} (`apt-get update`); read {log}"
        ) from error
    for package in folder.glob("prometheus_*.deb"):
        package.unlink()
