"""ML-DSA keys in a PKCS#11 token, behind the `sign_mu` seam.

Only the shape of a session is fixed here, so any binding fits with a few lines: find one private
key by its label, sign 64 bytes with one mechanism. PKCS#11 3.2 has no mechanism for an external mu
(a later draft and several vendors have), so its number is the caller's to give, from the manual of
the token.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Final, Protocol

from weightlock.algorithms import ML_DSA_44, ML_DSA_65, ML_DSA_87, SignatureAlgorithm
from weightlock.errors import KeyUnusable


class Attribute(IntEnum):
    """The attributes of the search; names and numbers of PKCS#11 3.2."""

    CKA_CLASS = 0x000
    CKA_LABEL = 0x003
    CKA_KEY_TYPE = 0x100
    CKA_PARAMETER_SET = 0x61D


CKO_PRIVATE_KEY: Final = 0x3
CKK_ML_DSA: Final = 0x4A
_PARAMETER_SETS: Final = {ML_DSA_44: 1, ML_DSA_65: 2, ML_DSA_87: 3}
"""CKP_ML_DSA_44, CKP_ML_DSA_65, CKP_ML_DSA_87."""


class Session(Protocol):
    """A logged-in PKCS#11 session; object handles are its own integers."""

    def find_objects(self, template: Mapping[Attribute, int | str]) -> Sequence[int]:
        """The handles of all objects that have these attributes."""
        ...

    def sign(self, key: int, mechanism: int, data: bytes) -> bytes:
        """C_SignInit and C_Sign."""
        ...


class Pkcs11MuSigner:
    """The MuSigner over a token's private key, looked up by its label."""

    def __init__(
        self, session: Session, label: str, algorithm: SignatureAlgorithm, mu_mechanism: int
    ) -> None:
        self._session = session
        self._mechanism = mu_mechanism
        self._key = _one_private_key(session, label, algorithm)

    def sign_mu(self, mu: bytes) -> bytes:
        """The signature over a 64-byte mu.

        Raises:
            KeyUnusable: if the token will not sign.
        """
        try:
            return self._session.sign(self._key, self._mechanism, mu)
        except Exception as error:  # each binding has its own errors
            raise KeyUnusable(
                f"the token did not sign with mechanism 0x{self._mechanism:x}:"
                f" {type(error).__name__}",
                hint="the mechanism must be the token's own for an ML-DSA external mu",
            ) from error


def _one_private_key(session: Session, label: str, algorithm: SignatureAlgorithm) -> int:
    """The handle of the one key; with two of a label, chance would choose the signer."""
    template: dict[Attribute, int | str] = {
        Attribute.CKA_CLASS: CKO_PRIVATE_KEY,
        Attribute.CKA_KEY_TYPE: CKK_ML_DSA,
        Attribute.CKA_PARAMETER_SET: _PARAMETER_SETS[algorithm],
        Attribute.CKA_LABEL: label,
    }
    try:
        found = session.find_objects(template)
    except Exception as error:  # each binding has its own errors
        raise KeyUnusable(f"the token could not be searched: {type(error).__name__}") from error
    if len(found) != 1:
        raise KeyUnusable(
            f"the token has {len(found)} private keys {algorithm} labelled {label!r:.80};"
            " expected exactly one"
        )
    return found[0]
