"""Tries the signatures of an envelope with the trusted keys and says what it saw.

An identifier in the envelope only decides which key is tried first: a wrong one causes no skip, a
right one no acceptance (C01). Keys are told apart by their SPKI, so one key counts once (C02).
"""

from collections.abc import Sequence

from weightlock.formats.envelope import Envelope, EnvelopeSignature
from weightlock.signatures.schemes import VerifyingKey
from weightlock.verdict.evidence import SignatureFact


def signature_facts(envelope: Envelope, trusted: Sequence[VerifyingKey]) -> list[SignatureFact]:
    """One fact for each signature of the envelope, in its order."""
    message = envelope.signed_bytes
    return [_fact(entry, message, trusted) for entry in envelope.signatures]


def _fact(
    entry: EnvelopeSignature, message: bytes, trusted: Sequence[VerifyingKey]
) -> SignatureFact:
    named_first = sorted(trusted, key=lambda key: key.keyid != entry.keyid)
    for key in named_first:
        if key.accepts(entry.signature, message):
            return SignatureFact(key.keyid, key.algorithm, valid=True, trusted=True)
    named = next((key for key in named_first if key.keyid == entry.keyid), None)
    if named is not None:
        return SignatureFact(named.keyid, named.algorithm, valid=False, trusted=True)
    return SignatureFact(entry.keyid, None, valid=None, trusted=False)
