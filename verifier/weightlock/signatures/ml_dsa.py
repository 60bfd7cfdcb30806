"""ML-DSA (FIPS 204) in pure mode with an empty context, through `cryptography`.

Signing is hedged, which is what the library does by default: fresh randomness enters every
signature and blunts side channels and faults (F06).
"""

import hashlib
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import mldsa

from weightlock.algorithms import ML_DSA_44, ML_DSA_65, ML_DSA_87, SignatureAlgorithm
from weightlock.formats.spki import PublicKeyInfo, raw_public_key
from weightlock.signatures.checked import Check, CheckedSigningKey, Sign
from weightlock.signatures.schemes import MuSigner, SigningKey, VerifyingKey

SEED_BYTES: Final = 32
MU_BYTES: Final = 64

LibraryPublicKey = mldsa.MLDSA44PublicKey | mldsa.MLDSA65PublicKey | mldsa.MLDSA87PublicKey
LibraryPrivateKey = mldsa.MLDSA44PrivateKey | mldsa.MLDSA65PrivateKey | mldsa.MLDSA87PrivateKey

_TR_BYTES: Final = 64
_PURE_WITHOUT_CONTEXT: Final = b"\x00\x00"
"""Domain separator 0 (pure, not pre-hashed) and the length of the context (algorithm 2)."""

_PUBLIC_KEYS: Final[dict[SignatureAlgorithm, type[LibraryPublicKey]]] = {
    ML_DSA_44: mldsa.MLDSA44PublicKey,
    ML_DSA_65: mldsa.MLDSA65PublicKey,
    ML_DSA_87: mldsa.MLDSA87PublicKey,
}
_PRIVATE_KEYS: Final[dict[SignatureAlgorithm, type[LibraryPrivateKey]]] = {
    ML_DSA_44: mldsa.MLDSA44PrivateKey,
    ML_DSA_65: mldsa.MLDSA65PrivateKey,
    ML_DSA_87: mldsa.MLDSA87PrivateKey,
}


def check_of(info: PublicKeyInfo) -> Check:
    """What checks signatures under an ML-DSA public key."""
    key = library_public_key(info)

    def check(signature: bytes, message: bytes) -> bool:
        try:
            answer: object = key.verify(signature, message)
        except InvalidSignature:
            return False
        return answer is None  # it raises instead of answering; an answer would be no yes

    return check


def library_public_key(info: PublicKeyInfo) -> LibraryPublicKey:
    """The library's own object for an ML-DSA public key."""
    return _PUBLIC_KEYS[info.algorithm].from_public_bytes(raw_public_key(info))


def library_key(algorithm: SignatureAlgorithm, seed: bytes) -> LibraryPrivateKey:
    """The private key that grows from a 32-byte seed."""
    return _PRIVATE_KEYS[algorithm].from_seed_bytes(seed)


def generated_seed(algorithm: SignatureAlgorithm) -> bytes:
    """The seed of a new key."""
    return _PRIVATE_KEYS[algorithm].generate().private_bytes_raw()


def sign_of(algorithm: SignatureAlgorithm, seed: bytes) -> Sign:
    """What signs with the key of a seed, in this process."""
    return library_key(algorithm, seed).sign


def message_representative(info: PublicKeyInfo, message: bytes) -> bytes:
    """The mu of a message: SHAKE256(tr || 0x00 || 0x00 || M, 64), with tr = SHAKE256(key, 64)."""
    tr = hashlib.shake_256(raw_public_key(info)).digest(_TR_BYTES)
    return hashlib.shake_256(tr + _PURE_WITHOUT_CONTEXT + message).digest(MU_BYTES)


class SeedMuSigner:
    """The MuSigner that holds its key in this process."""

    def __init__(self, algorithm: SignatureAlgorithm, seed: bytes) -> None:
        self._key = library_key(algorithm, seed)

    def sign_mu(self, mu: bytes) -> bytes:
        """The signature over a 64-byte mu."""
        return self._key.sign_mu(mu)


def mu_signing_key(public_key: VerifyingKey, device: MuSigner) -> SigningKey:
    """A SigningKey whose private half is in a KMS or HSM: only mu travels there.

    `public_key` is the trusted one, so a device that signs with another key is found out.
    """
    info = PublicKeyInfo(public_key.algorithm, public_key.spki)
    return CheckedSigningKey(
        public_key, lambda message: device.sign_mu(message_representative(info, message))
    )
