"""The classical algorithms, for hybrid signatures and upstream ones, through `cryptography`."""

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_der_public_key,
)

from weightlock.algorithms import ECDSA_P256, ECDSA_P384, ECDSA_P521, SignatureAlgorithm
from weightlock.errors import KeyUnusable
from weightlock.formats import der
from weightlock.formats.spki import PublicKeyInfo
from weightlock.signatures.checked import Check, Sign

_ECDSA: Final = {
    ECDSA_P256: ec.ECDSA(hashes.SHA256()),
    ECDSA_P384: ec.ECDSA(hashes.SHA384()),
    ECDSA_P521: ec.ECDSA(hashes.SHA512()),
}
_RSA_HASH: Final = hashes.SHA512()
_PSS: Final = padding.PSS(padding.MGF1(_RSA_HASH), padding.PSS.DIGEST_LENGTH)
"""The salt is exactly as long as the digest, for signing and for checking."""


def check_of(info: PublicKeyInfo) -> Check:
    """What checks signatures under a classical public key.

    Raises:
        KeyUnusable: if the library does not take the key.
    """
    verify = _verify_of(info)

    def check(signature: bytes, message: bytes) -> bool:
        try:
            return verify(signature, message)
        except InvalidSignature:
            return False

    return check


def _verify_of(info: PublicKeyInfo) -> Check:
    key = load_der_public_key(info.spki)
    if isinstance(key, ec.EllipticCurvePublicKey):
        scheme = _ECDSA[info.algorithm]
        return lambda s, m: _is_strict_ecdsa(s) and key.verify(s, m, scheme) is None
    if isinstance(key, rsa.RSAPublicKey):
        size = (key.key_size + 7) // 8
        return lambda s, m: len(s) == size and key.verify(s, m, _PSS, _RSA_HASH) is None
    if isinstance(key, ed25519.Ed25519PublicKey):
        return lambda s, m: key.verify(s, m) is None
    raise KeyUnusable(f"the library does not know a key of {info.algorithm}")


def sign_of(algorithm: SignatureAlgorithm, pkcs8: bytes) -> Sign:
    """What signs with an unencrypted PKCS#8 private key.

    Raises:
        KeyUnusable: if the key is not one of the algorithm.
    """
    key = load_der_private_key(pkcs8, password=None)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        scheme = _ECDSA[algorithm]
        return lambda message: key.sign(message, scheme)
    if isinstance(key, rsa.RSAPrivateKey):
        return lambda message: key.sign(message, _PSS, _RSA_HASH)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign
    raise KeyUnusable(f"the library does not know a key of {algorithm}")


def _is_strict_ecdsa(signature: bytes) -> bool:
    """Whether it is in the one DER encoding; raises Malformed, which is a no, where it is not."""
    outer = der.Reader(signature, "the ECDSA signature")
    numbers = outer.sequence()
    outer.finish()
    numbers.unsigned_integer()
    numbers.unsigned_integer()
    numbers.finish()
    return True
