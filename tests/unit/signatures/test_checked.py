import hashlib

import pytest

from weightlock.algorithms import ED25519, ML_DSA_44
from weightlock.errors import KeyUnusable
from weightlock.formats.spki import PublicKeyInfo, public_key_info_of_raw
from weightlock.signatures.checked import Check, CheckedSigningKey, CheckedVerifyingKey

INFO = public_key_info_of_raw(ML_DSA_44, b"\x01" * 1312)
RIGHT_SIZE = b"s" * 2420


def _key(check: Check) -> CheckedVerifyingKey:
    return CheckedVerifyingKey(INFO, check)


def test_a_plain_yes_is_a_yes() -> None:
    assert _key(lambda s, m: True).accepts(RIGHT_SIZE, b"m")


@pytest.mark.parametrize("answer", [False, None, 0, 1, "yes", object()])
def test_any_other_answer_is_a_no(answer: bool) -> None:
    assert not _key(lambda s, m: answer).accepts(RIGHT_SIZE, b"m")


@pytest.mark.parametrize("error", [ValueError, TypeError, MemoryError, RuntimeError])
def test_a_library_that_raises_is_a_no(error: type[Exception]) -> None:
    def check(signature: bytes, message: bytes) -> bool:
        raise error

    assert not _key(check).accepts(RIGHT_SIZE, b"m")


@pytest.mark.parametrize("signature", [b"", RIGHT_SIZE[:-1], RIGHT_SIZE + b"s", RIGHT_SIZE * 2])
def test_a_signature_of_another_size_never_reaches_the_library(signature: bytes) -> None:
    seen: list[bytes] = []

    def check(signature: bytes, message: bytes) -> bool:
        seen.append(signature)
        return True

    assert not _key(check).accepts(signature, b"m")
    assert seen == []


def test_a_key_is_named_and_compared_by_its_encoding() -> None:
    key = _key(lambda s, m: True)
    assert key.keyid == hashlib.sha256(INFO.spki).hexdigest()
    assert (key.algorithm, key.spki) == (ML_DSA_44, INFO.spki)
    assert key == _key(lambda s, m: False)
    other = PublicKeyInfo(ED25519, b"other")
    assert key != CheckedVerifyingKey(other, key.check)


def test_a_signature_that_its_own_key_does_not_accept_is_not_handed_out() -> None:
    signer = CheckedSigningKey(_key(lambda s, m: False), lambda message: RIGHT_SIZE)
    with pytest.raises(KeyUnusable, match="does not accept") as caught:
        signer.sign(b"m")
    assert INFO.keyid[:16] in caught.value.message


def test_what_a_signer_raises_becomes_our_error_without_its_words() -> None:
    def sign(message: bytes) -> bytes:
        raise RuntimeError("secret")

    with pytest.raises(KeyUnusable, match="could not sign: RuntimeError") as caught:
        CheckedSigningKey(_key(lambda s, m: True), sign).sign(b"m")
    assert "secret" not in caught.value.message


def test_our_own_error_passes_through() -> None:
    def sign(message: bytes) -> bytes:
        raise KeyUnusable("the token is away")

    with pytest.raises(KeyUnusable, match="the token is away"):
        CheckedSigningKey(_key(lambda s, m: True), sign).sign(b"m")


def test_no_representation_shows_what_signs() -> None:
    assert "make" not in repr(CheckedSigningKey(_key(lambda s, m: True), lambda m: m))
