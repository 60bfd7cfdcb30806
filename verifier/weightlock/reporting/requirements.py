"""Requirements as JSON, in the words that policies use, so that one parser reads both.

Law: requirements_of(requirements_document(r)) == r.
"""

from typing import Final

from weightlock.digests import HashAlgorithm
from weightlock.errors import Malformed
from weightlock.formats.spki import PublicKeyInfo
from weightlock.policy import bounds
from weightlock.policy.bounds import DENIED_FIELDS, DIGESTS_FIELDS, ROLLBACK_FIELDS, Denied
from weightlock.policy.fields import Fields
from weightlock.policy.requirements import SignatureRequirements
from weightlock.policy.signatures import SIGNATURES_FIELDS, Authority, Classical, Signatures
from weightlock.verdict.records import instant_text

REQUIREMENTS_FIELDS: Final = ("origin", "signatures", "digests", "denied", "rollback")
MAX_ORIGIN_CHARACTERS: Final = 1024


def requirements_document(requirements: SignatureRequirements) -> dict[str, object]:
    """The JSON of what one policy demands."""
    return {
        "origin": requirements.origin,
        "signatures": _signatures(requirements.signatures),
        "digests": {"allowed": [each.value for each in sorted(requirements.allowed_digests)]},
        "denied": {
            "digests": [str(digest) for digest in requirements.denied.digests],
            "keyids": sorted(requirements.denied.keyids),
        },
        "rollback": {
            "floors": [
                {"models": list(floor.models), "version": floor.version}
                for floor in requirements.version_floors
            ]
        },
    }


def requirements_of(value: object, path: str) -> SignatureRequirements:
    """Read what one policy demands.

    Raises:
        Malformed: naming the field that is wrong.
    """
    fields = Fields(value, path, REQUIREMENTS_FIELDS, Malformed)
    return SignatureRequirements(
        fields.text("origin", _origin),
        # Whether a policy may enforce was decided when it was accepted.
        Signatures.from_fields(fields.section("signatures", SIGNATURES_FIELDS), enforcing=False),
        _allowed(fields.section("digests", DIGESTS_FIELDS)),
        Denied.from_fields(fields.section("denied", DENIED_FIELDS)),
        bounds.version_floors(fields.section("rollback", ROLLBACK_FIELDS)),
    )


def _allowed(fields: Fields) -> frozenset[HashAlgorithm]:
    fields.raw("allowed")  # left out it would mean all, and nothing here goes without saying
    return bounds.allowed_digests(fields)


def _origin(text: str) -> str:
    if not 0 < len(text) <= MAX_ORIGIN_CHARACTERS:
        raise Malformed(f"found {len(text)} characters, expected 1 to {MAX_ORIGIN_CHARACTERS}")
    return text


def _signatures(signatures: Signatures) -> dict[str, object]:
    return {
        "authorities": [_authority(authority) for authority in signatures.authorities],
        "rules": [
            {"name": rule.name, "authorities": list(rule.authorities), "atLeast": rule.at_least}
            for rule in signatures.rules
        ],
        "classical": _classical(signatures.classical),
    }


def _authority(authority: Authority) -> dict[str, object]:
    document: dict[str, object] = {
        "name": authority.name,
        "algorithm": authority.algorithm.name,
        "publicKey": PublicKeyInfo(authority.algorithm, authority.spki).pem,
    }
    if authority.not_before is not None:
        document["notBefore"] = instant_text(authority.not_before)
    if authority.not_after is not None:
        document["notAfter"] = instant_text(authority.not_after)
    if authority.models:
        document["models"] = list(authority.models)
    return document


def _classical(classical: Classical) -> dict[str, object]:
    document: dict[str, object] = {"action": classical.action.value}
    if classical.sunset is not None:
        document["sunset"] = instant_text(classical.sunset)
    return document
