"""Algorithm downgrade and hybrid stripping (A11), row by row and trust by trust.

The columns are the keys that the verifier trusts: both, only the post-quantum one, only the
classical one, and both with two signatures demanded.
"""

import pytest
from tests.unit.policy.builders import EC, NOW, PQ, PQ_TOO
from tests.unit.verdict.facts import UNKNOWN_ALGORITHM, Entry, by, corrupted, gathered

from weightlock.formats.spki import PublicKeyInfo
from weightlock.policy.requirements import SignatureRequirements
from weightlock.reasons import Verdict
from weightlock.verdict.judge import judge

TRUST = {
    "both": ((PQ, EC), 1),
    "post-quantum": ((PQ,), 1),
    "classical": ((EC,), 1),
    "both demanded": ((PQ, EC), 2),
}

# what it is | who the signed payload lists | signatures | the reason in each column of TRUST
ROWS: list[tuple[str, list[PublicKeyInfo], list[Entry], tuple[str, str, str, str]]] = [
    (
        "post-quantum only",
        [PQ],
        [by(PQ)],
        ("Verified", "Verified", "SignerUntrusted", "SignerMissing"),
    ),
    (
        "classical only",
        [EC],
        [by(EC)],
        ("ClassicalOnly", "SignerUntrusted", "ClassicalOnly", "SignerMissing"),
    ),
    ("both", [PQ, EC], [by(PQ), by(EC)], ("Verified", "Verified", "ClassicalOnly", "Verified")),
    (
        "both reversed",
        [PQ, EC],
        [by(EC), by(PQ)],
        ("Verified", "Verified", "ClassicalOnly", "Verified"),
    ),
    (
        "hybrid with the post-quantum signature stripped",
        [PQ, EC],
        [by(EC)],
        ("SignerMissing", "SignerUntrusted", "SignerMissing", "SignerMissing"),
    ),
    (
        "hybrid with the classical signature stripped",
        [PQ, EC],
        [by(PQ)],
        ("SignerMissing", "SignerMissing", "SignerUntrusted", "SignerMissing"),
    ),
    (
        "post-quantum corrupted, classical good",
        [PQ, EC],
        [corrupted(PQ), by(EC)],
        ("SignatureInvalid", "SignatureInvalid", "ClassicalOnly", "SignatureInvalid"),
    ),
    (
        "post-quantum good, classical corrupted",
        [PQ, EC],
        [by(PQ), corrupted(EC)],
        ("SignatureInvalid", "Verified", "SignatureInvalid", "SignatureInvalid"),
    ),
    ("both corrupted", [PQ, EC], [corrupted(PQ), corrupted(EC)], ("SignatureInvalid",) * 4),
    (
        "classical under the post-quantum key id",
        [PQ, EC],
        [by(EC, claims=PQ)],
        ("SignerMissing", "SignatureInvalid", "SignerMissing", "SignerMissing"),
    ),
    (
        "both, each under the other's key id",
        [PQ, EC],
        [by(PQ, claims=EC), by(EC, claims=PQ)],
        ("Verified", "SignatureInvalid", "SignatureInvalid", "Verified"),
    ),
    (
        "the same post-quantum signature twice",
        [PQ],
        [by(PQ), by(PQ)],
        ("SignatureUnlisted", "SignatureUnlisted", "SignerUntrusted", "SignatureUnlisted"),
    ),
    (
        "the same post-quantum signature twice in place of both",
        [PQ, EC],
        [by(PQ), by(PQ)],
        ("SignerMissing", "SignerMissing", "SignerUntrusted", "SignerMissing"),
    ),
    (
        "an unknown algorithm",
        [PQ],
        [UNKNOWN_ALGORITHM],
        ("SignerUntrusted",) * 4,
    ),
    (
        "an unknown algorithm beside a good signature",
        [PQ],
        [by(PQ), UNKNOWN_ALGORITHM],
        ("SignatureUnlisted", "SignatureUnlisted", "SignerUntrusted", "SignatureUnlisted"),
    ),
    (
        "an algorithm name in another case, which is only a hint",
        [PQ],
        [Entry(PQ, PQ.keyid, None)],
        ("Verified", "Verified", "SignerUntrusted", "SignerMissing"),
    ),
    (
        "another post-quantum key",
        [PQ_TOO],
        [by(PQ_TOO)],
        ("SignerUntrusted",) * 4,
    ),
    (
        "another post-quantum key beside a trusted classical one",
        [PQ_TOO, EC],
        [by(PQ_TOO), by(EC)],
        ("ClassicalOnly", "SignerUntrusted", "ClassicalOnly", "SignerMissing"),
    ),
    (
        "another post-quantum key under the trusted key id",
        [PQ],
        [by(PQ_TOO, claims=PQ)],
        ("SignatureInvalid", "SignatureInvalid", "SignerUntrusted", "SignatureInvalid"),
    ),
    ("no signature", [PQ], [], ("Unsigned",) * 4),
]


@pytest.mark.parametrize(
    ("trust", "signers", "entries", "reason"),
    [
        pytest.param(trust, signers, entries, reason, id=f"{what}, trusting {trust}")
        for what, signers, entries, reasons in ROWS
        for trust, reason in zip(TRUST, reasons, strict=True)
    ],
)
def test_what_a_set_of_signatures_is_worth(
    trust: str, signers: list[PublicKeyInfo], entries: list[Entry], reason: str
) -> None:
    trusted, at_least = TRUST[trust]
    requirements = SignatureRequirements.of_keys(trusted, at_least)
    found = judge(gathered(entries, signers, trusted), [requirements], NOW)
    assert found.reason == reason
    assert found.admits is (found.verdict is Verdict.VERIFIED)
