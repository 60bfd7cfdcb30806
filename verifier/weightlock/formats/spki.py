"""Public keys as values: one PEM text in, one algorithm and one canonical encoding out.

Policies, command lines and certificates all name keys through this module, and keys are compared
by the bytes it returns (C02), so it accepts exactly one encoding of each key: RFC 5280 with
RFC 9881 (ML-DSA), RFC 9909 (SLH-DSA), RFC 8410 (Ed25519), RFC 5480 (named curves, uncompressed)
and RFC 3279 (RSA). It is pure; weightlock.keys turns its values into something that verifies.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from weightlock.algorithms import (
    ECDSA_P256,
    ECDSA_P384,
    ECDSA_P521,
    ED25519,
    RSA_PSS,
    Family,
    SignatureAlgorithm,
    algorithm_of_oid,
)
from weightlock.errors import Malformed
from weightlock.formats import der, pem

MAX_PUBLIC_KEY_BYTES: Final = 16 * 1024
"""The largest text read as a public key; the largest real one, ML-DSA-87, has 3.6 KB."""

LABEL: Final = "PUBLIC KEY"

EC_KEY_OID: Final = "1.2.840.10045.2.1"
MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 16384
"""OpenSSL checks no signature under a longer modulus."""

MIN_RSA_EXPONENT: Final = 65537
MAX_RSA_EXPONENT: Final = 2**64 - 1
"""FIPS 186-5 wants an odd exponent above 2^16; OpenSSL takes at most 64 bits of it."""

_UNCOMPRESSED: Final = b"\x04"
_ML_DSA_SEED_BYTES: Final = 32
"""rho comes first in an ML-DSA public key, t1 fills the rest (FIPS 204, algorithm 22)."""


@dataclass(frozen=True, slots=True)
class PublicKeyInfo:
    """A public key. Law: public_key_info(info.pem) == info."""

    algorithm: SignatureAlgorithm
    spki: bytes

    @property
    def keyid(self) -> str:
        """The hexadecimal SHA-256 of `spki`. It narrows a search and proves nothing (C01)."""
        return hashlib.sha256(self.spki).hexdigest()

    @property
    def pem(self) -> str:
        """The key as PEM text."""
        return pem.encode(LABEL, self.spki)


def public_key_info(text: str | bytes) -> PublicKeyInfo:
    """The key of a text that is one PUBLIC KEY block and nothing else.

    Raises:
        Malformed: for anything else; the message never quotes the text, which may be a secret.
    """
    _refuse_private_key(text)
    found = pem.blocks(text, "the public key", max_bytes=MAX_PUBLIC_KEY_BYTES)
    if [block.label for block in found] != [LABEL]:
        raise _not_one_public_key(found)
    return public_key_info_of_der(found[0].data)


def public_key_info_of_der(data: bytes) -> PublicKeyInfo:
    """The key of a DER SubjectPublicKeyInfo, for example a certificate's.

    Raises:
        Malformed: for anything but the one encoding of a key that Weightlock can use.
    """
    if len(data) > MAX_PUBLIC_KEY_BYTES:
        raise Malformed(
            f"the public key has {len(data)} bytes; a key has at most {MAX_PUBLIC_KEY_BYTES}"
        )
    outer = der.Reader(data, "the public key")
    spki = outer.sequence()
    outer.finish()
    identifier = spki.sequence()
    algorithm = read_algorithm(identifier)
    key = spki.bit_string()
    spki.finish()
    _CHECKS[algorithm.name if algorithm.family is Family.CLASSICAL else algorithm.family](
        algorithm, key
    )
    return PublicKeyInfo(algorithm, data)


def public_key_info_of_raw(algorithm: SignatureAlgorithm, key: bytes) -> PublicKeyInfo:
    """The key of raw bytes, for an algorithm whose key is a plain string of bytes.

    Raises:
        Malformed: for a wrong size or a weak key.
    """
    identifier = der.sequence(der.object_identifier(algorithm.oid))
    return public_key_info_of_der(der.sequence(identifier, der.bit_string(key)))


def raw_public_key(info: PublicKeyInfo) -> bytes:
    """The bytes inside the BIT STRING, which is all that post-quantum libraries want."""
    reader = der.Reader(info.spki, "the public key").sequence()
    reader.sequence()
    return reader.bit_string()


def read_algorithm(identifier: der.Reader) -> SignatureAlgorithm:
    """The algorithm that an AlgorithmIdentifier names, read to its end.

    Raises:
        Malformed: for an algorithm that does not sign or is not one of ours, or for parameters
            other than the RFCs want: a curve, NULL for RSA, none for all others.
    """
    oid = identifier.object_identifier()
    if oid in _ADVICE:
        found, hint = _ADVICE[oid]
        raise Malformed(f"the key is {found}, which Weightlock does not sign with", hint=hint)
    if oid == EC_KEY_OID:
        if not identifier.next_is(der.OBJECT_IDENTIFIER):
            raise Malformed(
                "an elliptic-curve key with explicit or missing parameters, no named curve",
                hint="convert it with `openssl ec -param_enc named_curve`",
            )
        oid += "/" + identifier.object_identifier()
    elif oid == RSA_PSS.oid:
        identifier.null()
    identifier.finish()
    return algorithm_of_oid(oid)


def _refuse_private_key(text: str | bytes) -> None:
    mark: str | bytes = b"PRIVATE KEY-----" if isinstance(text, bytes) else "PRIVATE KEY-----"
    if mark in text:  # type: ignore[operator] # both are str, or both are bytes
        raise Malformed(
            "a PRIVATE key where a public key belongs; its text is not repeated here",
            hint="whoever could read this text has the key: make a new one with"
            " `weightlock keygen` and give only its public half",
        )


def _not_one_public_key(found: tuple[pem.Block, ...]) -> Malformed:
    labels = ", ".join(block.label for block in found[:3]) or "none"
    for block in found:
        if block.label in _LABEL_ADVICE:
            return Malformed(
                f"expected one PEM block PUBLIC KEY, found {labels}",
                hint=_LABEL_ADVICE[block.label],
            )
    return Malformed(
        f"expected exactly one PEM block PUBLIC KEY, found {len(found)} blocks: {labels}",
        hint="give each key by itself",
    )


def _check_size(algorithm: SignatureAlgorithm, key: bytes) -> None:
    if len(key) != algorithm.public_key_bytes:
        raise Malformed(
            f"a public key of {algorithm} has {algorithm.public_key_bytes} bytes, found {len(key)}"
        )
    if not any(key):
        raise Malformed(f"a public key of {algorithm} that is all zeros")


def _check_ml_dsa(algorithm: SignatureAlgorithm, key: bytes) -> None:
    _check_size(algorithm, key)
    # With t1 = 0 the challenge drops out of the verification equation: anybody can sign (A32).
    if not any(key[_ML_DSA_SEED_BYTES:]):
        raise Malformed(f"a public key of {algorithm} with t1 = 0, for which anybody can sign")


def _check_ed25519(algorithm: SignatureAlgorithm, key: bytes) -> None:
    _check_size(algorithm, key)
    y = int.from_bytes(key, "little") & (2**255 - 1)
    # With a point of small order anybody can sign; y >= p is a second encoding of one key (C02).
    if y >= _ED25519_P or y in _ED25519_SMALL_ORDER:
        raise Malformed("an Ed25519 public key that is a point of small order or not canonical")


def _check_ecdsa(algorithm: SignatureAlgorithm, key: bytes) -> None:
    prime, b, size = _CURVES[algorithm.name]
    if len(key) != 1 + 2 * size or key[:1] != _UNCOMPRESSED:
        raise Malformed(
            f"a public key of {algorithm} is an uncompressed point of {1 + 2 * size} bytes,"
            f" found {len(key)} bytes",
            hint="convert it with `openssl ec -pubin -conv_form uncompressed`",
        )
    x, y = int.from_bytes(key[1 : 1 + size]), int.from_bytes(key[1 + size :])
    if max(x, y) >= prime or (y * y - x**3 + 3 * x - b) % prime:
        raise Malformed(f"a public key of {algorithm} that is not a point of its curve")


def _check_rsa(algorithm: SignatureAlgorithm, key: bytes) -> None:
    outer = der.Reader(key, "the RSA public key")
    numbers = outer.sequence()
    outer.finish()
    modulus, exponent = numbers.unsigned_integer(), numbers.unsigned_integer()
    numbers.finish()
    bits = modulus.bit_length()
    if not MIN_RSA_BITS <= bits <= MAX_RSA_BITS or modulus % 2 == 0:
        raise Malformed(
            f"an RSA key for {algorithm} has an odd modulus of {MIN_RSA_BITS} to {MAX_RSA_BITS}"
            f" bits, found {bits} bits"
        )
    if not MIN_RSA_EXPONENT <= exponent <= MAX_RSA_EXPONENT or exponent % 2 == 0:
        raise Malformed(
            f"an RSA key for {algorithm} has an odd exponent of at least {MIN_RSA_EXPONENT}"
            f" and at most 64 bits, found one of {exponent.bit_length()} bits"
        )


_CHECKS: Final[dict[str, Callable[[SignatureAlgorithm, bytes], None]]] = {
    Family.ML_DSA: _check_ml_dsa,
    Family.SLH_DSA: _check_size,
    ED25519.name: _check_ed25519,
    ECDSA_P256.name: _check_ecdsa,
    ECDSA_P384.name: _check_ecdsa,
    ECDSA_P521.name: _check_ecdsa,
    RSA_PSS.name: _check_rsa,
}

_P256_B: Final = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_P384_B: Final = int(
    "b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875a"
    "c656398d8a2ed19d2a85c8edd3ec2aef",
    16,
)
_P521_B: Final = int(
    "0051953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef1"
    "09e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00",
    16,
)
_CURVES: Final = {
    # name -> p, b and the bytes of a coordinate of y^2 = x^3 - 3x + b over p (FIPS 186, SP 800-186)
    ECDSA_P256.name: (2**256 - 2**224 + 2**192 + 2**96 - 1, _P256_B, 32),
    ECDSA_P384.name: (2**384 - 2**128 - 2**96 + 2**32 - 1, _P384_B, 48),
    ECDSA_P521.name: (2**521 - 1, _P521_B, 66),
}

_ED25519_P: Final = 2**255 - 19
_ORDER_8_Y: Final = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_ED25519_SMALL_ORDER: Final = frozenset({0, 1, _ED25519_P - 1, _ORDER_8_Y, _ED25519_P - _ORDER_8_Y})
"""The y of the eight points whose order divides 8."""

_KEM_HINT: Final = "an ML-KEM key encrypts and cannot sign; make one with `weightlock keygen`"
_PREHASH_HINT: Final = (
    "Weightlock signs in pure mode (FIPS 204, FIPS 205) only; make a key for ML-DSA-65"
)
_KEYGEN_HINT: Final = "make a key with `weightlock keygen`"
_ADVICE: Final = {
    **{
        f"2.16.840.1.101.3.4.4.{arc}": (f"an ML-KEM-{size} key (RFC 9935)", _KEM_HINT)
        for arc, size in ((1, 512), (2, 768), (3, 1024))
    },
    **{
        f"2.16.840.1.101.3.4.3.{arc}": ("a HashML-DSA or HashSLH-DSA key", _PREHASH_HINT)
        for arc in range(32, 47)
    },
    "1.2.840.113549.1.1.10": (
        "an RSA key restricted to PSS (id-RSASSA-PSS)",
        "Weightlock makes PSS signatures with a plain RSA key (rsaEncryption)",
    ),
    "1.2.840.10040.4.1": ("a DSA key", _KEYGEN_HINT),
    "1.3.101.110": ("an X25519 key", _KEYGEN_HINT),
    "1.3.101.111": ("an X448 key", _KEYGEN_HINT),
    "1.3.101.113": ("an Ed448 key", _KEYGEN_HINT),
}
_LABEL_ADVICE: Final = {
    "CERTIFICATE": "take the key out of a certificate that you trust with"
    " `openssl x509 -in CERTIFICATE -pubkey -noout`",
    "TRUSTED CERTIFICATE": "take the key out of a certificate that you trust with"
    " `openssl x509 -in CERTIFICATE -pubkey -noout`",
    "CERTIFICATE REQUEST": "take the key out with `openssl req -in REQUEST -pubkey -noout`",
    "RSA PUBLIC KEY": "convert it with `openssl rsa -RSAPublicKey_in -in OLD -pubout`",
}
