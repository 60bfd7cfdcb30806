from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from weightlock.algorithms import ALL, SignatureAlgorithm
from weightlock.keys.pkcs8 import PrivateKey
from weightlock.keys.signing import generate, signing_key
from weightlock.signatures.schemes import VerifyingKey
from weightlock.signatures.slh_dsa_liboqs import Liboqs, installed_liboqs


@dataclass(frozen=True)
class Signed:
    """One key of an algorithm and one signature by it."""

    private: PrivateKey
    key: VerifyingKey
    message: bytes
    signature: bytes


def _signed(algorithm: SignatureAlgorithm) -> Signed:
    private = generate(algorithm)
    signer = signing_key(private)
    message = f"signed with {algorithm}".encode()
    return Signed(private, signer.public_key, message, signer.sign(message))


@pytest.fixture(scope="session")
def signed() -> Mapping[SignatureAlgorithm, Signed]:
    """One signature of every algorithm, because the slow sets take a second each."""
    return {algorithm: _signed(algorithm) for algorithm in ALL}


@pytest.fixture(scope="session")
def liboqs() -> Liboqs:
    found = installed_liboqs()
    if found is None:
        pytest.skip("liboqs is not installed: no shared library found (OQS_INSTALL_PATH names one)")
    return found
