"""From facts to one verdict. The only code that says Verified; CLI, operator and webhook call it.

The same function judges fresh evidence and the recorded signatures of a sealed verdict
(weightlock.verdict.records), so a key that leaves a policy stops counting everywhere at once (A23).

The checks run in the order of CHECKS and the first violation is the answer:

 1. there is something to judge by: no requirement is not "all satisfied" (A31)
 2. no signature under a trusted key is wrong
 3. nothing that was compared is bad: whatever else is unknown, bad content is Failed
 4. there is a signature, or a reason why none could be read
 5. everybody whom the signed payload lists has signed, and nobody else (A11)
 6. every signature under a trusted key could be checked
 7. neither root nor hash algorithm is refused
 8. it is the model, and at least the version, that was asked for (A22)
 9. every rule of every policy holds
10. content was compared, to its end (A09, A31)

What passes them all is Verified if post-quantum signatures make it so, and else ClassicalOnly.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from weightlock.policy.requirements import SignatureRequirements
from weightlock.reasons import Reason
from weightlock.verdict import checks
from weightlock.verdict.cases import ANYTHING, Case, Expected
from weightlock.verdict.counting import Count, Signed
from weightlock.verdict.evidence import Evidence, SignatureFact
from weightlock.verdict.judgement import Judgement, Violation

__all__ = ["ANYTHING", "CHECKS", "Check", "Expected", "judge"]

Check = Callable[[Case], Violation | None]


CHECKS: Final[tuple[Check, ...]] = (
    checks.requirements_missing,
    checks.signature_invalid,
    checks.content_bad,
    checks.signature_missing,
    checks.signer_missing,
    checks.signature_unlisted,
    checks.signature_unchecked,
    checks.digest_denied,
    checks.algorithm_forbidden,
    checks.identity_mismatch,
    checks.rolled_back,
    checks.rule_violated,
    checks.content_unknown,
)


def judge(
    evidence: Evidence,
    requirements: Sequence[SignatureRequirements],
    now: datetime,
    expected: Expected = ANYTHING,
) -> Judgement:
    """The verdict on a checkpoint.

    Laws: more requirements never allow more, and their order never matters.
    """
    ordered = tuple(sorted(requirements, key=lambda requirement: requirement.origin))
    model_name = evidence.model.name if evidence.model else None
    signed = Signed.of(_vouching(evidence), model_name, ordered, now)
    counts = tuple(Count.of(requirement, signed) for requirement in ordered)
    case = Case(evidence, ordered, expected, counts, now)
    for check in CHECKS:
        violation = check(case)
        if violation is not None:
            return Judgement.of_violation(violation)
    return _passed(case)


def _vouching(evidence: Evidence) -> tuple[SignatureFact, ...]:
    """The signatures that may count: a post-quantum one over no root vouches for no content."""
    if evidence.digest is not None:
        return evidence.signatures
    return tuple(
        fact
        for fact in evidence.signatures
        if fact.algorithm is not None and not fact.algorithm.is_post_quantum
    )


def _passed(case: Case) -> Judgement:
    tallies = (tally for count in case.counts for tally in count.tallies)
    authorities = tuple(dict.fromkeys(each.name for tally in tallies for each in tally.counted))
    classical = [count.requirement for count in case.counts if not count.is_quantum_safe]
    if classical:
        return Judgement(
            Reason.CLASSICAL_ONLY,
            f"only classical signatures satisfy {classical[0].origin}",
            "Counter-sign it: weightlock notarize DIR --upstream-key PUBLISHER.pub"
            " --private-key YOUR.key",
            classical[0].origin,
            authorities,
            classical_tolerated=all(
                each.signatures.classical.tolerates(case.now) for each in classical
            ),
        )
    return Judgement(
        Reason.VERIFIED,
        f"content and signatures are as signed by {', '.join(authorities)}",
        authorities=authorities,
    )
