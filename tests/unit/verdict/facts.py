"""Evidence as a verifier gathers it: every trusted key is tried, key ids are only hints (C01)."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.unit.policy.builders import EC, PQ

from weightlock.algorithms import SignatureAlgorithm
from weightlock.digests import Digest, HashAlgorithm
from weightlock.formats.spki import PublicKeyInfo
from weightlock.verdict.evidence import Evidence, Finding, ModelIdentity, SignatureFact, Signer

MODEL = ModelIdentity("llama-70b", 7)
ROOT = Digest(HashAlgorithm.SHA256, b"\xab" * 32)


@dataclass(frozen=True)
class Entry:
    """A signature in an envelope: who made it, what it claims, whether it was tampered with."""

    by: PublicKeyInfo | None
    claims: str
    algorithm: SignatureAlgorithm | None
    corrupted: bool = False


def by(key: PublicKeyInfo, *, claims: PublicKeyInfo | None = None) -> Entry:
    return Entry(key, (claims or key).keyid, (claims or key).algorithm)


def corrupted(key: PublicKeyInfo) -> Entry:
    return Entry(key, key.keyid, key.algorithm, corrupted=True)


UNKNOWN_ALGORITHM = Entry(None, "77" * 32, None)


def fact(entry: Entry, trusted: Sequence[PublicKeyInfo]) -> SignatureFact:
    if entry.by in trusted and not entry.corrupted:
        assert entry.by is not None
        return SignatureFact(entry.by.keyid, entry.by.algorithm, valid=True, trusted=True)
    for key in trusted:
        if key.keyid == entry.claims:
            return SignatureFact(key.keyid, key.algorithm, valid=False, trusted=True)
    return SignatureFact(entry.claims, entry.algorithm, valid=None, trusted=False)


def gathered(
    entries: Sequence[Entry], signers: Sequence[PublicKeyInfo], trusted: Sequence[PublicKeyInfo]
) -> Evidence:
    """What trying the trusted keys shows; a payload counts only under a valid signature."""
    facts = tuple(fact(entry, trusted) for entry in entries)
    if not any(each.valid for each in facts):
        return Evidence(facts)
    listed = tuple(Signer(key.algorithm, key.keyid) for key in signers)
    return Evidence(facts, listed, MODEL, ROOT, content_compared=True)


def valid(*keys: PublicKeyInfo) -> tuple[SignatureFact, ...]:
    return tuple(SignatureFact(key.keyid, key.algorithm, valid=True, trusted=True) for key in keys)


def evidence(*findings: Finding, keys: Sequence[PublicKeyInfo] = (PQ,)) -> Evidence:
    """A good checkpoint, but for what is found."""
    listed = tuple(Signer(key.algorithm, key.keyid) for key in keys)
    return Evidence(valid(*keys), listed, MODEL, ROOT, findings, content_compared=True)


GOOD = evidence()
HYBRID = evidence(keys=(PQ, EC))
