"""From a private key as a value to one that signs, and new private keys."""

from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from weightlock.algorithms import (
    ECDSA_P256,
    ECDSA_P384,
    ECDSA_P521,
    ED25519,
    Family,
    SignatureAlgorithm,
)
from weightlock.keys.pkcs8 import (
    PrivateKey,
    private_key_of_pkcs8,
    private_key_of_seed,
    private_key_of_slh_dsa,
    secret_of,
)
from weightlock.signatures import classical, ml_dsa, slh_dsa
from weightlock.signatures.checked import CheckedSigningKey, Sign
from weightlock.signatures.schemes import SigningKey
from weightlock.signatures.verifying import verifying_key

NEW_RSA_BITS: Final = 3072
"""NIST SP 800-57 wants 128 bits of (classical) security from 2031 on."""

_PUBLIC_EXPONENT: Final = 65537
_CURVES: Final = {
    ECDSA_P256: ec.SECP256R1(),
    ECDSA_P384: ec.SECP384R1(),
    ECDSA_P521: ec.SECP521R1(),
}


def signing_key(key: PrivateKey) -> SigningKey:
    """What signs with the key in this process.

    Raises:
        KeyUnusable: if no library here takes the key.
    """
    return CheckedSigningKey(verifying_key(key.public), _sign_of(key))


def generate(algorithm: SignatureAlgorithm) -> PrivateKey:
    """A new private key."""
    match algorithm.family:
        case Family.ML_DSA:
            return private_key_of_seed(algorithm, ml_dsa.generated_seed(algorithm))
        case Family.SLH_DSA:
            return private_key_of_slh_dsa(algorithm, slh_dsa.generated_secret(algorithm))
        case Family.CLASSICAL:
            return private_key_of_pkcs8(_generated_classical(algorithm))


def _sign_of(key: PrivateKey) -> Sign:
    match key.algorithm.family:
        case Family.ML_DSA:
            return ml_dsa.sign_of(key.algorithm, secret_of(key))
        case Family.SLH_DSA:
            return slh_dsa.sign_of(key.algorithm, secret_of(key))
        case Family.CLASSICAL:
            return classical.sign_of(key.algorithm, key.pkcs8)


def _generated_classical(algorithm: SignatureAlgorithm) -> bytes:
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
    if algorithm in _CURVES:
        key = ec.generate_private_key(_CURVES[algorithm])
    elif algorithm is ED25519:
        key = ed25519.Ed25519PrivateKey.generate()
    else:
        key = rsa.generate_private_key(_PUBLIC_EXPONENT, NEW_RSA_BITS)
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
