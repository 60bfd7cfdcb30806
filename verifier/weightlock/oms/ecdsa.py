"""ECDSA over the three curves that bundles are signed with: the only adapter to the library.

The curve of the key decides everything; see `signatures` for keys in general.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from weightlock.algorithms import ECDSA_P256, ECDSA_P384, ECDSA_P521, SignatureAlgorithm
from weightlock.errors import Malformed

_ALGORITHMS: Final = {
    "secp256r1": ECDSA_P256,
    "secp384r1": ECDSA_P384,
    "secp521r1": ECDSA_P521,
}
_HASHES: Final[dict[SignatureAlgorithm, hashes.HashAlgorithm]] = {
    ECDSA_P256: hashes.SHA256(),
    ECDSA_P384: hashes.SHA384(),
    ECDSA_P521: hashes.SHA512(),
}

ALGORITHMS: Final = frozenset(_HASHES)


@dataclass(frozen=True, slots=True)
class EcdsaKey:
    """A public key on one of the three curves; a `VerifyingKey`."""

    algorithm: SignatureAlgorithm
    point: ec.EllipticCurvePublicKey

    @property
    def spki(self) -> bytes:
        """The canonical DER SubjectPublicKeyInfo."""
        return self.point.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def pem(self) -> bytes:
        """The same in PEM, as the hints of bundles are made from it."""
        return self.point.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    @property
    def keyid(self) -> str:
        """The hexadecimal SHA-256 of `spki`."""
        return hashlib.sha256(self.spki).hexdigest()

    @property
    def hint(self) -> str:
        """What model-signing since v1.1 writes as `publicKey.hint` for this key."""
        return hashlib.sha256(self.pem).hexdigest()

    def accepts(self, signature: bytes, message: bytes) -> bool:
        """Whether the signature is valid, with the hash that belongs to the curve."""
        return self._accepts(signature, message, _HASHES[self.algorithm])

    def accepts_with_sha256(self, signature: bytes, message: bytes) -> bool:
        """Whether the signature is valid with SHA-256 on any curve, as in legacy.py."""
        return self._accepts(signature, message, hashes.SHA256())

    def _accepts(self, signature: bytes, message: bytes, algorithm: hashes.HashAlgorithm) -> bool:
        try:
            self.point.verify(signature, message, ec.ECDSA(algorithm))
        except InvalidSignature:
            return False
        return True


def ecdsa_key(public_key: object) -> EcdsaKey:
    """The key of a library object.

    Raises:
        Malformed: if it is not on one of the three curves.
    """
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        algorithm = _ALGORITHMS.get(public_key.curve.name)
        if algorithm is not None:
            return EcdsaKey(algorithm, public_key)
    raise Malformed("a key that is not ECDSA over P-256, P-384 or P-521; bundles know no others")


def ecdsa_key_of_spki(spki: bytes) -> EcdsaKey:
    """The key of a DER SubjectPublicKeyInfo.

    Raises:
        Malformed: if it is not one of the three curves.
    """
    try:
        return ecdsa_key(load_der_public_key(spki))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Malformed(f"not a public key: {error}") from error
