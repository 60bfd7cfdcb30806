"""A bundle and a checkpoint in, evidence out: the one way in that believes an OMS signature.

1. The bundle is parsed strictly; nothing in it is believed yet.
2. Its signature is checked with the caller's keys and authorities; without a valid one, stop:
   content is not worth hashing for a stranger.
3. Names and sizes are compared, closed world; whatever is wrong there ends it too.
4. Every signed byte is hashed and compared.

A bundle is classical, so the best that a verdict can make of it is ClassicalOnly.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from weightlock.digests import Digest, HashAlgorithm
from weightlock.engines.engine import Progress
from weightlock.formats.manifest import UpstreamSigner
from weightlock.oms import bundle as bundles
from weightlock.oms import contents, hashing, signature
from weightlock.oms.bundle import OmsBundle
from weightlock.oms.contents import Contents
from weightlock.oms.signature import SignatureOutcome
from weightlock.oms.trust import Trust
from weightlock.verdict.evidence import Evidence, Finding


@dataclass(frozen=True, slots=True)
class Settings:
    """What the caller decides.

    `now` is the time at which certificates must be valid, with its zone. `tolerated` are paths
    below which unsigned files are reported instead of refused; empty by default (A21), because
    whatever is there is loaded, run or counter-signed with the rest.
    """

    trust: Trust
    now: datetime
    tolerated: Collection[str] = frozenset()
    workers: int | None = None


@dataclass(frozen=True, slots=True)
class OmsVerification:
    """What was found. `upstream` is set only if everything is as a trusted signer signed it.

    `unsigned` are tolerated files that exist: nobody vouches for them.
    """

    evidence: Evidence
    bundle: OmsBundle
    upstream: UpstreamSigner | None = None
    unsigned: tuple[str, ...] = ()


def verify_bundle(
    data: bytes, on_disk: Contents, settings: Settings, progress: Progress
) -> OmsVerification:
    """Verify a checkpoint against a bundle.

    Raises:
        Malformed, UnsafeName, LimitExceeded: if the bundle is not what its format says.
        Unreadable, ChangedWhileReading, UnsafeEntry: if the files could not be read.
    """
    # Step 1: parse; believe nothing.
    bundle = bundles.parse(data)
    # Step 2: the signature.
    signed = signature.verified(bundle, settings.trust, settings.now)
    if signed.finding is not None:
        evidence = Evidence((signed.fact,), findings=(signed.finding,))
        return OmsVerification(evidence, bundle)
    # Step 3: names and sizes.
    comparison = contents.compared(bundle.manifest, on_disk.present, settings.tolerated)
    findings, hashed = comparison.findings, not comparison.findings
    if hashed:
        # Step 4: every byte.
        algorithm = bundle.manifest.algorithm
        found = hashing.digests(
            on_disk.files, comparison.stretches, algorithm, progress, workers=settings.workers
        )
        findings = contents.mismatches(comparison, found)
    return OmsVerification(
        _evidence(bundle, signed, findings, content_compared=hashed),
        bundle,
        upstream=None if findings else signed.signer,
        unsigned=comparison.tolerated,
    )


def _evidence(
    bundle: OmsBundle,
    signed: SignatureOutcome,
    findings: tuple[Finding, ...],
    *,
    content_compared: bool,
) -> Evidence:
    # The digest is that of the payload, not the subject's: that one binds no names (A36).
    return Evidence(
        (signed.fact,),
        digest=Digest(HashAlgorithm.SHA256, HashAlgorithm.SHA256.digest(bundle.payload)),
        findings=findings,
        content_compared=content_compared,
    )
