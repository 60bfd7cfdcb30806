"""Every reason belongs to exactly one verdict."""

import pytest

from weightlock.reasons import Reason, Verdict, verdict_of

OF = {
    Verdict.VERIFIED: "Verified",
    Verdict.CLASSICAL_ONLY: "ClassicalOnly",
    Verdict.FAILED: "ContentMismatch ExtraFile MissingFile Unsigned SignatureInvalid"
    " SignerUntrusted SignerMissing SignatureUnlisted AlgorithmForbidden KeyExpired"
    " KeyNotYetValid KeyRevoked DigestDenied Rollback IdentityMismatch Malformed UnsafeEntry"
    " UnsafeName EmptyModel LimitExceeded",
    Verdict.STALE: "SealBroken SpecChanged IdentityChanged WriterSeen RestoredFromBackup"
    " ClockBehind VerdictExpired",
    Verdict.PENDING: "Queued StoragePending WaitingForConsumer WriterActive",
    Verdict.VERIFYING: "VerificationRunning",
}


@pytest.mark.parametrize("reason", Reason)
def test_the_verdict_of_a_reason(reason: Reason) -> None:
    listed = [verdict for verdict, words in OF.items() if reason.value in words.split()]
    assert verdict_of(reason) is (listed[0] if listed else Verdict.ERROR)


def test_only_one_reason_admits() -> None:
    passing = [reason for reason in Reason if verdict_of(reason) is Verdict.VERIFIED]
    assert passing == [Reason.VERIFIED]
