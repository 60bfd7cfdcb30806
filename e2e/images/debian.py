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
from collections.abc import Mapping, Sequence
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

INSTALLED = "opt/weightlock"
# Debian 12 takes `usrmerge`, which brings all of Perl, unless the folders are merged beforehand.
WITHOUT_PERL = ("--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",)
PYTHON = "3.11"  # Debian bookworm's
# Which wheels fit Debian bookworm, newest first.
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
        base, installed = self._base_layer(), self._product_layer(wheel)
        output.parent.mkdir(parents=True, exist_ok=True)
        images = [
            Image(
                product.name,
                [base, self._dependencies_layer(product), installed],
                product.entrypoint,
                user=USER,
                environment=ENVIRONMENT,
            )
            for product in PRODUCTS
        ]
        with self._progress.step(f"Writing {output.name}"):
            return Built(output, write_archive(output, images, platform.machine()))

    def _base_layer(self) -> Path:
        packages = read_list(BASE_PACKAGES)

        def make(folder: Path) -> None:
            root = folder / "root"
            with self._progress.step("Building the images' base layer"):
                self._build_root(root, packages)
                pack(root, folder / "base.layer")
            shutil.rmtree(root)

        return (
            cached(self._shelf, f"base-{_root_key(BASE_PACKAGES)}", make, self._progress)
            / "base.layer"
        )

    def _builder_root(self) -> Path:
        packages = [*read_list(BASE_PACKAGES), *read_list(BUILD_PACKAGES)]

        def make(folder: Path) -> None:
            with self._progress.step("Building the images' build root"):
                self._build_root(folder, packages)
            (folder / "build").mkdir()

        key = f"builder-{_root_key(BASE_PACKAGES)}-{_root_key(BUILD_PACKAGES)}"
        return cached(self._shelf, key, make, self._progress)

    def _dependencies_layer(self, product: Product) -> Path:
        """Changes with a lock file only."""
        builder, wheels = self._builder_root(), self._wheels(product)

        def make(folder: Path) -> None:
            words = ["dependencies", product.lock.name, "--no-index", "--find-links", wheels.name]
            with self._progress.step(f"Installing the dependencies of {product.target}"):
                root = self._install(folder, [product.lock, wheels], words)
            pack(root, folder / "dependencies.layer", [INSTALLED])
            shutil.rmtree(root)

        key = recipe_key(_key(INSTALL, product.lock), builder.name)
        name = f"{product.target}-{key}"
        return cached(self._shelf, name, make, self._progress) / "dependencies.layer"

    def _product_layer(self, wheel: Path) -> Path:
        """What the wheel adds to any environment: the same files in every image."""
        builder = self._builder_root()

        def make(folder: Path) -> None:
            with self._progress.step("Installing the product"):
                root = self._install(folder, [wheel], ["product", wheel.name])
            pack(root, folder / "product.layer", additions(root))
            shutil.rmtree(root)

        content = hashlib.sha256(wheel.read_bytes()).hexdigest()
        key = recipe_key(_key(INSTALL), builder.name, content)
        return cached(self._shelf, f"product-{key}", make, self._progress) / "product.layer"

    def _install(self, folder: Path, sources: Sequence[Path], words: Sequence[str]) -> Path:
        """Run the install script in a fresh copy of the build root, beside the sources."""
        root = folder / "root"
        log = self._log(words[0])
        builder = self._builder_root()
        self._commands.run(["cp", "--archive", "--reflink=auto", str(builder), str(root)], log)
        for source in (INSTALL, *sources):
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, root / "build" / source.name)
        script = 'cd /build && exec sh install.sh "$@"'
        environment = (f"{name}={value}" for name, value in ENVIRONMENT.items())  # as with Docker
        words = ["env", *environment, "sh", "-c", script, "install", *words]
        self._commands.run(in_root(root, words), log)
        return root

    def _wheels(self, product: Product) -> Path:
        """Fetched by the machine's own pip: only it needs to know where packages come from."""

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
        log = self._log("base")
        build_root(folder, packages, sources, self._commands, log, options=WITHOUT_PERL)

    def _log(self, name: str) -> Path:
        return self._settings.cache / "logs" / f"image-{name}.log"


def additions(root: Path) -> list[str]:
    """The files that the product added: what an environment without it does not have."""
    packages = root / INSTALLED / "lib" / f"python{PYTHON}" / "site-packages"
    scripts = root / INSTALLED / "bin"
    ours = [*packages.glob("weightlock*"), *scripts.glob("*weightlock")]
    return sorted(str(path.relative_to(root)) for path in ours)


def pack(root: Path, layer: Path, only: Sequence[str] = (".",)) -> None:
    """A layer of parts of a root file system: in order, without times, so reproducible."""

    def steady(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.mtime = 0
        return entry

    parents = dict.fromkeys(
        parent for part in only for parent in reversed(Path(part).parents) if parent.name
    )
    with tarfile.open(layer, "w") as archive:
        for folder in parents:
            archive.add(root / folder, str(folder), recursive=False, filter=steady)
        for part in only:
            archive.add(root / part, part, filter=steady)


def _root_key(packages: Path) -> str:
    return recipe_key(root_key(packages), *WITHOUT_PERL)


def _key(*recipes: Path) -> str:
    return recipe_key(*(path.read_text() for path in recipes))
