"""The truth table of accepting: one way in, and every way out that A32 names."""

import importlib
from collections.abc import Callable, Mapping

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import load_der_private_key
from pqcrypto import HashAlgorithm
from tests.unit.signatures.conftest import Signed

from weightlock.algorithms import (
    ALL,
    ECDSA_P256,
    ECDSA_P384,
    ECDSA_P521,
    ED25519,
    ML_DSA_44,
    ML_DSA_65,
    ML_DSA_87,
    POST_QUANTUM,
    RSA_PSS,
    SLH_DSA,
    Family,
    SignatureAlgorithm,
)
from weightlock.errors import KeyUnusable
from weightlock.formats import der
from weightlock.formats.spki import PublicKeyInfo, public_key_info_of_raw, raw_public_key
from weightlock.keys.ml_dsa_expansion import expanded_key
from weightlock.keys.pkcs8 import PrivateKey, private_key_of_slh_dsa, secret_of
from weightlock.keys.signing import signing_key
from weightlock.signatures import classical
from weightlock.signatures.verifying import verifying_key

All = Mapping[SignatureAlgorithm, Signed]
FAST = [a for a in ALL if not a.name.endswith("s") and a is not RSA_PSS]
ML_DSA = [ML_DSA_44, ML_DSA_65, ML_DSA_87]
ECDSA = [ECDSA_P256, ECDSA_P384, ECDSA_P521]
HEDGED = [a for a in ALL if not a.name.endswith("s") and a is not ED25519]


@pytest.mark.parametrize("algorithm", ALL, ids=str)
def test_a_signature_is_accepted_by_its_key_for_its_message(
    signed: All, algorithm: SignatureAlgorithm
) -> None:
    one = signed[algorithm]
    assert one.key.accepts(one.signature, one.message)
    assert verifying_key(one.private.public).accepts(one.signature, one.message)
    assert algorithm.signature_bytes in (None, len(one.signature))


@pytest.mark.parametrize("algorithm", ALL, ids=str)
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda s: s + b"\0", id="a byte more"),
        pytest.param(lambda s: b"\0" + s, id="a byte before"),
        pytest.param(lambda s: s[:-1], id="a byte less"),
        pytest.param(lambda s: s[1:], id="the first byte less"),
        pytest.param(lambda s: s * 2, id="twice"),
        pytest.param(lambda s: b"", id="nothing"),
        pytest.param(lambda s: bytes(len(s)), id="zeros"),
        pytest.param(lambda s: b"\xff" * len(s), id="ones"),
        pytest.param(lambda s: bytes([s[0] ^ 1]) + s[1:], id="the first bit"),
        pytest.param(lambda s: s[:-1] + bytes([s[-1] ^ 0x80]), id="the last bit"),
        pytest.param(lambda s: s[:99] + bytes([s[99 % len(s)] ^ 1]) + s[100:], id="a bit inside"),
        pytest.param(lambda s: s[::-1], id="backwards"),
        pytest.param(lambda s: s.hex(), id="text"),
        pytest.param(lambda s: None, id="none"),
    ],
)
def test_any_other_signature_is_not_accepted(
    signed: All, algorithm: SignatureAlgorithm, change: Callable[[bytes], bytes]
) -> None:
    one = signed[algorithm]
    assert not one.key.accepts(change(one.signature), one.message)


@pytest.mark.parametrize("algorithm", ALL, ids=str)
def test_any_other_message_is_not_accepted(signed: All, algorithm: SignatureAlgorithm) -> None:
    one = signed[algorithm]
    for message in (b"", one.message[:-1], one.message + b"\0", b"\0\0" + one.message):
        assert not one.key.accepts(one.signature, message)


@pytest.mark.parametrize("algorithm", ALL, ids=str)
def test_no_other_key_accepts_it(signed: All, algorithm: SignatureAlgorithm) -> None:
    one = signed[algorithm]
    for other, two in signed.items():
        assert two.key.accepts(one.signature, one.message) is (other is algorithm)


@pytest.mark.parametrize("algorithm", POST_QUANTUM, ids=str)
def test_the_same_bytes_as_a_key_of_another_set_do_not_accept_it(
    signed: All, algorithm: SignatureAlgorithm
) -> None:
    one = signed[algorithm]
    raw = raw_public_key(one.private.public)
    twins = [a for a in POST_QUANTUM if a.public_key_bytes == len(raw) and a is not algorithm]
    assert bool(twins) is (algorithm.family is Family.SLH_DSA)
    for twin in twins:
        assert not verifying_key(public_key_info_of_raw(twin, raw)).accepts(
            one.signature, one.message
        )


@pytest.mark.parametrize("algorithm", HEDGED, ids=str)
def test_signing_is_hedged(signed: All, algorithm: SignatureAlgorithm) -> None:
    one = signed[algorithm]
    again = signing_key(one.private).sign(one.message)
    assert again != one.signature
    assert one.key.accepts(again, one.message)


@pytest.mark.parametrize("algorithm", FAST, ids=str)
@pytest.mark.parametrize("message", [b"", b"\0", b"m" * 1_000_000], ids=["empty", "zero", "1 MB"])
def test_messages_of_any_length_are_signed(
    signed: All, algorithm: SignatureAlgorithm, message: bytes
) -> None:
    one = signed[algorithm]
    assert one.key.accepts(signing_key(one.private).sign(message), message)


def _by_pqcrypto(
    key: PrivateKey,
    message: bytes,
    context: bytes | None = None,
    hash_algorithm: HashAlgorithm | None = None,
) -> bytes:
    module = importlib.import_module(
        f"pqcrypto.sign.{key.algorithm.name.lower().replace('-', '_')}"
    )
    secret = secret_of(key)
    if key.algorithm in ML_DSA:
        secret = expanded_key(key.algorithm, secret)
    return bytes(module.sign(secret, message, context, hash_algorithm))


@pytest.mark.parametrize("algorithm", [a for a in FAST if a in POST_QUANTUM], ids=str)
def test_neither_a_context_nor_a_pre_hash_is_accepted(
    signed: All, algorithm: SignatureAlgorithm
) -> None:
    one = signed[algorithm]
    assert one.key.accepts(_by_pqcrypto(one.private, one.message), one.message)
    assert not one.key.accepts(_by_pqcrypto(one.private, one.message, b"a"), one.message)
    for hash_algorithm in (HashAlgorithm.Sha256, HashAlgorithm.Sha512):
        pre_hashed = _by_pqcrypto(one.private, one.message, None, hash_algorithm)
        assert len(pre_hashed) == algorithm.signature_bytes
        assert not one.key.accepts(pre_hashed, one.message)


# --- ECDSA: one encoding, one hash ---------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ECDSA, ids=str)
def test_an_ecdsa_signature_has_exactly_one_encoding(
    signed: All, algorithm: SignatureAlgorithm
) -> None:
    one = signed[algorithm]
    r, s = decode_dss_signature(one.signature)
    whole, left, right = der.sequence, der.unsigned_integer(r), der.unsigned_integer(s)
    assert whole(left, right) == one.signature
    padded = der.element(der.INTEGER, b"\0\0" + r.to_bytes(70).lstrip(b"\0"))
    size = (r.bit_length() + 7) // 8
    for lax in (
        whole(left, right) + b"\0",
        whole(left, right, der.null()),
        whole(left, der.unsigned_integer(0)),
        whole(padded, right),
        b"\x30\x80" + left + right + b"\0\0",
        b"\x30\x82" + len(left + right).to_bytes(2) + left + right,
        der.element(0x31, left + right),
        r.to_bytes(size) + s.to_bytes(max(size, (s.bit_length() + 7) // 8)),
        encode_dss_signature(0, 0),
        encode_dss_signature(r, 2**521),
    ):
        assert not one.key.accepts(lax, one.message)


@pytest.mark.parametrize("algorithm", ECDSA, ids=str)
def test_ecdsa_over_another_hash_is_not_accepted(
    signed: All, algorithm: SignatureAlgorithm
) -> None:
    one = signed[algorithm]
    key = load_der_private_key(one.private.pkcs8, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    accepted = [
        name
        for name, function in (
            ("SHA256", hashes.SHA256()),
            ("SHA384", hashes.SHA384()),
            ("SHA512", hashes.SHA512()),
        )
        if one.key.accepts(key.sign(one.message, ec.ECDSA(function)), one.message)
    ]
    assert accepted == [algorithm.name.rsplit("-", 1)[1]]


# --- RSA: one padding, one hash, one salt length --------------------------------------------------


def test_rsa_is_accepted_with_exactly_one_padding(signed: All) -> None:
    one = signed[RSA_PSS]
    key = load_der_private_key(one.private.pkcs8, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    sha512, mgf = hashes.SHA512(), padding.MGF1(hashes.SHA512())
    right = key.sign(one.message, padding.PSS(mgf, 64), sha512)
    assert one.key.accepts(right, one.message)
    for wrong in (
        key.sign(one.message, padding.PKCS1v15(), sha512),
        key.sign(one.message, padding.PSS(mgf, 0), sha512),
        key.sign(one.message, padding.PSS(mgf, 32), sha512),
        key.sign(one.message, padding.PSS(mgf, padding.PSS.MAX_LENGTH), sha512),
        key.sign(one.message, padding.PSS(padding.MGF1(hashes.SHA256()), 64), sha512),
        key.sign(one.message, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()),
    ):
        assert not one.key.accepts(wrong, one.message)


def test_rsa_plus_its_modulus_is_not_accepted(signed: All) -> None:
    one = signed[RSA_PSS]
    key = load_der_private_key(one.private.pkcs8, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    modulus = key.private_numbers().public_numbers.n
    larger = int.from_bytes(one.signature) + modulus
    size = len(one.signature)
    assert not one.key.accepts(larger.to_bytes(size + 1), one.message)
    assert not one.key.accepts((larger % 2 ** (8 * size)).to_bytes(size), one.message)


def test_ed25519_with_s_plus_the_order_is_not_accepted(signed: All) -> None:
    one = signed[ED25519]
    order = 2**252 + 27742317777372353535851937790883648493
    s = int.from_bytes(one.signature[32:], "little") + order
    assert not one.key.accepts(one.signature[:32] + s.to_bytes(32, "little"), one.message)


# --- keys that do not belong ----------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 16, 32, 48], ids=["SK.seed", "SK.prf", "PK.seed", "PK.root"])
def test_a_damaged_slh_dsa_key_hands_out_no_wrong_signature(signed: All, at: int) -> None:
    algorithm = SLH_DSA[1]
    secret = bytearray(secret_of(signed[algorithm].private))
    secret[at] ^= 1
    signer = signing_key(private_key_of_slh_dsa(algorithm, bytes(secret)))
    if at == 16:  # SK.prf only randomises: any value signs well
        assert signer.public_key.accepts(signer.sign(b"m"), b"m")
    else:
        with pytest.raises(KeyUnusable, match="own public key does not accept"):
            signer.sign(b"m")


def test_a_key_that_the_library_does_not_know_is_unusable() -> None:
    kem = PublicKeyInfo(ED25519, bytes.fromhex("302a300506032b656e032100") + b"\x09" + bytes(31))
    with pytest.raises(KeyUnusable, match="does not know"):
        verifying_key(kem)
    x25519 = bytes.fromhex("302e020100300506032b656e04220420") + b"\x08" * 32
    with pytest.raises(KeyUnusable, match="does not know"):
        classical.sign_of(ED25519, x25519)
