"""The checks of a verdict, in the order that weightlock.verdict.judge explains and runs.

Each is named for what is wrong, takes the whole case, and relies on no other having run.
"""

from collections.abc import Iterable

from weightlock.digests import HashAlgorithm
from weightlock.policy.bounds import version_floor
from weightlock.policy.scalars import printable, shown
from weightlock.reasons import Reason, Verdict, verdict_of
from weightlock.verdict.cases import Case
from weightlock.verdict.counting import rule_violation
from weightlock.verdict.evidence import Finding, SignatureFact
from weightlock.verdict.judgement import Violation


def requirements_missing(case: Case) -> Violation | None:
    """(1) No policy and no key: nothing could be violated, so nothing is proved."""
    if case.requirements and all(each.signatures.rules for each in case.requirements):
        return None
    return Violation(
        Reason.POLICY_INVALID,
        "found no rule to judge by, expected at least one policy or public key",
        "Give --public-key or --policy, or apply a policy that governs this namespace.",
    )


def signature_invalid(case: Case) -> Violation | None:
    """(2) A signature that names a trusted key and is not by it."""
    for fact in case.evidence.signatures:
        if fact.valid is False:
            return Violation(
                Reason.SIGNATURE_INVALID,
                f"the signature of key {_keyid(fact)} is not valid",
                "The signature or what it signs was changed; get both again from the signer.",
            )
    return None


def content_bad(case: Case) -> Violation | None:
    """(3) A finding that is wrong whatever else is unknown."""
    return _first(finding for finding in case.evidence.findings if _is_bad(finding))


def signature_missing(case: Case) -> Violation | None:
    """(4) No signature at all; if reading failed, that is why, and it is no proof of absence."""
    if case.evidence.signatures:
        return None
    return _first(case.evidence.findings) or Violation(
        Reason.UNSIGNED,
        "found no signature, expected at least one",
        "Sign the checkpoint: weightlock sign DIR --private-key release.key",
    )


def signer_missing(case: Case) -> Violation | None:
    """(5a) A signer whom the signed payload lists has no signature: hybrid stripping (A11)."""
    for signer in case.evidence.signers:
        present = any(
            fact.keyid == signer.keyid and fact.algorithm in (None, signer.algorithm)
            for fact in case.evidence.signatures
        )
        if not present:
            return Violation(
                Reason.SIGNER_MISSING,
                f"the signed list of signers names {signer.algorithm} key {signer.keyid:.16},"
                " found no signature by it",
                "A signature was removed; get the signature file again from the signer.",
            )
    return None


def signature_unlisted(case: Case) -> Violation | None:
    """(5b) More signatures than signers: one that is not listed, or the same one twice."""
    listed = {signer.keyid for signer in case.evidence.signers}
    if not listed or len(case.evidence.signatures) == len(listed):
        return None
    return Violation(
        Reason.SIGNATURE_UNLISTED,
        f"found {len(case.evidence.signatures)} signatures, expected {len(listed)}:"
        " one of each signer that the signed list names",
        "A signature was added; get the signature file again from the signer.",
    )


def signature_unchecked(case: Case) -> Violation | None:
    """(6) A signature under a trusted key that nobody could check."""
    trusted = {
        authority.keyid
        for requirement in case.requirements
        for authority in requirement.signatures.authorities
    }
    for fact in case.evidence.signatures:
        checked = fact.trusted and fact.valid is not None and fact.algorithm is not None
        if not checked and (fact.trusted or fact.keyid in trusted):
            return Violation(
                Reason.INTERNAL_ERROR,
                f"the signature of key {_keyid(fact)} could not be checked",
                "Check that the library for its algorithm is installed.",
            )
    return None


def digest_denied(case: Case) -> Violation | None:
    """(7a) A root that a policy names as bad."""
    digest = case.evidence.digest
    for requirement in case.requirements:
        denied = requirement.denied
        if denied.digests and (digest is None or denied.has_digest(digest)):
            return Violation(
                Reason.DIGEST_DENIED,
                f"{requirement.origin} denies the digest {digest or '(none was signed)'}",
                "Use another version of the model.",
                requirement.origin,
            )
    return None


def algorithm_forbidden(case: Case) -> Violation | None:
    """(7b) A tree over a hash that a policy does not allow."""
    digest = case.evidence.digest
    for requirement in case.requirements:
        allowed = requirement.allowed_digests
        # A signature over no tree (an OMS bundle) passes only where any tree would.
        fine = digest.algorithm in allowed if digest else allowed == frozenset(HashAlgorithm)
        if not fine:
            found = digest.algorithm if digest else "no tree"
            return Violation(
                Reason.ALGORITHM_FORBIDDEN,
                f"{requirement.origin} allows {', '.join(sorted(allowed))}, found {found}",
                "Sign again with: weightlock sign DIR --hash " + min(allowed, default="sha256"),
                requirement.origin,
            )
    return None


def identity_mismatch(case: Case) -> Violation | None:
    """(8a) Another model than the one that was asked for, validly signed (A22)."""
    model, digest, expected = case.evidence.model, case.evidence.digest, case.expected
    if expected.model_name is not None and (model is None or model.name != expected.model_name):
        found = shown(model.name) if model else "no signed name"
        return Violation(
            Reason.IDENTITY_MISMATCH,
            f"found {found}, expected the model {shown(expected.model_name)}",
            "Put the right model at this path, or correct modelName.",
        )
    if expected.root is not None and (digest is None or not digest.matches(expected.root)):
        return Violation(
            Reason.IDENTITY_MISMATCH,
            f"found {digest or 'no signed root'}, expected {expected.root}",
            "Put the right model at this path, or correct the expected root.",
        )
    return None


def rolled_back(case: Case) -> Violation | None:
    """(8b) An older version than one that was seen, or than a policy wants (A22)."""
    model = case.evidence.model
    floors = [floor for each in case.requirements for floor in each.version_floors]
    if model is None:
        wanted = max([case.expected.version_floor, *(floor.version for floor in floors)])
        found = "no signed version"
    else:
        wanted = max(case.expected.version_floor, version_floor(floors, model.name))
        found = f"version {model.version}"
    if wanted <= 0 or (model is not None and model.version >= wanted):
        return None
    return Violation(
        Reason.ROLLBACK,
        f"found {found}, expected at least version {wanted}",
        "Use the newer version, or sign this one again under a higher version number.",
    )


def rule_violated(case: Case) -> Violation | None:
    """(9) A rule that does not hold, of any policy; the first in their order."""
    violations = (
        rule_violation(requirement, rule, case.signed) for requirement, rule in case.rules
    )
    return next((violation for violation in violations if violation is not None), None)


def content_unknown(case: Case) -> Violation | None:
    """(10) Something could not be read, or nothing was compared."""
    found = _first(case.evidence.findings)
    if found is not None or case.evidence.content_compared:
        return found
    return Violation(Reason.INTERNAL_ERROR, "the content was not compared with what is signed")


def _keyid(fact: SignatureFact) -> str:
    return shown(fact.keyid[:16])


def _is_bad(finding: Finding) -> bool:
    return verdict_of(finding.reason) is Verdict.FAILED


def _first(findings: Iterable[Finding]) -> Violation | None:
    found = tuple(findings)
    if not found:
        return None
    first = found[0]
    # A finding is something wrong: one that claims a good reason must not become a good verdict.
    trouble = verdict_of(first.reason) in (Verdict.FAILED, Verdict.ERROR)
    where = f"{shown(first.name)}: " if first.name else ""
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return Violation(
        first.reason if trouble else Reason.INTERNAL_ERROR,
        f"{where}{printable(first.message)}{more}",
        printable(first.hint),
    )
