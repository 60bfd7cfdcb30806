from collections.abc import Mapping

import pytest

from weightlock.algorithms import ALL, SignatureAlgorithm
from weightlock.keys.pkcs8 import PrivateKey
from weightlock.keys.signing import generate


@pytest.fixture(scope="session")
def keys() -> Mapping[SignatureAlgorithm, PrivateKey]:
    """A new private key of every algorithm."""
    return {algorithm: generate(algorithm) for algorithm in ALL}
