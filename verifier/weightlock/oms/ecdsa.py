"""The keys that bundles are signed with: ECDSA over three curves, and their names in bundles."""

import hashlib
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from weightlock.algorithms import ECDSA_P256, ECDSA_P384, ECDSA_P521
from weightlock.errors import Malformed
from weightlock.formats.spki import public_key_info_of_der
from weightlock.signatures.checked import CheckedVerifyingKey
from weightlock.signatures.schemes import VerifyingKey
from weightlock.signatures.verifying import verifying_key

ALGORITHMS: Final = frozenset({ECDSA_P256, ECDSA_P384, ECDSA_P521})


def ecdsa_key(spki: bytes) -> VerifyingKey:
    """The key of a DER SubjectPublicKeyInfo.

    Raises:
        Malformed: if it is not one on the three curves.
    """
    info = public_key_info_of_der(spki)
    if info.algorithm not in ALGORITHMS:
        raise Malformed(
            f"a key of {info.algorithm}; bundles are signed with ECDSA over P-256, P-384 or P-521"
        )
    return verifying_key(info)


def pem(key: VerifyingKey) -> bytes:
    """What model-signing before v1.1 writes as `publicKey.rawBytes` for a key."""
    return public_key_info_of_der(key.spki).pem.encode("ascii")


def hint(key: VerifyingKey) -> str:
    """What model-signing since v1.1 writes as `publicKey.hint` for a key."""
    return hashlib.sha256(pem(key)).hexdigest()


def accepts_with_sha256(key: VerifyingKey, signature: bytes, message: bytes) -> bool:
    """Whether a signature is valid with SHA-256 whatever the curve, as legacy.py explains."""
    point = load_der_public_key(key.spki)
    if not isinstance(point, ec.EllipticCurvePublicKey):
        return False
    scheme = ec.ECDSA(hashes.SHA256())
    info = public_key_info_of_der(key.spki)
    checked = CheckedVerifyingKey(info, lambda s, m: point.verify(s, m, scheme) is None)
    return checked.accepts(signature, message)
