"""What one policy, or the keys of a command line, demand of a checkpoint's signatures."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from weightlock.digests import HashAlgorithm
from weightlock.formats.spki import PublicKeyInfo
from weightlock.policy.bounds import Denied, VersionFloor
from weightlock.policy.signatures import Signatures

if TYPE_CHECKING:
    from weightlock.policy.objects import Policy


@dataclass(frozen=True, slots=True)
class SignatureRequirements:
    """The part of a policy that judges what was signed; `origin` names it in messages."""

    origin: str
    signatures: Signatures
    allowed_digests: frozenset[HashAlgorithm] = frozenset(HashAlgorithm)
    denied: Denied = field(default_factory=Denied)
    version_floors: tuple[VersionFloor, ...] = ()

    @classmethod
    def of_policy(cls, policy: "Policy") -> "SignatureRequirements":
        """What a policy demands."""
        spec = policy.spec
        return cls(
            policy.origin,
            spec.signatures,
            spec.allowed_digests,
            spec.denied,
            spec.version_floors,
        )

    @classmethod
    def of_keys(
        cls, keys: Sequence[PublicKeyInfo], at_least: int = 1, names: Sequence[str] = ()
    ) -> "SignatureRequirements":
        """What plain keys demand: valid signatures by at least so many distinct ones of them.

        `names` are how messages call them.

        Raises:
            PolicyInvalid: for no key, the same key twice, or a number that they cannot reach.
        """
        return cls("the given keys", Signatures.of_keys(keys, at_least, names))


def trusted_keys(requirements: Sequence[SignatureRequirements]) -> tuple[PublicKeyInfo, ...]:
    """Every key that any of them trusts, once each: the keys that signatures are tried with.

    Keys that have expired, are denied or are not for this model are among them: that their
    signatures do not count is for the judge to say, with its reason.
    """
    by_spki = {
        authority.spki: PublicKeyInfo(authority.algorithm, authority.spki)
        for requirement in requirements
        for authority in requirement.signatures.authorities
    }
    return tuple(by_spki.values())
