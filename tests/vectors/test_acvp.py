"""ACVP of NIST: ML-DSA sigVer in all its interfaces, SLH-DSA sigVer in its internal one."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature

from weightlock.algorithms import signature_algorithm
from weightlock.formats.spki import public_key_info_of_raw
from weightlock.signatures.ml_dsa import library_public_key
from weightlock.signatures.slh_dsa_liboqs import Liboqs
from weightlock.signatures.verifying import verifying_key

Published = Callable[[str], Any]


def _bytes(test: dict[str, Any], *names: str) -> list[bytes]:
    return [bytes.fromhex(test.get(name, "")) for name in names]


def _verifies_mu(parameter_set: str, key: bytes, signature: bytes, mu: bytes) -> bool:
    info = public_key_info_of_raw(signature_algorithm(parameter_set), key)
    try:
        library_public_key(info).verify_mu(signature, mu)
    except InvalidSignature:
        return False
    return True


def test_ml_dsa_in_pure_mode_without_a_context_is_as_published(published: Published) -> None:
    """A signature with a context, or over a pre-hash, is not ours however valid it is."""
    wrong, counted = [], 0
    for group in published("acvp/ML-DSA-sigVer-FIPS204.compact.json")["testGroups"]:
        if group["signatureInterface"] != "external":
            continue
        for test in group["tests"]:
            key, signature, message, context = _bytes(test, "pk", "signature", "message", "context")
            info = public_key_info_of_raw(signature_algorithm(group["parameterSet"]), key)
            expected = test["testPassed"] and group["preHash"] == "pure" and not context
            counted += 1
            if verifying_key(info).accepts(signature, message) is not expected:
                wrong.append((group["tgId"], test["tcId"]))
    assert wrong == []
    assert counted == 30


def test_ml_dsa_under_mu_is_as_published(published: Published) -> None:
    """The internal interface is signing mu: given, or H(tr || M') of a given M'.

    So are the external ones, with the context that our own interface never has.
    """
    wrong, counted = [], 0
    for group in published("acvp/ML-DSA-sigVer-FIPS204.compact.json")["testGroups"]:
        if group.get("preHash") == "preHash":
            continue
        for test in group["tests"]:
            key, signature, mu, message, context = _bytes(
                test, "pk", "signature", "mu", "message", "context"
            )
            if not mu:
                tr = hashlib.shake_256(key).digest(64)
                pure = group["signatureInterface"] == "external"
                framed = bytes([0, len(context)]) + context + message if pure else message
                mu = hashlib.shake_256(tr + framed).digest(64)
            counted += 1
            if _verifies_mu(group["parameterSet"], key, signature, mu) is not test["testPassed"]:
                wrong.append((group["tgId"], test["tcId"]))
    assert wrong == []
    assert counted == 45


def test_slh_dsa_of_the_internal_interface_is_never_accepted(published: Published) -> None:
    """Its messages lack the frame of pure mode, so even its valid signatures are not ours."""
    for group in published("acvp/SLH-DSA-sigVer-FIPS205.internal.compact.json")["testGroups"]:
        algorithm = signature_algorithm(group["parameterSet"])
        for test in group["tests"]:
            key, signature, message = _bytes(test, "pk", "signature", "message")
            checker = verifying_key(public_key_info_of_raw(algorithm, key))
            assert not checker.accepts(signature, message)


def test_slh_dsa_of_liboqs_is_as_published(published: Published, liboqs: Liboqs) -> None:
    """Through slh_verify_internal, which liboqs exports for this purpose."""
    native = liboqs.native()
    if not hasattr(native, "slh_verify_internal"):
        pytest.skip("this liboqs does not export slh_verify_internal")
    wrong = []
    for group in published("acvp/SLH-DSA-sigVer-FIPS205.internal.compact.json")["testGroups"]:
        parameters = getattr(native, group["parameterSet"].lower().replace("-", "_"))
        for test in group["tests"]:
            key, signature, message = _bytes(test, "pk", "signature", "message")
            verified = native.slh_verify_internal(
                message, len(message), signature, len(signature), key, parameters
            )
            if bool(verified) is not test["testPassed"]:
                wrong.append((group["tgId"], test["tcId"]))
    assert wrong == []
