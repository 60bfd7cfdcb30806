"""Wycheproof for ML-DSA: `mldsa_*_verify_test.json` and `mldsa_65_sign_seed_test.json`.

Weightlock takes only the empty context and refuses keys for which anybody can sign, so for it a
vector is valid if it is valid, has no context, and its key is not refused. What the library itself
answers is compared too, so that nothing is hidden by our own refusals.
"""

from collections.abc import Callable
from typing import Any

import pytest

from weightlock.algorithms import ML_DSA_65, SignatureAlgorithm, signature_algorithm
from weightlock.errors import KeyUnusable, Malformed
from weightlock.formats import pem
from weightlock.formats.spki import (
    PublicKeyInfo,
    public_key_info_of_der,
    public_key_info_of_raw,
    raw_public_key,
)
from weightlock.keys.pkcs8 import private_key_of_seed
from weightlock.keys.private import private_key
from weightlock.keys.signing import signing_key
from weightlock.signatures.ml_dsa import library_key, message_representative
from weightlock.signatures.verifying import verifying_key

Published = Callable[[str], Any]
SETS = [44, 65, 87]


def _accepted_by_us(spki: bytes, signature: bytes, message: bytes) -> bool | None:
    """None for a key that is refused."""
    try:
        info = public_key_info_of_der(spki)
    except Malformed:
        return None
    return verifying_key(info).accepts(signature, message)


def _expected_of_us(algorithm: SignatureAlgorithm, key: bytes, test: dict[str, Any]) -> bool | None:
    anybody_can_sign = not any(key[32:])
    if len(key) != algorithm.public_key_bytes or anybody_can_sign:
        return None
    return test["result"] == "valid" and not test.get("ctx")


@pytest.mark.parametrize("set_", SETS)
def test_every_verdict_is_as_published(published: Published, set_: int) -> None:
    document = published(f"wycheproof/mldsa_{set_}_verify_test.json")
    algorithm = signature_algorithm(document["algorithm"])
    wrong, counted = [], 0
    for group in document["testGroups"]:
        key, spki = bytes.fromhex(group["publicKey"]), bytes.fromhex(group["publicKeyDer"])
        for test in group["tests"]:
            signature, message = bytes.fromhex(test["sig"]), bytes.fromhex(test["msg"])
            counted += 1
            expected = _expected_of_us(algorithm, key, test)
            if _accepted_by_us(spki, signature, message) is not expected:
                wrong.append(test["tcId"])
    assert wrong == []
    assert counted == document["numberOfTests"]


@pytest.mark.parametrize("set_", SETS)
def test_the_library_below_answers_as_published(published: Published, set_: int) -> None:
    """Keys that we refuse included: only their size is checked before the library."""
    document = published(f"wycheproof/mldsa_{set_}_verify_test.json")
    algorithm = signature_algorithm(document["algorithm"])
    template = public_key_info_of_raw(algorithm, b"\x01" * (algorithm.public_key_bytes or 0))
    wrong = []
    for group in document["testGroups"]:
        key = bytes.fromhex(group["publicKey"])
        if len(key) != algorithm.public_key_bytes:
            continue
        info = PublicKeyInfo(algorithm, template.spki[: -len(key)] + key)
        checker = verifying_key(info)
        wrong += [
            test["tcId"]
            for test in group["tests"]
            if not test.get("ctx")
            and checker.accepts(bytes.fromhex(test["sig"]), bytes.fromhex(test["msg"]))
            is not (test["result"] == "valid")
        ]
    assert wrong == []


def test_every_seed_is_the_published_key(published: Published) -> None:
    for group in published("wycheproof/mldsa_65_sign_seed_test.json")["testGroups"]:
        seed = bytes.fromhex(group["privateSeed"])
        if not group["publicKey"]:  # the groups with a seed of another length
            with pytest.raises(Malformed, match="32 bytes"):
                private_key_of_seed(ML_DSA_65, seed)
            continue
        key = private_key_of_seed(ML_DSA_65, seed)
        if pkcs8 := group.get("privateKeyPkcs8"):
            assert private_key(pem.encode("PRIVATE KEY", bytes.fromhex(pkcs8)).encode()) == key
        assert raw_public_key(key.public) == bytes.fromhex(group["publicKey"])


def test_every_published_signature_and_mu_is_ours(published: Published) -> None:
    wrong = []
    for group in published("wycheproof/mldsa_65_sign_seed_test.json")["testGroups"]:
        if not group["publicKey"]:
            continue
        seed = bytes.fromhex(group["privateSeed"])
        signer = signing_key(private_key_of_seed(ML_DSA_65, seed))
        for test in group["tests"]:
            if test["result"] != "valid" or "msg" not in test:
                continue
            signature, message = bytes.fromhex(test["sig"]), bytes.fromhex(test["msg"])
            without_context = not test.get("ctx")
            if signer.public_key.accepts(signature, message) is not without_context:
                wrong.append(test["tcId"])
            info = PublicKeyInfo(ML_DSA_65, signer.public_key.spki)
            ours = message_representative(info, message)
            if "mu" in test and (ours == bytes.fromhex(test["mu"])) is not without_context:
                wrong.append(test["tcId"])
    assert wrong == []


def test_every_published_mu_verifies(published: Published) -> None:
    """The vectors of the interface that signs mu, which have no message."""
    counted = 0
    for group in published("wycheproof/mldsa_65_sign_seed_test.json")["testGroups"]:
        for test in group["tests"]:
            if "msg" not in test and test["result"] == "valid":
                public = library_key(ML_DSA_65, bytes.fromhex(group["privateSeed"])).public_key()
                public.verify_mu(bytes.fromhex(test["sig"]), bytes.fromhex(test["mu"]))
                counted += 1
    assert counted > 0


def test_a_seed_of_another_length_in_pkcs8_is_unusable() -> None:
    for length in (0, 31, 33):
        data = private_key_of_seed(ML_DSA_65, b"s" * 32).pkcs8[:-34]
        data += bytes([0x80, length]) + b"s" * length
        with pytest.raises(KeyUnusable):
            private_key(pem.encode("PRIVATE KEY", data).encode())
