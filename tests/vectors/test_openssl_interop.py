"""Keys in every form and signatures that OpenSSL 3.5 wrote."""

import base64
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from weightlock.algorithms import POST_QUANTUM, SignatureAlgorithm
from weightlock.errors import KeyUnusable, Malformed
from weightlock.formats.spki import public_key_info
from weightlock.keys.private import private_key, private_key_text
from weightlock.keys.signing import signing_key
from weightlock.signatures.verifying import verifying_key

Published = Callable[[str], Any]
Tests = Mapping[str, Mapping[str, str]]
PASSPHRASE = b"pw"


@pytest.fixture(scope="module")
def tests(published: Published) -> Tests:
    document = published("interop/openssl35_pqc_interop.json")
    return {test["alg"].upper(): test for test in document["tests"]}


def _named(tests: Tests, algorithm: SignatureAlgorithm) -> Mapping[str, str]:
    return {name.upper(): test for name, test in tests.items()}[algorithm.name.upper()]


@pytest.mark.parametrize("algorithm", POST_QUANTUM, ids=str)
def test_the_public_key_is_read_and_written_alike(
    tests: Tests, algorithm: SignatureAlgorithm
) -> None:
    text = _named(tests, algorithm)["spki_pem"]
    info = public_key_info(text)
    assert info.algorithm is algorithm
    assert info.pem == text


@pytest.mark.parametrize("algorithm", POST_QUANTUM, ids=str)
def test_the_private_key_is_read_in_every_form(tests: Tests, algorithm: SignatureAlgorithm) -> None:
    test = _named(tests, algorithm)
    key = private_key(test["pkcs8_pem"].encode())
    assert key.public == public_key_info(test["spki_pem"])
    assert private_key(private_key_text(key).encode()) == key
    if "pkcs8_enc_pem" in test:
        assert private_key(test["pkcs8_enc_pem"].encode(), PASSPHRASE) == key
        with pytest.raises(KeyUnusable, match="does not open"):
            private_key(test["pkcs8_enc_pem"].encode(), b"wrong")
        with pytest.raises(KeyUnusable, match="no passphrase"):
            private_key(test["pkcs8_enc_pem"].encode())


@pytest.mark.parametrize("algorithm", POST_QUANTUM, ids=str)
def test_its_signature_is_accepted_and_the_one_with_a_context_is_not(
    tests: Tests, algorithm: SignatureAlgorithm
) -> None:
    test = _named(tests, algorithm)
    key = verifying_key(public_key_info(test["spki_pem"]))
    message = bytes.fromhex(test["msg"])
    assert key.accepts(base64.b64decode(test["sig"]), message)
    if "ctx_sig" in test:
        assert not key.accepts(base64.b64decode(test["ctx_sig"]), message)


@pytest.mark.parametrize(
    "algorithm", [a for a in POST_QUANTUM if not a.name.endswith("s")], ids=str
)
def test_its_private_key_signs_here(tests: Tests, algorithm: SignatureAlgorithm) -> None:
    test = _named(tests, algorithm)
    signature = signing_key(private_key(test["pkcs8_pem"].encode())).sign(b"message")
    assert verifying_key(public_key_info(test["spki_pem"])).accepts(signature, b"message")


@pytest.mark.parametrize("size", [768, 1024])
def test_ml_kem_keys_are_named_as_no_signing_keys(tests: Tests, size: int) -> None:
    test = tests[f"ML-KEM-{size}"]
    with pytest.raises(Malformed, match=f"ML-KEM-{size} key") as caught:
        public_key_info(test["spki_pem"])
    assert "cannot sign" in caught.value.hint
    for text, passphrase in ((test["pkcs8_pem"], None), (test["pkcs8_enc_pem"], PASSPHRASE)):
        with pytest.raises(KeyUnusable, match=f"ML-KEM-{size} key"):
            private_key(text.encode(), passphrase)
