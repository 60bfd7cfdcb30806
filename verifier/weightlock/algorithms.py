"""Signature algorithms as data: name, family, object identifier, exact sizes.

The algorithm of a signature is that of the trusted key that checks it, never one that the signed
or signing document names (A11, A32). So everything that depends on an algorithm starts here.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from weightlock.errors import Malformed


class Family(StrEnum):
    """What a signature rests on."""

    ML_DSA = "ML-DSA"
    SLH_DSA = "SLH-DSA"
    CLASSICAL = "classical"

    @property
    def is_post_quantum(self) -> bool:
        """Whether no known quantum algorithm forges it."""
        return self is not Family.CLASSICAL


@dataclass(frozen=True, slots=True)
class SignatureAlgorithm:
    """One algorithm with its parameter set.

    `oid` is the dotted object identifier of the key in SPKI and PKCS#8. `public_key_bytes` and
    `signature_bytes` are exact for post-quantum algorithms and None for classical ones, whose
    sizes the library checks.
    """

    name: str
    family: Family
    oid: str
    public_key_bytes: int | None = None
    signature_bytes: int | None = None

    @property
    def is_post_quantum(self) -> bool:
        """Whether no known quantum algorithm forges it."""
        return self.family.is_post_quantum

    def __str__(self) -> str:
        return self.name


ML_DSA_44: Final = SignatureAlgorithm(
    "ML-DSA-44", Family.ML_DSA, "2.16.840.1.101.3.4.3.17", 1312, 2420
)
ML_DSA_65: Final = SignatureAlgorithm(
    "ML-DSA-65", Family.ML_DSA, "2.16.840.1.101.3.4.3.18", 1952, 3309
)
ML_DSA_87: Final = SignatureAlgorithm(
    "ML-DSA-87", Family.ML_DSA, "2.16.840.1.101.3.4.3.19", 2592, 4627
)

_SLH_DSA_SETS: Final = (
    # name, last arc of the identifier (RFC 9909), public key bytes, signature bytes (FIPS 205)
    ("SLH-DSA-SHA2-128s", 20, 32, 7856),
    ("SLH-DSA-SHA2-128f", 21, 32, 17088),
    ("SLH-DSA-SHA2-192s", 22, 48, 16224),
    ("SLH-DSA-SHA2-192f", 23, 48, 35664),
    ("SLH-DSA-SHA2-256s", 24, 64, 29792),
    ("SLH-DSA-SHA2-256f", 25, 64, 49856),
    ("SLH-DSA-SHAKE-128s", 26, 32, 7856),
    ("SLH-DSA-SHAKE-128f", 27, 32, 17088),
    ("SLH-DSA-SHAKE-192s", 28, 48, 16224),
    ("SLH-DSA-SHAKE-192f", 29, 48, 35664),
    ("SLH-DSA-SHAKE-256s", 30, 64, 29792),
    ("SLH-DSA-SHAKE-256f", 31, 64, 49856),
)
SLH_DSA: Final = tuple(
    SignatureAlgorithm(name, Family.SLH_DSA, f"2.16.840.1.101.3.4.3.{arc}", key, signature)
    for name, arc, key, signature in _SLH_DSA_SETS
)

ECDSA_P256: Final = SignatureAlgorithm(
    "ECDSA-P256-SHA256", Family.CLASSICAL, "1.2.840.10045.2.1/1.2.840.10045.3.1.7"
)
ECDSA_P384: Final = SignatureAlgorithm(
    "ECDSA-P384-SHA384", Family.CLASSICAL, "1.2.840.10045.2.1/1.3.132.0.34"
)
ECDSA_P521: Final = SignatureAlgorithm(
    "ECDSA-P521-SHA512", Family.CLASSICAL, "1.2.840.10045.2.1/1.3.132.0.35"
)
RSA_PSS: Final = SignatureAlgorithm("RSA-PSS-SHA512", Family.CLASSICAL, "1.2.840.113549.1.1.1")
ED25519: Final = SignatureAlgorithm("Ed25519", Family.CLASSICAL, "1.3.101.112", 32, 64)

POST_QUANTUM: Final = (ML_DSA_44, ML_DSA_65, ML_DSA_87, *SLH_DSA)
CLASSICAL: Final = (ECDSA_P256, ECDSA_P384, ECDSA_P521, RSA_PSS, ED25519)
ALL: Final = (*POST_QUANTUM, *CLASSICAL)

_BY_NAME: Final = {algorithm.name: algorithm for algorithm in ALL}
_BY_OID: Final = {algorithm.oid: algorithm for algorithm in ALL}


def signature_algorithm(name: object) -> SignatureAlgorithm:
    """The algorithm of an exact name.

    Raises:
        Malformed: for anything but one of the names, in exactly this spelling (A11).
    """
    algorithm = _BY_NAME.get(name) if isinstance(name, str) else None
    if algorithm is None:
        known = ", ".join(_BY_NAME)
        raise Malformed(f"unknown signature algorithm {name!r:.60}; expected one of {known}")
    return algorithm


def algorithm_of_oid(oid: str) -> SignatureAlgorithm:
    """The algorithm of a key's object identifier; elliptic curves are `key type/curve`.

    Raises:
        Malformed: for an identifier that is not one of ours.
    """
    algorithm = _BY_OID.get(oid)
    if algorithm is None:
        raise Malformed(f"a key of the unknown algorithm {oid:.60}")
    return algorithm
