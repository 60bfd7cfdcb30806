"""The adapter to liboqs over a working stand-in, for machines where the library is not."""

import importlib
from typing import Any, Self

import pytest

from weightlock.algorithms import SLH_DSA, SignatureAlgorithm
from weightlock.signatures.slh_dsa_liboqs import Liboqs

FAST = [algorithm for algorithm in SLH_DSA if algorithm.name.endswith("128f")]


class Signature:
    """The part of oqs.Signature that is used, with pqcrypto's SLH-DSA behind it."""

    def __init__(self, name: str, secret_key: bytes = b"") -> None:
        set_ = name.removeprefix("SLH_DSA_PURE_").lower()
        self.module: Any = importlib.import_module(f"pqcrypto.sign.slh_dsa_{set_}")
        self.secret_key = secret_key

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.secret_key = b""

    def generate_keypair(self) -> bytes:
        public, self.secret_key = self.module.keygen()
        return bytes(public)

    def export_secret_key(self) -> bytes:
        return self.secret_key

    def sign(self, message: bytes) -> bytes:
        return bytes(self.module.sign(self.secret_key, message))

    def verify(self, message: bytes, signature: bytes, public_key: bytes) -> int:
        try:
            self.module.verify(public_key, message, signature)
        except Exception:  # liboqs answers, it does not raise
            return 0
        return 1


class Oqs:
    """The part of the module oqs that is used."""

    Signature = Signature

    def is_sig_enabled(self, name: str) -> bool:
        return name in {
            "SLH_DSA_PURE_SHA2_128F",
            "SLH_DSA_PURE_SHAKE_128F",
        }

    def native(self) -> str:
        return "the shared library"


@pytest.mark.parametrize("algorithm", FAST, ids=str)
def test_a_key_signs_and_only_its_signature_is_accepted(algorithm: SignatureAlgorithm) -> None:
    liboqs = Liboqs(Oqs())
    secret = liboqs.generated(algorithm)
    public = secret[len(secret) // 2 :]
    signature = liboqs.sign(algorithm, secret, b"message")
    assert liboqs.accepts(algorithm, public, signature, b"message") is True
    assert liboqs.accepts(algorithm, public, signature, b"another") is False


def test_only_the_mechanisms_of_fips_205_count() -> None:
    supported = [algorithm for algorithm in SLH_DSA if Liboqs(Oqs()).supports(algorithm)]
    assert supported == FAST


def test_the_shared_library_is_at_hand_for_checks() -> None:
    assert str(Liboqs(Oqs()).native()) == "the shared library"
