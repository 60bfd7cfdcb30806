"""What a verification found, before anybody judged it. Plain values, no opinion."""

from dataclasses import dataclass, field

from weightlock.algorithms import SignatureAlgorithm
from weightlock.digests import Digest
from weightlock.formats.manifest import ModelIdentity, Signer
from weightlock.reasons import Reason

__all__ = ["Evidence", "Finding", "ModelIdentity", "SignatureFact", "Signer"]


@dataclass(frozen=True, slots=True)
class SignatureFact:
    """One signature that a document carries, and what trying the trusted keys showed.

    When a trusted key matched, `keyid` and `algorithm` are those of that key and `trusted` is true.
    Otherwise they are what the document claims (unauthenticated, may be empty or None), `valid` is
    None because nothing could be checked. `valid` False with `trusted` true means that the document
    names a trusted key and its signature is wrong; `valid` None with `trusted` true that it names
    one and nobody here can check its algorithm.
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
class Evidence:
    """Everything that was gathered about one checkpoint.

    `signers`, `model` and `digest` come from a payload under at least one valid trusted signature;
    they are empty or None if there was none. `findings` are about content (and about documents that
    could not be read); an empty tuple says that content was compared and is as signed, which only
    `content_compared` makes true: no comparison is never a pass (A31).
    """

    signatures: tuple[SignatureFact, ...] = ()
    signers: tuple[Signer, ...] = ()
    model: ModelIdentity | None = None
    digest: Digest | None = None
    findings: tuple[Finding, ...] = field(default=())
    content_compared: bool = False
