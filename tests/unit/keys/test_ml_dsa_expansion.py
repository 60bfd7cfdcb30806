import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pqcrypto.sign import ml_dsa_44, ml_dsa_65, ml_dsa_87

from weightlock.algorithms import ML_DSA_44, ML_DSA_65, ML_DSA_87, SignatureAlgorithm
from weightlock.keys.ml_dsa_expansion import expanded_bytes, expanded_key
from weightlock.signatures.ml_dsa import library_key

SETS = [ML_DSA_44, ML_DSA_65, ML_DSA_87]
PQCRYPTO = {ML_DSA_44: ml_dsa_44, ML_DSA_65: ml_dsa_65, ML_DSA_87: ml_dsa_87}


@pytest.mark.parametrize("algorithm", SETS, ids=str)
def test_an_expanded_key_has_its_exact_size(algorithm: SignatureAlgorithm) -> None:
    assert len(expanded_key(algorithm, bytes(32))) == expanded_bytes(algorithm)
    assert expanded_bytes(algorithm) == PQCRYPTO[algorithm].SECRET_KEY_SIZE


@settings(deadline=None, max_examples=10)
@given(st.sampled_from(SETS), st.binary(min_size=32, max_size=32))
def test_the_expanded_key_signs_for_the_public_key_that_the_library_makes(
    algorithm: SignatureAlgorithm, seed: bytes
) -> None:
    public_key = library_key(algorithm, seed).public_key()
    expanded = expanded_key(algorithm, seed)
    assert expanded[64:128] == hashlib.shake_256(public_key.public_bytes_raw()).digest(64)
    public_key.verify(PQCRYPTO[algorithm].sign(expanded, b"message"), b"message")
