"""What the chart is told about images that nodes have loaded and never pull."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

from e2e.images.archive import CONTAINERD_NAME
from e2e.images.product import OPERATOR, PRODUCTS, VERIFIER_CPU
from e2e.install import identities, images_in

DIGEST = "sha256:" + 64 * "a"
CONFIGURATION = 64 * "b"


def archive(path: Path, **documents: Any) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, document in documents.items():
            content = json.dumps(document).encode()
            entry = tarfile.TarInfo(f"{name}.json")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


def ours(path: Path) -> Path:
    names = [f"{product.name.rsplit(':', 1)[0]}@{DIGEST}" for product in PRODUCTS]
    manifests = [{"annotations": {CONTAINERD_NAME: name}} for name in names]
    return archive(path, index={"manifests": manifests})


def dockers(path: Path) -> Path:
    images = [
        {"RepoTags": [product.name], "Config": f"{CONFIGURATION}.json"} for product in PRODUCTS
    ]
    return archive(path, manifest=images)


def test_our_own_archive_names_images_by_digest(tmp_path: Path) -> None:
    path = ours(tmp_path / "images.tar")
    found = images_in(path)
    assert found["operator"] == {"repository": "weightlock.test/operator", "digest": DIGEST}
    assert (found["verifier"], found["pullPolicy"]) == (found["verifierCpu"], "Never")
    assert "allowTags" not in found
    assert identities(path) == {}


def test_of_an_archive_of_dockers_the_verifier_is_known_by_its_configuration(
    tmp_path: Path,
) -> None:
    path = dockers(tmp_path / "images.tar")
    found = images_in(path)
    assert (found["allowTags"], found["operator"]["tag"]) == (True, OPERATOR.name.rsplit(":")[1])
    assert identities(path) == {"operator": {"verifierImageIds": [f"sha256:{CONFIGURATION}"]}}
    assert VERIFIER_CPU.name.endswith(":dev")
