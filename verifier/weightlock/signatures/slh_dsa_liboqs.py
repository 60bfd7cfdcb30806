"""SLH-DSA through liboqs. The only module that imports `oqs`, and only behind a guard.

Importing `oqs` where it cannot find its shared library clones and builds that library over the
network and may end the process with SystemExit. So the library is looked for first, in exactly the
places where `oqs` looks, and without it this module behaves as if `oqs` were not installed.
"""

import ctypes
import ctypes.util
import functools
import importlib
import importlib.util
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from weightlock.algorithms import SignatureAlgorithm


class Liboqs:
    """The SlhDsaLibrary of an installed liboqs."""

    def __init__(self, oqs: Any) -> None:
        self._oqs = oqs

    def native(self) -> ctypes.CDLL:
        """The shared library itself, for checks that need more than signing and verifying."""
        library: ctypes.CDLL = self._oqs.native()
        return library

    def supports(self, algorithm: SignatureAlgorithm) -> bool:
        """Whether this build has FIPS 205 (the older SPHINCS+ of liboqs is not the same)."""
        return bool(self._oqs.is_sig_enabled(_mechanism(algorithm)))

    def generated(self, algorithm: SignatureAlgorithm) -> bytes:
        """A new private key: SK.seed || SK.prf || PK.seed || PK.root."""
        with self._oqs.Signature(_mechanism(algorithm)) as scheme:
            scheme.generate_keypair()
            return bytes(scheme.export_secret_key())

    def sign(self, algorithm: SignatureAlgorithm, secret: bytes, message: bytes) -> bytes:
        """A hedged signature."""
        with self._oqs.Signature(_mechanism(algorithm), secret) as scheme:
            return bytes(scheme.sign(message))

    def accepts(
        self, algorithm: SignatureAlgorithm, public: bytes, signature: bytes, message: bytes
    ) -> bool:
        """Whether the signature is valid."""
        with self._oqs.Signature(_mechanism(algorithm)) as scheme:
            return bool(scheme.verify(message, signature, public))


@functools.cache
def installed_liboqs() -> Liboqs | None:
    """liboqs, if both its Python package and its shared library are installed here."""
    try:
        if importlib.util.find_spec("oqs") is None or not any(map(_loads, _candidates())):
            return None
        # Its import writes to standard output, where --json must stand alone.
        logging.getLogger("oqs.oqs").disabled = True
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Liboqs(importlib.import_module("oqs"))
    except (Exception, SystemExit):  # a library that does not load is one that is not installed
        return None


def _candidates() -> Iterator[str]:
    """Where `oqs` looks: the system's libraries, then one folder, named or in the home."""
    yield from filter(None, map(ctypes.util.find_library, ("oqs", "liboqs")))
    named = os.environ.get("OQS_INSTALL_PATH")  # noqa: TID251 # must look where `oqs` will look
    folder = Path.home() / "_oqs" if named is None else Path(named)
    if folder.is_absolute():  # never a library of whatever folder we happen to run in
        yield from (str(folder / lib / "liboqs.so") for lib in ("lib", "lib64"))


def _loads(path: str) -> bool:
    try:
        ctypes.CDLL(path)
    except OSError:
        return False
    return True


def _mechanism(algorithm: SignatureAlgorithm) -> str:
    """SLH-DSA-SHA2-128s is SLH_DSA_PURE_SHA2_128S."""
    return algorithm.name.upper().replace("-", "_").replace("SLH_DSA_", "SLH_DSA_PURE_")
