"""SLH-DSA through the `pqcrypto` wheel, which brings its implementation along."""

import importlib
from collections.abc import Callable
from typing import Protocol, cast

from weightlock.algorithms import SLH_DSA, SignatureAlgorithm


class _ParameterSet(Protocol):
    """A module of pqcrypto.sign; without a context it signs purely with the empty one."""

    def keygen(self) -> tuple[bytes, bytes]:
        """Public and secret key."""
        ...

    def sign(self, secret: bytes, message: bytes) -> bytes:
        """A hedged signature."""
        ...

    def verify(self, public: bytes, message: bytes, signature: bytes) -> object:
        """Gives None if the signature is valid, and raises otherwise."""
        ...


def _module(algorithm: SignatureAlgorithm) -> _ParameterSet:
    name = algorithm.name.lower().replace("-", "_")
    return cast("_ParameterSet", importlib.import_module(f"pqcrypto.sign.{name}"))


class Pqcrypto:
    """The SlhDsaLibrary of the wheel."""

    def __init__(self, modules: Callable[[SignatureAlgorithm], _ParameterSet] = _module) -> None:
        self._modules = modules

    def supports(self, algorithm: SignatureAlgorithm) -> bool:
        """All twelve sets."""
        return algorithm in SLH_DSA

    def generated(self, algorithm: SignatureAlgorithm) -> bytes:
        """A new private key: SK.seed || SK.prf || PK.seed || PK.root."""
        return bytes(self._modules(algorithm).keygen()[1])

    def sign(self, algorithm: SignatureAlgorithm, secret: bytes, message: bytes) -> bytes:
        """A hedged signature."""
        return bytes(self._modules(algorithm).sign(secret, message))

    def accepts(
        self, algorithm: SignatureAlgorithm, public: bytes, signature: bytes, message: bytes
    ) -> bool:
        """Whether the signature is valid; whatever the wheel raises is a no for the caller."""
        # A later wheel may answer False where this one raises: an answer is no yes.
        return self._modules(algorithm).verify(public, message, signature) is None
