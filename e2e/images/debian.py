"""The product's images without Docker and without a registry, for nodes on machines that have
neither.

Debian root file system  ->  base layer      (shared by all images)
  + images/build.packages, images/install.sh, a lock file, the wheel
                         ->  /opt/weightlock layer of each image
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.cache import cached, recipe_key
from e2e.cluster.commands import Commands
from e2e.cluster.native.roots import build_root, debian_sources, in_root, read_list, root_key
from e2e.cluster.progress import Progress
from e2e.cluster.settings import Settings
from e2e.images.archive import Image, write_archive
from e2e.images.product import (
    BASE_PACKAGES,
    BUILD_PACKAGES,
    ENVIRONMENT,
    INSTALL,
    PRODUCTS,
    USER,
    Product,
)

PYTHON = "3.11"  # Debian bookworm's
PLATFORMS = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_17", "manylinux2014")


@dataclass(frozen=True, slots=True)
class Built:
    """An archive to load, and each image's digest by name."""

    archive: Path
    digests: Mapping[str, str]


class DebianImages:
    """Builds the images, keeping every part that does not change with the product's code."""

    def __init__(self, settings: Settings, commands: Commands, progress: Progress) -> None:
        self._settings = settings
        self._commands = commands
        self._progress = progress
        self._shelf = settings.cache / "images"

    def build(self, wheel: Path, output: Path) -> Built:
        """Build all of them into one archive."""
        base = self._base_layer()
        output.parent.mkdir(parents=True, exist_ok=True)
        layers = {product: self._product_layer(product, wheel) for product in PRODUCTS}
        images = [
            Image(
                product.name,
                [base, layer],
                product.entrypoint,
                user=USER,
                environment=ENVIRONMENT,
            )
            for product, layer in layers.items()
        ]
        with self._progress.step(f"Writing {output.name}"):
            return Built(output, write_archive(output, images, platform.machine()))

    def _base_layer(self) -> Path:
        packages = read_list(BASE_PACKAGES)

        def make(folder: Path) -> None:
            root = folder / "root"
            with self._progress.step("Building the images' base layer"):
                self._build_root(root, packages)
                pack(root, folder / "base.layer", "")
            shutil.rmtree(root)

        return (
            cached(self._shelf, f"base-{root_key(BASE_PACKAGES)}", make, self._progress)
            / "base.layer"
        )

    def _builder_root(self) -> Path:
        packages = [*read_list(BASE_PACKAGES), *read_list(BUILD_PACKAGES)]

        def make(folder: Path) -> None:
            with self._progress.step("Building the images' build root"):
                self._build_root(folder, packages)

        key = f"builder-{root_key(BASE_PACKAGES)}-{root_key(BUILD_PACKAGES)}"
        return cached(self._shelf, key, make, self._progress)

    def _product_layer(self, product: Product, wheel: Path) -> Path:
        builder = self._builder_root()
        wheels = self._wheels(product)

        def make(folder: Path) -> None:
            with self._progress.step(f"Installing {product.target}"):
                self._install(product, wheel, builder, wheels, folder)

        content = hashlib.sha256(wheel.read_bytes()).hexdigest()
        key = recipe_key(_key(INSTALL, product.lock), builder.name, content)
        name = f"{product.target}-{key}"
        return cached(self._shelf, name, make, self._progress) / "product.layer"

    def _install(
        self, product: Product, wheel: Path, builder: Path, wheels: Path, folder: Path
    ) -> None:
        root = folder / "root"
        log = self._log(product.target)
        self._commands.run(["cp", "--archive", "--reflink=auto", str(builder), str(root)], log)
        shutil.copytree(wheels, root / "build" / "wheels")
        for source in (INSTALL, product.lock, wheel):
            shutil.copy(source, root / "build")
        inside = [f"/build/{source.name}" for source in (INSTALL, product.lock, wheel)]
        offline = ["--no-index", "--find-links", "/build/wheels"]
        self._commands.run(in_root(root, ["sh", *inside, *offline]), log)
        pack(root, folder / "product.layer", "opt/weightlock")
        shutil.rmtree(root)

    def _wheels(self, product: Product) -> Path:
        """Fetched by the machine's own pip, so that only it needs to know where packages come
        from.
        """

        def make(folder: Path) -> None:
            machine = platform.machine()
            with self._progress.step(f"Fetching the wheels of {product.target}"):
                self._commands.run(
                    [
                        *(sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes"),
                        *("--only-binary", ":all:", "--implementation", "cp"),
                        *("--python-version", PYTHON, "--requirement", str(product.lock)),
                        *(f"--platform={platform}_{machine}" for platform in PLATFORMS),
                        *("--dest", str(folder)),
                    ],
                    self._log(product.target),
                )

        name = f"wheels-{product.target}-{_key(product.lock)}"
        return cached(self._shelf, name, make, self._progress)

    def _build_root(self, folder: Path, packages: list[str]) -> None:
        sources = debian_sources(self._commands, self._settings.debian_mirror)
        build_root(folder, packages, sources, self._commands, self._log("base"))

    def _log(self, name: str) -> Path:
        return self._settings.cache / "logs" / f"image-{name}.log"


def pack(root: Path, layer: Path, only: str) -> None:
    """A layer of a root file system or of one folder in it: sorted, without times, so that it is
    reproducible.
    """

    def steady(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.mtime = 0
        return entry

    with tarfile.open(layer, "w") as archive:
        for folder in Path(only).parents[-2::-1] if only else ():
            archive.add(root / folder, str(folder), recursive=False, filter=steady)
        archive.add(root / only, only or ".", filter=steady)


def _key(*recipes: Path) -> str:
    return recipe_key(*(path.read_text() for path in recipes))
