"""The seams of signing: what signs, and what checks a signature.

A signer may hold its key in this process, or be a KMS or an HSM that never shows it. For ML-DSA
such devices sign `mu`, the 64-byte message representative of FIPS 204 (algorithm 7, line 6), so
that a payload of megabytes need not travel to them.
"""

from typing import Protocol

from weightlock.algorithms import SignatureAlgorithm


class VerifyingKey(Protocol):
    """A public key that checks signatures of exactly one algorithm."""

    @property
    def algorithm(self) -> SignatureAlgorithm:
        """The one algorithm of this key."""
        ...

    @property
    def spki(self) -> bytes:
        """The canonical DER SubjectPublicKeyInfo; what keys are compared by (C02)."""
        ...

    @property
    def keyid(self) -> str:
        """The hexadecimal SHA-256 of `spki`. It narrows a search and proves nothing (C01)."""
        ...

    def accepts(self, signature: bytes, message: bytes) -> bool:
        """Whether the signature is valid; False for whatever is malformed, never an exception."""
        ...


class SigningKey(Protocol):
    """Something that signs with one key."""

    @property
    def public_key(self) -> VerifyingKey:
        """The key that checks what this one signs."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The signature of a message (pure mode, empty context).

        Raises:
            KeyUnusable: if the device or library behind it will not sign.
        """
        ...


class MuSigner(Protocol):
    """An ML-DSA key that signs message representatives: the seam for KMS and HSM.

    See weightlock.signatures.ml_dsa.mu_signing_key, which makes a SigningKey of one.
    """

    def sign_mu(self, mu: bytes) -> bytes:
        """The signature over a 64-byte mu.

        Raises:
            KeyUnusable: if the device will not sign.
        """
        ...
