"""What a verification found, before anybody judged it. Plain values, no opinion."""

from dataclasses import dataclass

from weightlock.algorithms import SignatureAlgorithm
from weightlock.reasons import Reason


@dataclass(frozen=True, slots=True)
class SignatureFact:
    """One signature that a document carries, and what trying the trusted keys showed.

    `valid` is None when no trusted key matched, so nothing could be checked. `algorithm` is that of
    the trusted key if there was one, else what the (unauthenticated) document claims, else None.
    """

    keyid: str
    algorithm: SignatureAlgorithm | None
    valid: bool | None
    trusted: bool


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, with the file it is about ("" for none) and a sentence."""

    reason: Reason
    name: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """What the signed payload says of itself."""

    name: str
    version: int
