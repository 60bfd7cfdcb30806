"""`python -m e2e.images [ARCHIVE]`: the product's images, for `e2e.cluster load`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from e2e.cluster.commands import Commands, Programs
from e2e.cluster.errors import ClusterError
from e2e.cluster.native.preflight import Machine, check
from e2e.cluster.progress import Progress
from e2e.cluster.settings import Settings
from e2e.images.archive import image_sizes
from e2e.images.debian import DebianImages
from e2e.images.docker import build_with_docker
from e2e.images.product import ROOT

DEFAULT_ARCHIVE = ROOT / "build" / "images.tar"
DIST = ROOT / "dist"


def build(archive: Path, progress: Progress, *, with_docker: bool) -> None:
    """Build the wheel, then the images from it."""
    commands = Programs(progress)
    wheel = build_wheel(commands)
    if with_docker:
        with progress.step("Building the images with Docker"):
            build_with_docker(commands, archive)
        return
    check(Machine.this())
    built = DebianImages(Settings.from_environ(), commands, progress).build(wheel, archive)
    sizes = image_sizes(archive)
    for name, digest in built.digests.items():
        progress.say(f"  {name}  {digest}  {sizes[name] / 1e6:.0f} MB")


def build_wheel(commands: Commands) -> Path:
    """The project's wheel, alone in `dist`."""
    for old in DIST.glob("weightlock-*.whl"):
        old.unlink()
    log = ROOT / "build" / "wheel.log"
    commands.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(DIST)], log)
    return next(DIST.glob("weightlock-*.whl"))


def main(arguments: Sequence[str]) -> int:
    """Run; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m e2e.images", description=__doc__)
    parser.add_argument("archive", nargs="?", type=Path, default=DEFAULT_ARCHIVE)
    options = parser.parse_args(arguments)
    with_docker = Machine.this().docker_engine
    try:
        build(options.archive, Progress(sys.stdout), with_docker=with_docker)
    except ClusterError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
