"""The Kubernetes servers: built once from Debian's source package, then kept."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

from e2e.cluster.cache import cached, recipe_key
from e2e.cluster.commands import Commands
from e2e.cluster.native.roots import build_root, debian_sources, in_root, read_list, root_key
from e2e.cluster.progress import Progress
from e2e.cluster.settings import Settings
from e2e.images import archive, programs
from e2e.images.archive import Image, write_archive
from e2e.images.programs import APPLETS, BUSYBOX_IMAGE, PAUSE_IMAGE, program_layer

HERE = Path(__file__).resolve().parent
SCRIPT = HERE / "build_kubernetes.sh"
PAUSE = HERE / "pause.go"
BUILD_PACKAGES = HERE / "build.packages"
NODE_PACKAGES = HERE / "node.packages"
IMAGE_RECIPES = (Path(archive.__file__), Path(programs.__file__))

SERVERS = (
    *("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"),
    *("kubectl", "pause"),
)


def node_root(settings: Settings, commands: Commands, progress: Progress) -> Path:
    """The root file system that the node's programs see."""

    def make(folder: Path) -> None:
        log = settings.cache / "logs" / "node-root.log"
        with progress.step("Building the node's root file system"):
            sources = debian_sources(commands, settings.debian_mirror)
            build_root(folder, read_list(NODE_PACKAGES), sources, commands, log)

    return cached(settings.cache / "node-root", root_key(NODE_PACKAGES), make, progress)


def kubernetes_servers(settings: Settings, commands: Commands, progress: Progress) -> Path:
    """A folder with the servers, kubectl, pause and etcd."""

    def make(folder: Path) -> None:
        log = settings.cache / "logs" / "kubernetes.log"
        etcd = node_root(settings, commands, progress) / "usr" / "bin" / "etcd"
        with progress.step("Building Kubernetes from Debian's source package (5 to 15 minutes)"):
            _build(folder, settings, commands, log)
        shutil.copy2(etcd, folder / "etcd")

    key = recipe_key(root_key(BUILD_PACKAGES), SCRIPT.read_text(), PAUSE.read_text())
    return cached(settings.cache / "kubernetes", key, make, progress)


def program_images(settings: Settings, commands: Commands, progress: Progress) -> Path:
    """An archive with the pause container and the test pods' busybox."""
    root = node_root(settings, commands, progress)
    servers = kubernetes_servers(settings, commands, progress)

    def make(folder: Path) -> None:
        pause = program_layer(folder / "pause.layer", servers / "pause")
        busybox = program_layer(
            folder / "busybox.layer", root / "usr" / "bin" / "busybox", links=APPLETS
        )
        images = [
            Image(PAUSE_IMAGE, [pause], ["/bin/pause"], user="65535:65535"),
            Image(BUSYBOX_IMAGE, [busybox], ["/bin/sh"], user="65534:65534"),
        ]
        write_archive(folder / "images.tar", images, platform.machine())

    key = recipe_key(servers.name, root.name, *(path.read_text() for path in IMAGE_RECIPES))
    return cached(settings.cache / "program-images", key, make, progress) / "images.tar"


def _build(folder: Path, settings: Settings, commands: Commands, log: Path) -> None:
    root = folder / "root"
    sources = debian_sources(commands, settings.debian_mirror)
    build_root(root, read_list(BUILD_PACKAGES), sources, commands, log)
    for name in ("resolv.conf", "hosts"):
        shutil.copyfile(f"/etc/{name}", root / "etc" / name)
    shutil.copy(SCRIPT, root / "build.sh")
    shutil.copy(PAUSE, root / "pause.go")
    commands.run(in_root(root, ["bash", "/build.sh", "/out"]), log)
    for server in SERVERS:
        shutil.move(root / "out" / server, folder / server)
    shutil.rmtree(root)
