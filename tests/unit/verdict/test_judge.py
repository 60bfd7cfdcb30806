"""The checks of the judge: each alone, their order, and what passes them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.unit.policy.builders import (
    EC,
    EC_TOO,
    NOW,
    PQ,
    PQ_TOO,
    Json,
    authority,
    key,
    policy,
    rule,
    signatures,
)
from tests.unit.verdict.facts import GOOD, HYBRID, ROOT, evidence, valid

from weightlock.digests import Digest, HashAlgorithm
from weightlock.policy.requirements import SignatureRequirements
from weightlock.policy.signatures import Signatures
from weightlock.reasons import Reason, Verdict
from weightlock.verdict.counting import Signed
from weightlock.verdict.evidence import Evidence, Finding, ModelIdentity, SignatureFact
from weightlock.verdict.judge import ANYTHING, Expected, judge


def requirements(
    *authorities: Json,
    rules: list[Json] | None = None,
    classical: Json | None = None,
    name: str = "post-quantum",
    **more: object,
) -> SignatureRequirements:
    wanted = signatures(*authorities, rules=rules, classical=classical or {})
    return SignatureRequirements.of_policy(policy(name, "", signatures=wanted, **more))


RELEASE = authority("release", PQ)
LEGACY = authority("legacy", EC)
PLAIN = requirements(RELEASE)

MISMATCH = Finding(Reason.CONTENT_MISMATCH, "weights.bin", "3 of 9 segments differ", "Copy again.")
EXTRA = Finding(Reason.EXTRA_FILE, "evil.py", "not in the manifest")
UNREADABLE = Finding(Reason.UNREADABLE, "weights.bin", "Permission denied")
OFFLINE = Finding(Reason.NETWORK_REQUIRED, "model.sig", "a keyless bundle")
LYING = Finding(Reason.VERIFIED, "", "all is well")
FORGED = replace(GOOD, signatures=(SignatureFact(PQ.keyid, PQ.algorithm, False, True),))
UNCHECKED = SignatureFact(PQ.keyid, PQ.algorithm, valid=None, trusted=True)
UNTRIED = SignatureFact(PQ.keyid, PQ.algorithm, valid=None, trusted=False)


def timed(**times: str) -> SignatureRequirements:
    return requirements(authority("release", PQ, **times))


@pytest.mark.parametrize(
    ("facts", "demanded", "expected", "reason"),
    [
        pytest.param(GOOD, PLAIN, ANYTHING, "Verified", id="all is well"),
        pytest.param(FORGED, PLAIN, ANYTHING, "SignatureInvalid", id="a forged signature"),
        pytest.param(evidence(MISMATCH), PLAIN, ANYTHING, "ContentMismatch", id="bad content"),
        pytest.param(evidence(UNREADABLE), PLAIN, ANYTHING, "Unreadable", id="unreadable content"),
        pytest.param(
            evidence(UNREADABLE, MISMATCH),
            PLAIN,
            ANYTHING,
            "ContentMismatch",
            id="bad content is Failed whatever could not be read",
        ),
        pytest.param(
            evidence(UNREADABLE, keys=(EC,)),
            requirements(LEGACY, enforcement="Audit"),
            ANYTHING,
            "Unreadable",
            id="unreadable content is never ClassicalOnly",
        ),
        pytest.param(
            evidence(MISMATCH, keys=(EC,)),
            requirements(LEGACY, enforcement="Audit"),
            ANYTHING,
            "ContentMismatch",
            id="bad content is never ClassicalOnly",
        ),
        pytest.param(
            evidence(UNREADABLE, keys=(PQ_TOO,)),
            PLAIN,
            ANYTHING,
            "SignerUntrusted",
            id="an untrusted signer stays one, readable or not",
        ),
        pytest.param(evidence(LYING), PLAIN, ANYTHING, "InternalError", id="a finding is no pass"),
        pytest.param(
            replace(GOOD, content_compared=False),
            PLAIN,
            ANYTHING,
            "InternalError",
            id="content that nobody compared",
        ),
        pytest.param(Evidence(), PLAIN, ANYTHING, "Unsigned", id="nothing at all"),
        pytest.param(
            Evidence(content_compared=True), PLAIN, ANYTHING, "Unsigned", id="content, unsigned"
        ),
        pytest.param(
            Evidence(findings=(OFFLINE,)),
            PLAIN,
            ANYTHING,
            "NetworkRequired",
            id="a signature that could not be read is not a missing one",
        ),
        pytest.param(
            Evidence(findings=(Finding(Reason.MALFORMED, "model.pqc.sig", "not JSON"),)),
            PLAIN,
            ANYTHING,
            "Malformed",
            id="a signature file that is none",
        ),
        pytest.param(
            replace(GOOD, signatures=(UNCHECKED,)),
            PLAIN,
            ANYTHING,
            "InternalError",
            id="a trusted key whose signature nobody could check",
        ),
        pytest.param(
            replace(GOOD, signatures=(UNTRIED,)),
            PLAIN,
            ANYTHING,
            "InternalError",
            id="a key that became trusted after the keys were tried",
        ),
        pytest.param(
            replace(GOOD, signatures=(SignatureFact(PQ.keyid, PQ.algorithm, True, False),)),
            PLAIN,
            ANYTHING,
            "InternalError",
            id="a signature that is valid under a key that nobody trusted",
        ),
        pytest.param(
            replace(
                evidence(keys=(PQ, EC)),
                signatures=(
                    *valid(PQ),
                    SignatureFact(EC.keyid, EC.algorithm, valid=None, trusted=True),
                ),
            ),
            PLAIN,
            ANYTHING,
            "InternalError",
            id="a key that was trusted when nobody could check its signature",
        ),
        pytest.param(
            replace(GOOD, signers=(), signatures=(SignatureFact(PQ.keyid, None, True, True),)),
            PLAIN,
            ANYTHING,
            "InternalError",
            id="a valid signature of no algorithm",
        ),
        pytest.param(
            replace(
                GOOD, signatures=(SignatureFact(PQ.keyid, EC.algorithm, True, True),), signers=()
            ),
            PLAIN,
            ANYTHING,
            "SignerUntrusted",
            id="the right key id under another algorithm",
        ),
        pytest.param(
            replace(GOOD, digest=None), PLAIN, ANYTHING, "SignerUntrusted", id="signed, and no root"
        ),
        pytest.param(
            GOOD, timed(notAfter="2026-11-21T12:00:00Z"), ANYTHING, "KeyExpired", id="just expired"
        ),
        pytest.param(
            GOOD, timed(notAfter="2026-11-21T12:00:01Z"), ANYTHING, "Verified", id="nearly expired"
        ),
        pytest.param(
            GOOD, timed(notBefore="2026-11-21T12:00:01Z"), ANYTHING, "KeyNotYetValid", id="early"
        ),
        pytest.param(
            GOOD, timed(notBefore="2026-11-21T12:00:00Z"), ANYTHING, "Verified", id="just valid"
        ),
        pytest.param(
            GOOD,
            requirements(RELEASE, denied={"keyids": [PQ.keyid]}),
            ANYTHING,
            "KeyRevoked",
            id="a denied key",
        ),
        pytest.param(
            HYBRID,
            requirements(RELEASE, LEGACY, denied={"keyids": [EC.keyid]}),
            ANYTHING,
            "Verified",
            id="a denied key beside one that is enough",
        ),
        pytest.param(
            HYBRID,
            requirements(
                authority("release", PQ, notAfter="2026-01-01T00:00:00Z"),
                LEGACY,
                rules=[rule("both", "release", "legacy", atLeast=2)],
                denied={"keyids": [EC.keyid]},
            ),
            ANYTHING,
            "KeyRevoked",
            id="of several reasons the weightiest is named",
        ),
        pytest.param(
            GOOD,
            requirements(authority("release", PQ, models=["gpt-*"])),
            ANYTHING,
            "SignerUntrusted",
            id="a key for other models",
        ),
        pytest.param(
            GOOD,
            requirements(authority("release", PQ, models=["gpt-*", "llama-*"])),
            ANYTHING,
            "Verified",
            id="a key for these models",
        ),
        pytest.param(
            replace(GOOD, model=None),
            requirements(authority("release", PQ, models=["*"])),
            ANYTHING,
            "SignerUntrusted",
            id="a key for named models, and no name",
        ),
        pytest.param(
            GOOD,
            requirements(RELEASE, denied={"digests": [str(ROOT)]}),
            ANYTHING,
            "DigestDenied",
            id="a denied root",
        ),
        pytest.param(
            GOOD,
            requirements(RELEASE, denied={"digests": ["sha3-256:" + ROOT.hex]}),
            ANYTHING,
            "Verified",
            id="the same bytes by another algorithm are another root",
        ),
        pytest.param(
            replace(GOOD, digest=None),
            requirements(RELEASE, denied={"digests": [str(ROOT)]}),
            ANYTHING,
            "DigestDenied",
            id="no root to compare with the denied ones",
        ),
        pytest.param(
            GOOD,
            requirements(RELEASE, digests={"allowed": ["sha512"]}),
            ANYTHING,
            "AlgorithmForbidden",
            id="a tree over another hash",
        ),
        pytest.param(
            replace(GOOD, digest=None),
            requirements(RELEASE, digests={"allowed": ["sha512"]}),
            ANYTHING,
            "AlgorithmForbidden",
            id="no tree where one hash is demanded",
        ),
        pytest.param(GOOD, PLAIN, Expected("llama-70b", 7, ROOT), "Verified", id="as expected"),
        pytest.param(GOOD, PLAIN, Expected("llama-7b"), "IdentityMismatch", id="another model"),
        pytest.param(
            replace(GOOD, model=None),
            PLAIN,
            Expected("llama-70b"),
            "IdentityMismatch",
            id="a model without a name",
        ),
        pytest.param(
            GOOD,
            PLAIN,
            Expected(root=Digest(HashAlgorithm.SHA256, bytes(32))),
            "IdentityMismatch",
            id="another root",
        ),
        pytest.param(
            replace(GOOD, digest=None),
            PLAIN,
            Expected(root=ROOT),
            "IdentityMismatch",
            id="no root where one is expected",
        ),
        pytest.param(GOOD, PLAIN, Expected(version_floor=8), "Rollback", id="an older version"),
        pytest.param(
            replace(GOOD, model=None),
            PLAIN,
            Expected(version_floor=1),
            "Rollback",
            id="no version where one is expected",
        ),
        pytest.param(
            GOOD,
            requirements(RELEASE, rollback={"floors": [{"models": ["llama-*"], "version": 8}]}),
            ANYTHING,
            "Rollback",
            id="older than the policy's floor",
        ),
        pytest.param(
            replace(GOOD, model=None),
            requirements(
                RELEASE,
                rollback={
                    "floors": [
                        {"models": ["gpt-*"], "version": 1},
                        {"models": ["llama-*"], "version": 8},
                    ]
                },
            ),
            ANYTHING,
            "Rollback",
            id="no name and no version where a policy has floors",
        ),
        pytest.param(
            GOOD,
            requirements(
                RELEASE, rollback={"floors": [{"models": ["gpt-*", "llama-*"], "version": 8}]}
            ),
            ANYTHING,
            "Rollback",
            id="a floor for several models, of which it is one",
        ),
        pytest.param(
            GOOD,
            requirements(RELEASE, rollback={"floors": [{"models": ["gpt-*"], "version": 8}]}),
            ANYTHING,
            "Verified",
            id="a floor for other models",
        ),
        pytest.param(
            replace(GOOD, model=ModelIdentity("llama-70b", 8)),
            requirements(RELEASE, rollback={"floors": [{"models": ["llama-*"], "version": 8}]}),
            ANYTHING,
            "Verified",
            id="just the policy's floor",
        ),
    ],
)
def test_each_check(
    facts: Evidence, demanded: SignatureRequirements, expected: Expected, reason: str
) -> None:
    found = judge(facts, [demanded], NOW, expected)
    assert found.reason == reason
    assert found.admits is (reason == "Verified")
    assert found.message
    assert found.message.isprintable()


TWIN = key("of the same algorithm", PQ.algorithm)


@pytest.mark.parametrize(
    ("signatures", "reason"),
    [
        pytest.param(valid(PQ, TWIN), "Verified", id="both"),
        pytest.param(valid(PQ), "SignerMissing", id="one stripped"),
        pytest.param(valid(PQ, PQ), "SignerMissing", id="one stripped, the other twice"),
        pytest.param(
            (*valid(PQ), SignatureFact(TWIN.keyid, EC.algorithm, valid=None, trusted=False)),
            "SignerMissing",
            id="under its key id by another algorithm",
        ),
        pytest.param(
            (*valid(PQ), SignatureFact(TWIN.keyid, None, valid=None, trusted=False)),
            "Verified",
            id="one that nobody here trusts or knows",
        ),
    ],
)
def test_of_two_signers_of_one_algorithm_each_has_signed(
    signatures: tuple[SignatureFact, ...], reason: str
) -> None:
    """Who removes one and repeats the other keeps number and algorithms."""
    facts = replace(evidence(keys=(PQ, TWIN)), signatures=signatures)
    assert judge(facts, [PLAIN], NOW).reason == reason


@pytest.mark.parametrize(
    ("facts", "demanded", "expected", "words"),
    [
        pytest.param(
            replace(GOOD, digest=None),
            requirements(RELEASE, denied={"digests": [str(ROOT)]}),
            ANYTHING,
            "denies the digest (none was signed)",
            id="no digest where some are denied",
        ),
        pytest.param(
            GOOD,
            requirements(RELEASE, denied={"digests": [str(ROOT)]}),
            ANYTHING,
            f"denies the digest {ROOT}",
            id="a denied digest",
        ),
        pytest.param(
            replace(GOOD, digest=None),
            PLAIN,
            Expected(root=ROOT),
            f"found no signed root, expected {ROOT}",
            id="no root",
        ),
        pytest.param(
            GOOD,
            PLAIN,
            Expected(root=Digest(HashAlgorithm.SHA256, bytes(32))),
            f"found {ROOT}, expected sha256:0000",
            id="another root",
        ),
        pytest.param(
            replace(GOOD, model=None),
            PLAIN,
            Expected(version_floor=3),
            "found no signed version, expected at least version 3",
            id="no version",
        ),
        pytest.param(
            GOOD,
            PLAIN,
            Expected(version_floor=8),
            "found version 7, expected at least version 8",
            id="an older version",
        ),
        pytest.param(
            FORGED, PLAIN, ANYTHING, f"key '{PQ.keyid[:16]}' is not valid", id="a key's beginning"
        ),
        pytest.param(evidence(MISMATCH), PLAIN, ANYTHING, "3 of 9 segments differ", id="a finding"),
    ],
)
def test_a_judgement_says_what_it_was_about(
    facts: Evidence, demanded: SignatureRequirements, expected: Expected, words: str
) -> None:
    assert words in judge(facts, [demanded], NOW, expected).message


def test_one_finding_has_no_others() -> None:
    assert "more)" not in judge(evidence(MISMATCH), [PLAIN], NOW).message
    assert "(and 1 more)" in judge(evidence(MISMATCH, EXTRA), [PLAIN], NOW).message


def test_nothing_to_judge_by_is_no_pass() -> None:
    found = judge(GOOD, [], NOW)
    assert (found.verdict, found.reason) == (Verdict.ERROR, Reason.POLICY_INVALID)


def test_a_policy_without_rules_is_no_pass() -> None:
    empty = SignatureRequirements("made by hand", Signatures((), ()))
    assert judge(GOOD, [PLAIN, empty], NOW).verdict is Verdict.ERROR


def test_every_policy_must_be_satisfied() -> None:
    other = requirements(authority("second", PQ_TOO), name="other")
    found = judge(GOOD, [PLAIN, other], NOW)
    assert found.reason is Reason.SIGNER_UNTRUSTED
    assert found.origin == "ClusterModelPolicy other"
    assert judge(evidence(keys=(PQ, PQ_TOO)), [PLAIN, other], NOW).verdict is Verdict.VERIFIED


def test_a_key_that_one_policy_denies_counts_for_none() -> None:
    other = requirements(authority("second", PQ_TOO), name="o", denied={"keyids": [PQ.keyid]})
    found = judge(evidence(keys=(PQ, PQ_TOO)), [PLAIN, other], NOW)
    assert found.reason is Reason.KEY_REVOKED


def test_a_message_says_what_was_found_and_expected_and_the_hint_what_to_do() -> None:
    both = requirements(RELEASE, LEGACY, rules=[rule("both", "release", "legacy", atLeast=2)])
    found = judge(GOOD, [both], NOW)
    assert found.reason is Reason.SIGNER_MISSING
    assert found.message == (
        "rule both of ClusterModelPolicy post-quantum: signatures that count: found 1,"
        " expected 2 by release, legacy"
    )
    assert "--private-key" in found.hint
    late = judge(GOOD, [timed(notAfter="2026-01-01T00:00:00Z")], NOW)
    assert late.message.endswith("; release signed: its key has expired")


def test_the_first_finding_is_named_and_the_others_are_counted() -> None:
    found = judge(evidence(MISMATCH, EXTRA), [PLAIN], NOW)
    assert found.message == "'weights.bin': 3 of 9 segments differ (and 1 more)"
    assert found.hint == "Copy again."


def test_who_counted_is_named() -> None:
    both = requirements(RELEASE, LEGACY, rules=[rule("both", "release", "legacy", atLeast=2)])
    assert judge(HYBRID, [both, PLAIN], NOW).authorities == ("release", "legacy")
    assert judge(evidence(MISMATCH), [PLAIN], NOW).authorities == ()


WARN: Json = {"action": "Warn", "sunset": "2027-01-01T00:00:00Z"}
EITHER = requirements(RELEASE, LEGACY, rules=[rule("any", "release", "legacy")], classical=WARN)
SUNSET = datetime(2027, 1, 1, tzinfo=UTC)
BEFORE_SUNSET = SUNSET - timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("demanded", "now", "admits"),
    [
        pytest.param([EITHER], BEFORE_SUNSET, True, id="until the sunset, with a warning"),
        pytest.param([EITHER], SUNSET, False, id="from the sunset on, never"),
        pytest.param(
            [requirements(RELEASE, LEGACY, rules=[rule("any", "release", "legacy")])],
            BEFORE_SUNSET,
            False,
            id="never where classical signatures deny",
        ),
        pytest.param(
            [EITHER, requirements(LEGACY, enforcement="Audit", name="b")],
            BEFORE_SUNSET,
            False,
            id="only if every policy concerned tolerates it",
        ),
        pytest.param(
            [EITHER, requirements(LEGACY, enforcement="Audit", name="z")],
            BEFORE_SUNSET,
            False,
            id="only if every policy concerned tolerates it, wherever it stands",
        ),
    ],
)
def test_classical_signatures_alone(
    demanded: list[SignatureRequirements], now: datetime, *, admits: bool
) -> None:
    found = judge(evidence(keys=(EC,)), demanded, now)
    assert found.verdict is Verdict.CLASSICAL_ONLY
    assert (found.classical_tolerated, found.admits) == (admits, admits)


def test_classical_signatures_do_not_outvote_the_post_quantum_one() -> None:
    two_of_three = requirements(
        RELEASE,
        LEGACY,
        authority("older", EC_TOO),
        rules=[rule("most", "release", "legacy", "older", atLeast=2)],
    )
    found = judge(evidence(keys=(EC, EC_TOO)), [two_of_three], NOW)
    assert found.verdict is Verdict.CLASSICAL_ONLY
    assert judge(HYBRID, [two_of_three], NOW).verdict is Verdict.VERIFIED


def test_a_classical_rule_beside_a_post_quantum_one_takes_nothing_away() -> None:
    both = [rule("pq", "release"), rule("on-top", "legacy")]
    audited = requirements(RELEASE, LEGACY, rules=both, enforcement="Audit")
    assert judge(HYBRID, [audited], NOW).verdict is Verdict.VERIFIED
    assert judge(GOOD, [audited], NOW).reason is Reason.SIGNER_UNTRUSTED


def test_every_rule_that_could_be_post_quantum_must_be() -> None:
    rules = [rule("either", "release", "legacy"), rule("second", "second")]
    demanded = requirements(RELEASE, LEGACY, authority("second", PQ_TOO), rules=rules)
    found = judge(evidence(keys=(EC, PQ_TOO)), [demanded], NOW)
    assert found.verdict is Verdict.CLASSICAL_ONLY


def test_a_bundle_without_a_tree_is_judged_by_its_signature() -> None:
    bundle = Evidence(valid(EC), content_compared=True)
    found = judge(bundle, [SignatureRequirements.of_keys([EC])], NOW)
    assert found.verdict is Verdict.CLASSICAL_ONLY


def test_key_rotation_overlaps() -> None:
    coming = authority("next", PQ_TOO)
    rotating = requirements(RELEASE, coming, rules=[rule("any", "release", "next")])
    old, new = evidence(keys=(PQ,)), evidence(keys=(PQ_TOO,))
    assert judge(old, [rotating], NOW).verdict is Verdict.VERIFIED
    assert judge(new, [rotating], NOW).verdict is Verdict.VERIFIED
    found = judge(old, [requirements(coming)], NOW)
    assert found.reason is Reason.SIGNER_UNTRUSTED
    assert "add the signer's key to the policy" in found.hint


@pytest.mark.parametrize(
    ("fact", "counts"),
    [
        pytest.param(SignatureFact(PQ.keyid, PQ.algorithm, True, True), True, id="good"),
        pytest.param(SignatureFact(PQ.keyid, PQ.algorithm, True, False), False, id="untrusted"),
        pytest.param(SignatureFact(PQ.keyid, PQ.algorithm, False, True), False, id="invalid"),
        pytest.param(SignatureFact(PQ.keyid, PQ.algorithm, None, True), False, id="unchecked"),
        pytest.param(SignatureFact(PQ.keyid, None, True, True), False, id="of no algorithm"),
    ],
)
def test_only_a_valid_signature_under_a_trusted_key_counts(
    fact: SignatureFact, *, counts: bool
) -> None:
    """Whatever other checks would have said of it before."""
    signed = Signed.of([fact], None, [PLAIN], NOW)
    assert signed.keys == (frozenset({(PQ.keyid, "ML-DSA-65")}) if counts else frozenset())
