"""The product's images as data. The Dockerfile says the same; a test holds them together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BASE_PACKAGES = ROOT / "images" / "base.packages"
BUILD_PACKAGES = ROOT / "images" / "build.packages"
INSTALL = ROOT / "images" / "install.sh"

REGISTRY = "weightlock.test"  # no such place: a pod that would pull fails at once
TAG = "dev"
USER = "65532:65532"
ENVIRONMENT: Mapping[str, str] = {
    "PATH": "/opt/weightlock/bin:/usr/local/bin:/usr/bin:/bin",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
}


@dataclass(frozen=True, slots=True)
class Product:
    """One image: a target of the Dockerfile."""

    target: str
    entrypoint: tuple[str, ...]

    @property
    def lock(self) -> Path:
        """Its dependencies, with hashes."""
        return ROOT / "requirements" / f"image-{self.target}.lock"

    @property
    def name(self) -> str:
        """What pods call it."""
        return f"{REGISTRY}/{self.target}:{TAG}"


OPERATOR = Product("operator", ("python", "-m", "weightlock_operator"))
WEBHOOK = Product("webhook", ("python", "-m", "weightlock_webhook"))
VERIFIER_CPU = Product("verifier-cpu", ("weightlock",))

# What a cluster without GPUs needs.
PRODUCTS = (OPERATOR, WEBHOOK, VERIFIER_CPU)

# Neither is larger, so that a node that lost everything has them back soon.
CONTROL_PLANE = (OPERATOR, WEBHOOK)
CONTROL_PLANE_BYTES = 250_000_000
