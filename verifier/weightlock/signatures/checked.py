"""The two kinds of key that leave this package: both fail closed, whichever library is behind.

A library is asked only what it can be trusted with: a signature of exactly the right size, under
the one algorithm of the key (A32). What it answers besides a plain yes is a no.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from weightlock.algorithms import SignatureAlgorithm
from weightlock.errors import KeyUnusable, WeightlockError
from weightlock.formats.spki import PublicKeyInfo
from weightlock.signatures.schemes import VerifyingKey

Check = Callable[[bytes, bytes], bool]
"""Whether a signature (first) is valid for a message (second)."""

Sign = Callable[[bytes], bytes]
"""The signature of a message."""


@dataclass(frozen=True, slots=True)
class CheckedVerifyingKey:
    """A VerifyingKey over one library's check. Two are equal if their public keys are."""

    info: PublicKeyInfo
    check: Check = field(repr=False, compare=False)

    @property
    def algorithm(self) -> SignatureAlgorithm:
        """The one algorithm of this key."""
        return self.info.algorithm

    @property
    def spki(self) -> bytes:
        """The canonical DER SubjectPublicKeyInfo; what keys are compared by (C02)."""
        return self.info.spki

    @property
    def keyid(self) -> str:
        """The hexadecimal SHA-256 of `spki`. It narrows a search and proves nothing (C01)."""
        return self.info.keyid

    def accepts(self, signature: bytes, message: bytes) -> bool:
        """Whether the signature is valid; False for whatever is malformed, never an exception."""
        expected = self.algorithm.signature_bytes
        try:
            if expected is not None and len(signature) != expected:
                return False
            return self.check(signature, message) is True
        except Exception:  # whatever a library stumbles over is not a valid signature
            return False


@dataclass(frozen=True, slots=True)
class CheckedSigningKey:
    """A SigningKey that hands out no signature before its own public key has accepted it.

    That catches a fault in the device or library (which for SLH-DSA would let others forge) and a
    private key that does not belong to its public half.
    """

    public_key: VerifyingKey
    make: Sign = field(repr=False, compare=False)

    def sign(self, message: bytes) -> bytes:
        """The signature of a message (pure mode, empty context).

        Raises:
            KeyUnusable: if what is behind it will not sign, or signs wrongly.
        """
        name = f"the {self.public_key.algorithm} key {self.public_key.keyid:.16}"
        try:
            signature = self.make(message)
        except WeightlockError:
            raise
        except Exception as error:
            raise KeyUnusable(f"{name} could not sign: {type(error).__name__}") from error
        if not self.public_key.accepts(signature, message):
            raise KeyUnusable(
                f"{name} made a signature that its own public key does not accept",
                hint="the key file or device is damaged, or its halves do not belong together",
            )
        return signature
