"""The product's images by Docker, for machines that have it."""

from __future__ import annotations

from pathlib import Path

from e2e.cluster.commands import Commands
from e2e.images.product import PRODUCTS, ROOT


def build_with_docker(commands: Commands, output: Path) -> None:
    """Build the targets of the Dockerfile and save them as one archive."""
    output.parent.mkdir(parents=True, exist_ok=True)
    log = output.parent / "docker.log"
    for product in PRODUCTS:
        commands.run(
            ["docker", "build", "--target", product.target, "--tag", product.name, str(ROOT)], log
        )
    names = [product.name for product in PRODUCTS]
    commands.run(["docker", "save", "--output", str(output), *names], log)
