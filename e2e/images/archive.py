"""Container images as files, without an engine.

The archive is an OCI image layout, which `ctr images import` takes, that also carries the manifest
`docker load` reads. The same input gives the same bytes, and so the same digest.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
CONTAINERD_NAME = "io.containerd.image.name"


@dataclass(frozen=True, slots=True)
class Image:
    """What one image is made of.

    Attributes:
        name: repository and tag; also known by repository and digest once loaded.
        layers: tar files, lowest first.
    """

    name: str
    layers: Sequence[Path]
    entrypoint: Sequence[str]
    user: str = "0:0"
    workdir: str = "/"
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def repository(self) -> str:
        """The name without its tag."""
        return self.name.rsplit(":", 1)[0]


@dataclass(frozen=True, slots=True)
class _Blob:
    digest: str
    size: int

    @property
    def path(self) -> str:
        return "blobs/" + self.digest.replace(":", "/")

    def descriptor(self, media_type: str, **annotations: str) -> dict[str, Any]:
        words = {"mediaType": media_type, "digest": self.digest, "size": self.size}
        return {**words, "annotations": annotations} if annotations else words


def write_archive(path: Path, images: Sequence[Image], machine: str) -> dict[str, str]:
    """Write an archive for a machine as `uname -m` names it; each image's digest by name."""
    unfinished = path.with_suffix(".unfinished")
    with tarfile.open(unfinished, "w", format=tarfile.PAX_FORMAT) as archive:
        digests = _Writer(archive, ARCHITECTURES[machine]).write(images)
    unfinished.rename(path)
    return digests


def image_sizes(path: Path) -> dict[str, int]:
    """The bytes of each image's layers by name, in an archive of ours or of `docker save`."""
    with tarfile.open(path) as archive:
        listed = archive.extractfile("manifest.json")
        images = json.load(listed) if listed else []
        return {
            image["RepoTags"][0]: sum(archive.getmember(layer).size for layer in image["Layers"])
            for image in images
        }


class _Writer:
    def __init__(self, archive: tarfile.TarFile, architecture: str) -> None:
        self._archive = archive
        self._architecture = architecture
        self._written: set[str] = set()

    def write(self, images: Sequence[Image]) -> dict[str, str]:
        index: list[dict[str, Any]] = []
        docker: list[dict[str, Any]] = []
        digests: dict[str, str] = {}
        for image in images:
            layers = [self._add_file(layer) for layer in image.layers]
            config = self._add(_config(image, layers, self._architecture))
            manifest = self._add(_manifest(config, layers))
            digests[image.name] = manifest.digest
            for name in (image.name, f"{image.repository}@{manifest.digest}"):
                index.append(manifest.descriptor(MANIFEST, **{CONTAINERD_NAME: name}))
            docker.append(
                {
                    "Config": config.path,
                    "RepoTags": [image.name],
                    "Layers": [layer.path for layer in layers],
                }
            )
        self._put("index.json", _json({"schemaVersion": 2, "manifests": index}))
        self._put("manifest.json", _json(docker))
        self._put("oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        return digests

    def _add(self, content: bytes) -> _Blob:
        blob = _Blob("sha256:" + hashlib.sha256(content).hexdigest(), len(content))
        if blob.digest not in self._written:
            self._written.add(blob.digest)
            self._put(blob.path, content)
        return blob

    def _add_file(self, path: Path) -> _Blob:
        with path.open("rb") as content:
            blob = _Blob(
                "sha256:" + hashlib.file_digest(content, "sha256").hexdigest(), path.stat().st_size
            )
            if blob.digest not in self._written:
                self._written.add(blob.digest)
                content.seek(0)
                self._archive.addfile(_member(blob.path, blob.size), content)
        return blob

    def _put(self, name: str, content: bytes) -> None:
        self._archive.addfile(_member(name, len(content)), io.BytesIO(content))


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    return member


def _config(image: Image, layers: Sequence[_Blob], architecture: str) -> bytes:
    return _json(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {
                "Entrypoint": list(image.entrypoint),
                "Env": [f"{name}={value}" for name, value in sorted(image.environment.items())],
                "User": image.user,
                "WorkingDir": image.workdir,
            },
            # Layers are not compressed: nothing is sent over a network, and the digests are those
            # of the content.
            "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
        }
    )


def _manifest(config: _Blob, layers: Sequence[_Blob]) -> bytes:
    return _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config.descriptor(CONFIG),
            "layers": [layer.descriptor(LAYER) for layer in layers],
        }
    )


def _json(document: object) -> bytes:
    return json.dumps(document, sort_keys=True).encode()
