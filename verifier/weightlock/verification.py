"""Verifies a checkpoint, by a plan that a reviewer can tick off.

1. Open the folder and read the envelope, bounded, through the folder's descriptor.
2. Parse it strictly. Nothing in it is believed yet, not even the names of its keys.
3. Try its signatures with the trusted keys, over the bytes that will be parsed.
4. Only if one is valid: parse the payload. From here on the manifest is what its signers say.
5. Judge the signatures. If they do not suffice, stop: hashing a terabyte would not help.
6. List the folder and compare names and sizes: a closed world.
7. Hash what is to be hashed and compare each segment's root.
8. List the folder again: nothing may have come, gone or changed.
9. Judge everything that was found.

Whatever could not be done on the way is a finding; no path leads to Verified but the whole plan.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from weightlock.checkpoint.folder import CheckpointFolder, FolderFiles
from weightlock.checkpoint.selection import ChosenSegment, Selection, choose
from weightlock.checkpoint.walker import FileFact, Limits, Walk
from weightlock.digests import Digest, HashAlgorithm
from weightlock.engines.engine import Engine
from weightlock.errors import WeightlockError
from weightlock.formats import envelope, statement
from weightlock.formats.manifest import Manifest
from weightlock.formats.spki import PublicKeyInfo
from weightlock.hashing import Watcher, describe, refuse_if_changed
from weightlock.names import ENVELOPE_FILE, OMS_FILE
from weightlock.oms.bundle import MAX_BUNDLE_BYTES, OmsBundle
from weightlock.oms.certificates import signing_certificate
from weightlock.oms.contents import Contents
from weightlock.oms.trust import Trust
from weightlock.oms.verification import Settings, verify_bundle
from weightlock.oms.vocabulary import Method
from weightlock.policy.requirements import SignatureRequirements, trusted_keys
from weightlock.reasons import Reason, Verdict, verdict_of
from weightlock.signatures.trying import signature_facts
from weightlock.signatures.verifying import verifying_key
from weightlock.verdict.comparison import content_finding, structure_findings
from weightlock.verdict.evidence import Evidence, Finding, SignatureFact, Signer
from weightlock.verdict.judge import judge
from weightlock.verdict.judgement import Judgement

_NO_ENVELOPE: Final = Finding(
    Reason.UNSIGNED,
    "",
    f"there is no {ENVELOPE_FILE}, and classical signatures are not asked for",
    "sign the checkpoint, or counter-sign its classical signature: weightlock notarize DIR"
    " --upstream-key PUBLISHER.pub --private-key YOUR.key",
)
_AGAIN: Final = (
    "get the signature file again from whoever signed the checkpoint, or sign it again (--force)"
)
_NO_PASS: Final = frozenset({Verdict.FAILED, Verdict.ERROR})


@dataclass(frozen=True, slots=True)
class VerificationOptions:
    """Whom to trust, when it is, and how to look."""

    requirements: Sequence[SignatureRequirements]
    now: datetime
    engine: Engine
    classical_trust: Trust = field(default_factory=Trust)
    certificates_suffice: bool = False
    """Whether an authority's word for an OMS bundle's certificate needs no policy beside it."""
    recognise_classical: bool = True
    """Whether an OMS bundle is looked at, where there is no envelope."""
    tolerated: frozenset[str] = frozenset()
    """Paths below which an OMS bundle may leave files unsigned; such a verdict is ClassicalOnly."""
    selection: Selection = field(default_factory=Selection)
    limits: Limits = field(default_factory=Limits)
    below: str = ""
    """Where the folder lies below the path that is given; no link on the way is followed (A19)."""


@dataclass(frozen=True, slots=True)
class Verification:
    """The verdict on a checkpoint, with all that led to it."""

    judgement: Judgement
    evidence: Evidence
    files: int
    bytes: int
    seconds: float
    device: str
    manifest: Manifest | None = None
    payload: Digest | None = None
    """The SHA-256 of what trusted keys signed; None if there was no such signature."""
    unsigned: tuple[str, ...] = ()
    """Files that nobody signed and the caller tolerated."""

    @property
    def is_verified(self) -> bool:
        """Whether everything that was to be hashed is as trusted keys signed it, post-quantum."""
        return self.judgement.verdict is Verdict.VERIFIED


@dataclass(slots=True)
class _Case:
    """What was gathered so far."""

    requirements: Sequence[SignatureRequirements]
    evidence: Evidence = field(default_factory=Evidence)
    manifest: Manifest | None = None
    payload: Digest | None = None
    files: int = 0
    bytes: int = 0
    unsigned: tuple[str, ...] = ()

    def add(self, *findings: Finding) -> None:
        self.evidence = replace(self.evidence, findings=self.evidence.findings + findings)


def verify(path: Path, options: VerificationOptions, watcher: Watcher) -> Verification:
    """Verify a checkpoint's folder; what is wrong with it is in the verdict, not raised."""
    started = time.perf_counter()
    case = _Case(options.requirements)
    try:
        # Step 1.
        with CheckpointFolder(path, options.below) as folder:
            _gather(folder, options, watcher, case)
    except WeightlockError as error:
        hint = error.hint or (_AGAIN if error.reason is Reason.MALFORMED else "")
        case.add(Finding(error.reason, "", error.message, hint))
    # Step 9.
    return Verification(
        judgement=_judgement(case, options),
        evidence=case.evidence,
        files=case.files,
        bytes=case.bytes,
        seconds=time.perf_counter() - started,
        device=options.engine.device,
        manifest=case.manifest,
        payload=case.payload,
        unsigned=case.unsigned,
    )


def _judgement(case: _Case, options: VerificationOptions) -> Judgement:
    findings = case.evidence.findings
    if case.requirements or not options.certificates_suffice or not findings:
        return judge(case.evidence, case.requirements, options.now)
    # Only authorities are trusted, and what was found is not for them to vouch for: say that,
    # instead of asking for a key.
    first = findings[0]
    reason = first.reason if verdict_of(first.reason) in _NO_PASS else Reason.INTERNAL_ERROR
    return Judgement(reason, describe(first), first.hint)


def _gather(
    folder: CheckpointFolder, options: VerificationOptions, watcher: Watcher, case: _Case
) -> None:
    # Step 1.
    document = folder.read(ENVELOPE_FILE, max_bytes=envelope.MAX_ENVELOPE_BYTES)
    if document is None:
        _gather_classical(folder, options, watcher, case)
        return
    # Step 2.
    parsed = envelope.parse(document)
    del document
    # Step 3.
    keys = [verifying_key(info) for info in trusted_keys(options.requirements)]
    facts = tuple(signature_facts(parsed, keys))
    case.evidence = Evidence(signatures=facts)
    if not any(fact.valid for fact in facts):
        return
    # Step 4.
    manifest = statement.parse(parsed.payload)
    case.payload = _sha256(parsed.payload)
    del parsed
    case.manifest = manifest
    case.evidence = Evidence(
        signatures=_with_algorithms(facts, manifest.signers),
        signers=manifest.signers,
        model=manifest.model,
        digest=manifest.digest,
    )
    # Step 5.
    if _signatures_suffice(case.evidence, options):
        _compare(folder, manifest, options, watcher, case)


def _sha256(payload: bytes) -> Digest:
    return Digest(HashAlgorithm.SHA256, HashAlgorithm.SHA256.digest(payload))


def _with_algorithms(
    facts: Sequence[SignatureFact], signers: Sequence[Signer]
) -> tuple[SignatureFact, ...]:
    """Say of untrusted signatures what the signed payload says of their signers; to be shown."""
    algorithms = {signer.keyid: signer.algorithm for signer in signers}
    return tuple(
        fact if fact.trusted else replace(fact, algorithm=algorithms.get(fact.keyid))
        for fact in facts
    )


def _signatures_suffice(evidence: Evidence, options: VerificationOptions) -> bool:
    """Whether the content, if it were as signed, would be accepted at all."""
    hopeful = replace(evidence, content_compared=True)
    verdict = judge(hopeful, options.requirements, options.now).verdict
    return verdict in {Verdict.VERIFIED, Verdict.CLASSICAL_ONLY}


def _compare(
    folder: CheckpointFolder,
    manifest: Manifest,
    options: VerificationOptions,
    watcher: Watcher,
    case: _Case,
) -> None:
    # Step 6.
    found = folder.walk(options.limits)
    sizes = {fact.name: fact.size for fact in found.files}
    case.add(*found.findings, *structure_findings(manifest.files, sizes))
    if case.evidence.findings:
        return
    # Step 7. Names and order are now those of the manifest, so its numbers are the walk's.
    files = folder.files(found.files)
    chosen = choose(options.selection, manifest, files)
    if options.selection.patterns and not chosen:
        case.add(_nothing_selected(options.selection))
        return
    case.add(*_content_findings(manifest, files, chosen, options, watcher))
    # Step 8.
    refuse_if_changed(found, folder.walk(options.limits))
    case.files = len({segment.file for segment in chosen})
    case.files += 0 if options.selection.patterns else _empty_files(found.files)
    case.bytes = sum(segment.span.length for segment in chosen)
    case.evidence = replace(case.evidence, content_compared=True)


def _content_findings(
    manifest: Manifest,
    files: FolderFiles,
    chosen: Sequence[ChosenSegment],
    options: VerificationOptions,
    watcher: Watcher,
) -> list[Finding]:
    spans = [segment.span for segment in chosen]
    watcher.begin(len({span.file for span in spans}), sum(span.length for span in spans))
    roots = options.engine.segment_roots(files, spans, manifest.parameters, watcher.advance)
    by_file: dict[int, list[tuple[int, bytes]]] = {}
    for segment, root in zip(chosen, roots, strict=True):
        by_file.setdefault(segment.file, []).append((segment.segment, root))
    found = (
        content_finding(manifest.files[number], [s for s, _ in pairs], [r for _, r in pairs])
        for number, pairs in by_file.items()
    )
    return [finding for finding in found if finding is not None]


def _gather_classical(
    folder: CheckpointFolder, options: VerificationOptions, watcher: Watcher, case: _Case
) -> None:
    """The same plan for an OMS bundle, which is classical whatever it says."""
    if not options.recognise_classical:
        case.add(_NO_ENVELOPE)
        return
    document = folder.read(OMS_FILE, max_bytes=MAX_BUNDLE_BYTES)
    if document is None:
        case.add(
            Finding(
                Reason.UNSIGNED,
                "",
                f"there is neither {ENVELOPE_FILE} nor {OMS_FILE}",
                "sign the checkpoint: weightlock sign DIR --private-key KEY",
            )
        )
        return
    found: Walk = folder.walk(options.limits)
    case.add(*found.findings)
    if found.findings:
        return
    contents = Contents(found.files, folder.files(found.files))
    size = sum(fact.size for fact in found.files)
    watcher.begin(len(found.files), size)
    settings = Settings(options.classical_trust, options.now, options.tolerated)
    result = verify_bundle(document, contents, settings, watcher.advance)
    if options.certificates_suffice and result.bundle.material.method is Method.CERTIFICATE:
        case.requirements = [certificate_requirements(result.bundle)]
    refuse_if_changed(found, folder.walk(options.limits))
    case.evidence = result.evidence
    case.payload = result.evidence.digest
    case.unsigned = result.unsigned
    case.files, case.bytes = len(found.files), size


def certificate_requirements(bundle: OmsBundle) -> SignatureRequirements:
    """What a bundle must fulfil if the authorities named by the caller are all that counts.

    That one of them vouches for the certificate is a fact; here its key is what has to have signed.
    """
    leaf = signing_certificate(bundle.material.certificates[0]).key
    return SignatureRequirements.of_keys([PublicKeyInfo(leaf.algorithm, leaf.spki)])


def _empty_files(facts: Sequence[FileFact]) -> int:
    return sum(not fact.size for fact in facts)


def _nothing_selected(selection: Selection) -> Finding:
    patterns = ", ".join(repr(pattern) for pattern in selection.patterns)
    return Finding(
        Reason.NOTHING_SELECTED,
        "",
        f"no file and no tensor matches {patterns}",
        "list the names: weightlock inspect DIR",
    )
