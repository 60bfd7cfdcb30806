"""The cluster with the product on it: brought up, installed by Helm, taken down."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import sysconfig
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.cluster.api import Api, ApiError
from e2e.cluster.choice import Kind, Record, Request, decide, provider_for
from e2e.cluster.commands import Commands, Programs
from e2e.cluster.native.preflight import Machine
from e2e.cluster.progress import Progress
from e2e.cluster.provider import Provider
from e2e.cluster.running import RunningCluster
from e2e.cluster.settings import Settings
from e2e.images.__main__ import build
from e2e.images.product import OPERATOR, VERIFIER_CPU, WEBHOOK, Product

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "charts" / "weightlock"
PROGRAMS = Path(sysconfig.get_path("scripts"))
NAMESPACE = "weightlock-system"
KUBE_SYSTEM = "kube-system"
NAME_LABEL = "kubernetes.io/metadata.name"
CONTAINERD_NAME = "io.containerd.image.name"
# The chart's name of each image, and what it is here. There is no GPU in the demo.
IMAGES: Mapping[str, Product] = {
    "operator": OPERATOR,
    "webhook": WEBHOOK,
    "verifier": VERIFIER_CPU,
    "verifierCpu": VERIFIER_CPU,
}

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scene:
    """One cluster for the demo, by name."""

    name: str
    settings: Settings
    progress: Progress
    asked: Kind = Kind.AUTO

    def set(self, folder: Path) -> Provider:
        """Bring the cluster up and install the product; both may be repeated."""
        kind = decide(self.asked, self._record.read(), Machine.this())
        provider = self._provider(kind)
        self._record.write(kind)
        with self.progress.step(f"Cluster {self.name} ({kind})"):
            provider.up()
        archive = ROOT / "build" / "images.tar"
        with self.progress.step("The product's images"):
            build(archive, self.progress, with_docker=kind is Kind.KIND)
            provider.load(archive)
        values = folder / "values.yaml"
        values.write_text(json.dumps(values_for(images_in(archive)), indent=2))
        with self.progress.step("helm upgrade --install"):
            self._install(provider, values, folder / "helm.log")
        return provider

    def strike(self) -> None:
        """Take everything down."""
        kind = self._record.read()
        if kind:
            self._provider(kind).down()
            self._record.forget()

    @property
    def _record(self) -> Record:
        return Record(self.settings, self.name)

    @property
    def _commands(self) -> Commands:
        return Programs(self.progress)

    def _provider(self, kind: Kind) -> Provider:
        request = Request(self.name)
        return provider_for(kind, request, self.settings, self._commands, self.progress)

    def _install(self, provider: Provider, values: Path, log: Path) -> None:
        label_namespaces(RunningCluster(provider, self._commands).api)
        helm: list[str] = [str(PROGRAMS / "helm"), "upgrade", "--install", "weightlock", str(CHART)]
        helm += ["--kubeconfig", str(provider.kubeconfig), "--namespace", NAMESPACE]
        self._commands.run(
            [*helm, "--create-namespace", "--values", str(values), "--wait", "--timeout", "3m"], log
        )


def label_namespaces(api: Api) -> None:
    """What servers before 1.21 do not do: a label by which the webhook leaves these alone."""
    for name in (KUBE_SYSTEM, NAMESPACE):
        manifest: Json = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        with contextlib.suppress(ApiError):  # it is there already
            api.create(manifest)
        api.patch(manifest, {"metadata": {"labels": {NAME_LABEL: name}}})


def images_in(archive: Path) -> Json:
    """The chart's `images`, by digest where the archive tells them, else by tag."""
    with tarfile.open(archive) as tar:
        index = tar.extractfile("index.json")
        manifests = json.load(index)["manifests"] if index else []
    names = {each.get("annotations", {}).get(CONTAINERD_NAME, "") for each in manifests}
    digests = dict(name.split("@") for name in names if "@" in name)
    if digests:
        return {key: _by_digest(product, digests) for key, product in IMAGES.items()}
    return {"allowTags": True, **{key: _by_tag(product) for key, product in IMAGES.items()}}


def values_for(images: Json) -> Json:
    """What the demo wants of the chart: everything small, images that are there already."""
    return {
        "images": {"pullPolicy": "Never", **images},
        "operator": {"replicas": 1},
        "webhook": {"replicas": 1},
        "logFormat": "text",
    }


def _by_digest(product: Product, digests: Mapping[str, str]) -> Json:
    repository = product.name.rsplit(":", 1)[0]
    return {"repository": repository, "digest": digests[repository]}


def _by_tag(product: Product) -> Json:
    repository, tag = product.name.rsplit(":", 1)
    return {"repository": repository, "tag": tag}


def kubectl_folder(provider: Provider, folder: Path) -> Path:
    """A folder with the cluster's kubectl under its usual name."""
    found = shutil.which(provider.kubectl)
    if found is None:
        sys.exit(f"{provider.kubectl} is not there")
    link = folder / "bin" / "kubectl"
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(found)
    return link.parent
