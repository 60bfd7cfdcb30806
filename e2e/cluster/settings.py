"""Where the cluster tool keeps its things, read once from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """One per process.

    Attributes:
        cache: what may be rebuilt: servers, root file systems, images. Survives `down`.
        state: one folder per running cluster. Gone after `down`.
        assets: a folder with `etcd` and `kube-apiserver` (the envtest convention), used instead of
            our own build.
        debian_mirror: an archive to build root file systems from, where the machine's own apt does
            not know Debian.
        kind_image: the node image for kind instead of its own: how a Kubernetes version is chosen.
        user_kubeconfigs: the files that hold the user's own contexts, so that they are never used
            by accident.
    """

    cache: Path
    state: Path
    assets: Path | None
    debian_mirror: str | None
    kind_image: str | None
    user_kubeconfigs: tuple[Path, ...]

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read the variables; an empty one counts as not set, as the XDG base directories ask."""
        home = Path(environ.get("HOME") or "/root")
        cache = Path(environ.get("XDG_CACHE_HOME") or home / ".cache")
        state = Path(environ.get("XDG_STATE_HOME") or home / ".local" / "state")
        assets = environ.get("KUBEBUILDER_ASSETS")
        configured = [Path(path) for path in environ.get("KUBECONFIG", "").split(":") if path]
        return cls(
            cache=cache / "weightlock",
            state=state / "weightlock" / "clusters",
            assets=Path(assets) if assets else None,
            debian_mirror=environ.get("WEIGHTLOCK_DEBIAN_MIRROR") or None,
            kind_image=environ.get("WEIGHTLOCK_KIND_IMAGE") or None,
            user_kubeconfigs=(home / ".kube" / "config", *configured),
        )
