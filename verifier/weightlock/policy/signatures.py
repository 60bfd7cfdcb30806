"""Whose signatures a policy demands: authorities, rules over them, the worth of classical ones.

Each authority is one key, and the key fixes the algorithm (A11, A32). Authorities are counted by
the bytes of their keys, so the same key under two names is refused when the policy is read (C02).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from weightlock.algorithms import SignatureAlgorithm, signature_algorithm
from weightlock.errors import PolicyInvalid
from weightlock.formats.spki import PublicKeyInfo, public_key_info
from weightlock.policy import scalars
from weightlock.policy.fields import Fields
from weightlock.policy.sizes import MOST_AUTHORITIES, MOST_PATTERNS, MOST_SIGNATURE_RULES

AUTHORITY_FIELDS: Final = ("name", "algorithm", "publicKey", "notBefore", "notAfter", "models")
RULE_FIELDS: Final = ("name", "authorities", "atLeast")
CLASSICAL_FIELDS: Final = ("action", "sunset")
SIGNATURES_FIELDS: Final = ("authorities", "rules", "classical")


class ClassicalAction(StrEnum):
    """What happens to a checkpoint that only classical signatures vouch for."""

    DENY = "Deny"
    WARN = "Warn"


@dataclass(frozen=True, slots=True)
class Authority:
    """A key that a policy trusts, for a time and for some models."""

    name: str
    algorithm: SignatureAlgorithm
    spki: bytes = field(repr=False)
    keyid: str
    not_before: datetime | None = None
    not_after: datetime | None = None
    models: tuple[str, ...] = ()
    """Patterns of model names; with none, every model, named or not."""

    @classmethod
    def of_key(cls, name: str, key: PublicKeyInfo) -> "Authority":
        """A key trusted for ever and for everything."""
        return cls(name, key.algorithm, key.spki, key.keyid)

    def covers_model(self, model_name: str | None) -> bool:
        """Whether the key is trusted for a model; None is a model whose signature names none."""
        if not self.models:
            return True
        return model_name is not None and any(
            scalars.glob_matches(pattern, model_name) for pattern in self.models
        )


@dataclass(frozen=True, slots=True)
class SignatureRule:
    """At least so many of these authorities have signed."""

    name: str
    authorities: tuple[str, ...]
    at_least: int = 1


@dataclass(frozen=True, slots=True)
class Classical:
    """What classical signatures alone are worth, and until when."""

    action: ClassicalAction = ClassicalAction.DENY
    sunset: datetime | None = None

    def tolerates(self, now: datetime) -> bool:
        """Whether classical signatures alone still admit, with a warning."""
        if self.action is not ClassicalAction.WARN or self.sunset is None:
            return False
        return now < self.sunset


@dataclass(frozen=True, slots=True)
class Signatures:
    """Every rule must hold. Neither authorities nor rules are ever empty (A31)."""

    authorities: tuple[Authority, ...]
    rules: tuple[SignatureRule, ...]
    classical: Classical = Classical()

    @classmethod
    def of_keys(
        cls, keys: Sequence[PublicKeyInfo], at_least: int = 1, names: Sequence[str] = ()
    ) -> "Signatures":
        """What plain keys on a command line demand: at least so many distinct ones of them.

        Raises:
            PolicyInvalid: for no key, the same key twice, or a number that they cannot reach.
        """
        if len({key.spki for key in keys}) != len(keys):
            raise PolicyInvalid("the same public key is given twice", hint="Name each key once.")
        if not 1 <= at_least <= len(keys):
            raise PolicyInvalid(
                f"{len(keys)} public keys are given and {at_least} signatures demanded",
                hint="Give at least one key, and demand at least 1 and at most that many.",
            )
        called = names or [f"key-{number}" for number in range(1, len(keys) + 1)]
        authorities = tuple(
            Authority.of_key(name, key) for name, key in zip(called, keys, strict=True)
        )
        return cls(authorities, (SignatureRule("keys", tuple(called), at_least),))

    @classmethod
    def from_fields(cls, fields: Fields, *, enforcing: bool) -> "Signatures":
        """Read `spec.signatures`; an enforcing policy needs a post-quantum key in every rule."""
        authorities = _authorities(fields)
        rules = _rules(fields, authorities, enforcing=enforcing)
        return cls(authorities, rules, _classical(fields.section("classical", CLASSICAL_FIELDS)))

    def members(self, rule: SignatureRule) -> tuple[Authority, ...]:
        """The authorities that a rule names."""
        return tuple(each for each in self.authorities if each.name in rule.authorities)


def _authorities(fields: Fields) -> tuple[Authority, ...]:
    found: list[Authority] = []
    for section in fields.sections("authorities", AUTHORITY_FIELDS, MOST_AUTHORITIES):
        authority = _authority(section)
        for other in found:
            if other.name == authority.name:
                raise section.wrong("name", f"found {other.name} a second time")
            if other.spki == authority.spki:
                what = f"found the key of {other.name} again; one key counts once"
                raise section.wrong("publicKey", what, "Remove one of the two authorities.")
        found.append(authority)
    if not found:
        raise fields.wrong(
            "authorities",
            "found [], expected at least one {name, algorithm, publicKey}",
            "Make a key pair with: weightlock keygen --algorithm ML-DSA-65",
        )
    return tuple(found)


def _authority(fields: Fields) -> Authority:
    name = fields.text("name", scalars.name)
    algorithm = fields.text("algorithm", signature_algorithm)
    key = fields.text("publicKey", public_key_info)
    if key.algorithm != algorithm:
        raise fields.wrong(
            "algorithm", f"found {algorithm}, but the public key is of {key.algorithm}"
        )
    not_before = fields.optional_text("notBefore", scalars.instant)
    not_after = fields.optional_text("notAfter", scalars.instant)
    if not_before and not_after and not_before >= not_after:
        raise fields.wrong("notAfter", "found an instant that is not after notBefore")
    return Authority(name, algorithm, key.spki, key.keyid, not_before, not_after, _models(fields))


def _models(fields: Fields) -> tuple[str, ...]:
    # An empty list reads like "no model" and would mean "every model"; leaving it out is clear.
    if not fields.has("models"):
        return ()
    return fields.some_texts("models", scalars.glob, MOST_PATTERNS, such_as='"llama-*"')


def _rules(
    fields: Fields, authorities: tuple[Authority, ...], *, enforcing: bool
) -> tuple[SignatureRule, ...]:
    known = {authority.name: authority for authority in authorities}
    found: list[SignatureRule] = []
    for section in fields.sections("rules", RULE_FIELDS, MOST_SIGNATURE_RULES):
        rule = _rule(section, tuple(known))
        if any(other.name == rule.name for other in found):
            raise section.wrong("name", f"found {rule.name} a second time")
        if enforcing and not any(
            known[name].algorithm.is_post_quantum for name in rule.authorities
        ):
            raise section.wrong(
                "authorities",
                "found only classical keys, expected at least one ML-DSA or SLH-DSA authority"
                " in every rule of an enforcing policy",
                "Add a post-quantum authority, or use enforcement: Warn until there is one.",
            )
        found.append(rule)
    if not found:
        example = f"{{name: release, authorities: [{authorities[0].name}], atLeast: 1}}"
        raise fields.wrong("rules", f"found [], expected at least one; for example {example}")
    return tuple(found)


def _rule(fields: Fields, known: tuple[str, ...]) -> SignatureRule:
    name = fields.text("name", scalars.name)
    names = fields.texts("authorities", str, MOST_AUTHORITIES)
    one_of = f"name one of: {', '.join(known)}"
    if not names:
        raise fields.wrong("authorities", f"found [], expected at least one; {one_of}")
    for index, authority in enumerate(names):
        if authority not in known:
            found = scalars.shown(authority)
            raise fields.wrong(f"authorities[{index}]", f"found the unknown {found}; {one_of}")
    return SignatureRule(name, names, fields.integer_or("atLeast", 1, len(names), 1))


def _classical(fields: Fields) -> Classical:
    action = fields.choice_or("action", ClassicalAction, ClassicalAction.DENY)
    sunset = fields.optional_text("sunset", scalars.instant)
    if action is ClassicalAction.WARN and sunset is None:
        raise fields.wrong(
            "sunset",
            "missing, expected with action: Warn the instant from which classical signatures deny",
        )
    return Classical(action, sunset)
