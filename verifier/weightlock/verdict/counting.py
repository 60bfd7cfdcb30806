"""Whose signatures count towards a rule, and why the others do not.

A signature counts if it is valid under the very key of an authority, and that key is not denied, is
within its time, and is trusted for this model. Authorities are keys, so each counts once (C02).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from weightlock.policy.requirements import SignatureRequirements
from weightlock.policy.signatures import Authority, SignatureRule
from weightlock.reasons import Reason
from weightlock.verdict.evidence import SignatureFact
from weightlock.verdict.judgement import Violation

_HINTS: Final = {
    Reason.KEY_REVOKED: "Sign again with a key that is not denied.",
    Reason.KEY_EXPIRED: "Sign again with a current key, or extend notAfter if that is right.",
    Reason.KEY_NOT_YET_VALID: "Wait until notBefore, or sign with a key that is valid now.",
    Reason.SIGNER_UNTRUSTED: "Sign with one of these keys, or add the signer's key to the policy.",
    Reason.SIGNER_MISSING: "Have the others sign too: weightlock sign takes several --private-key.",
}
"""In this order of weight: what is said first of several reasons."""

_WORDS: Final = {
    Reason.KEY_REVOKED: "its key is denied",
    Reason.KEY_EXPIRED: "its key has expired",
    Reason.KEY_NOT_YET_VALID: "its key is not valid yet",
    Reason.SIGNER_UNTRUSTED: "it is not trusted for this model",
}


@dataclass(frozen=True, slots=True)
class Signed:
    """What rules are about: who signed which model, seen at one instant."""

    keys: frozenset[tuple[str, str]]
    """Key id and algorithm of every valid signature under a key that was tried."""

    model_name: str | None
    denied_keyids: frozenset[str]
    now: datetime

    @classmethod
    def of(
        cls,
        signatures: Iterable[SignatureFact],
        model_name: str | None,
        requirements: Iterable[SignatureRequirements],
        now: datetime,
    ) -> "Signed":
        """A key that one policy denies counts for none."""
        keys = frozenset(
            (fact.keyid, fact.algorithm.name)
            for fact in signatures
            if fact.trusted and fact.valid is True and fact.algorithm is not None
        )
        denied = frozenset().union(*(each.denied.keyids for each in requirements))
        return cls(keys, model_name, denied, now)

    def by(self, authority: Authority) -> bool:
        """Whether this authority signed."""
        return (authority.keyid, authority.algorithm.name) in self.keys


@dataclass(frozen=True, slots=True)
class Tally:
    """One rule: its authorities, whose signatures count, and why those of others do not."""

    rule: SignatureRule
    members: tuple[Authority, ...]
    counted: tuple[Authority, ...]
    discounted: tuple[tuple[Authority, Reason], ...]

    @property
    def holds(self) -> bool:
        """Whether enough authorities signed."""
        return len(self.counted) >= self.rule.at_least

    @property
    def is_post_quantum(self) -> bool:
        """Whether a post-quantum signature is among those that count."""
        return any(authority.algorithm.is_post_quantum for authority in self.counted)

    @property
    def could_be_post_quantum(self) -> bool:
        """Whether any of its authorities has a post-quantum key."""
        return any(authority.algorithm.is_post_quantum for authority in self.members)


@dataclass(frozen=True, slots=True)
class Count:
    """One requirement with the tallies of its rules."""

    requirement: SignatureRequirements
    tallies: tuple[Tally, ...]

    @classmethod
    def of(cls, requirement: SignatureRequirements, signed: Signed) -> "Count":
        """Count what was signed."""
        signatures = requirement.signatures
        return cls(
            requirement,
            tuple(_tally(rule, signatures.members(rule), signed) for rule in signatures.rules),
        )

    @property
    def is_quantum_safe(self) -> bool:
        """Whether a post-quantum signature counts in some rule, and in each that could have one.

        A rule over classical keys alone asks for a classical signature on top of that, and takes
        nothing away.
        """
        able = [tally for tally in self.tallies if tally.could_be_post_quantum]
        return bool(able) and all(tally.is_post_quantum for tally in able)

    @property
    def violation(self) -> Violation | None:
        """What the first rule that does not hold has against it."""
        for tally in self.tallies:
            if not tally.holds:
                return _violation(self.requirement.origin, tally)
        return None


def why_not(authority: Authority, signed: Signed) -> Reason | None:
    """Why an authority that signed does not count; None if it does."""
    if authority.keyid in signed.denied_keyids:
        return Reason.KEY_REVOKED
    if authority.not_after is not None and signed.now >= authority.not_after:
        return Reason.KEY_EXPIRED
    if authority.not_before is not None and signed.now < authority.not_before:
        return Reason.KEY_NOT_YET_VALID
    return None if authority.covers_model(signed.model_name) else Reason.SIGNER_UNTRUSTED


def _tally(rule: SignatureRule, members: tuple[Authority, ...], signed: Signed) -> Tally:
    reasons = [(each, why_not(each, signed)) for each in members if signed.by(each)]
    return Tally(
        rule,
        members,
        tuple(authority for authority, reason in reasons if reason is None),
        tuple((authority, reason) for authority, reason in reasons if reason is not None),
    )


def _violation(origin: str, tally: Tally) -> Violation:
    rule, found = tally.rule, len(tally.counted)
    reasons = {reason for _, reason in tally.discounted}
    usual = Reason.SIGNER_MISSING if found else Reason.SIGNER_UNTRUSTED
    reason = next((each for each in _HINTS if each in reasons), usual)
    explained = "".join(f"; {each.name} signed: {_WORDS[why]}" for each, why in tally.discounted)
    return Violation(
        reason,
        f"rule {rule.name} of {origin}: signatures that count: found {found},"
        f" expected {rule.at_least} by {', '.join(rule.authorities)}{explained}",
        _HINTS[reason],
        origin,
    )
