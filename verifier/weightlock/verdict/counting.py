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


def why_not(authority: Authority, signed: Signed) -> Reason | None:
    """Why an authority that signed does not count; None if it does."""
    if authority.keyid in signed.denied_keyids:
        return Reason.KEY_REVOKED
    if authority.not_after is not None and signed.now >= authority.not_after:
        return Reason.KEY_EXPIRED
    if authority.not_before is not None and signed.now < authority.not_before:
        return Reason.KEY_NOT_YET_VALID
    return None if authority.covers_model(signed.model_name) else Reason.SIGNER_UNTRUSTED


def counted(
    requirement: SignatureRequirements, rule: SignatureRule, signed: Signed
) -> tuple[Authority, ...]:
    """The authorities of a rule whose signatures count."""
    return tuple(
        authority
        for authority in requirement.signatures.members(rule)
        if signed.by(authority) and why_not(authority, signed) is None
    )


def rule_violation(
    requirement: SignatureRequirements, rule: SignatureRule, signed: Signed
) -> Violation | None:
    """Why a rule does not hold; None if it does."""
    counting = counted(requirement, rule, signed)
    if len(counting) >= rule.at_least:
        return None
    reason = _weightiest(requirement, rule, signed)
    if reason is None:
        reason = Reason.SIGNER_MISSING if counting else Reason.SIGNER_UNTRUSTED
    return Violation(
        reason,
        f"rule {rule.name} of {requirement.origin}: found {len(counting)} signatures that count,"
        f" expected {rule.at_least} by {', '.join(rule.authorities)}"
        f"{_explanation(requirement, rule, signed)}",
        _HINTS[reason],
        requirement.origin,
    )


def is_post_quantum(
    requirement: SignatureRequirements, rule: SignatureRule, signed: Signed
) -> bool:
    """Whether a post-quantum signature is among those that make the rule hold."""
    return any(
        authority.algorithm.is_post_quantum for authority in counted(requirement, rule, signed)
    )


def _discounted(
    requirement: SignatureRequirements, rule: SignatureRule, signed: Signed
) -> tuple[tuple[Authority, Reason], ...]:
    pairs = (
        (authority, why_not(authority, signed))
        for authority in requirement.signatures.members(rule)
        if signed.by(authority)
    )
    return tuple((authority, reason) for authority, reason in pairs if reason is not None)


def _weightiest(
    requirement: SignatureRequirements, rule: SignatureRule, signed: Signed
) -> Reason | None:
    reasons = {reason for _, reason in _discounted(requirement, rule, signed)}
    return next((reason for reason in _HINTS if reason in reasons), None)


def _explanation(requirement: SignatureRequirements, rule: SignatureRule, signed: Signed) -> str:
    return "".join(
        f"; {authority.name} signed: {_WORDS[reason]}"
        for authority, reason in _discounted(requirement, rule, signed)
    )


_WORDS: Final = {
    Reason.KEY_REVOKED: "its key is denied",
    Reason.KEY_EXPIRED: "its key has expired",
    Reason.KEY_NOT_YET_VALID: "its key is not valid yet",
    Reason.SIGNER_UNTRUSTED: "it is not trusted for this model",
}
