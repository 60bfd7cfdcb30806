"""Counter-signs a classically signed model: believe its publisher once, then post-quantum.

1. Verify the OMS bundle and all content with the keys or authorities that the caller trusts.
2. Hash and sign the same files, recording who had signed them.
3. Only if nothing changed from before (1) to after (2): write the signature.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from weightlock.checkpoint.folder import CheckpointFolder
from weightlock.checkpoint.walker import Walk
from weightlock.errors import CheckpointRefused
from weightlock.formats.manifest import UpstreamSigner
from weightlock.hashing import HashingOptions, Watcher, describe, refuse_if_changed
from weightlock.names import OMS_FILE
from weightlock.oms.bundle import MAX_BUNDLE_BYTES
from weightlock.oms.contents import Contents
from weightlock.oms.trust import Trust
from weightlock.oms.verification import Settings, verify_bundle
from weightlock.reasons import Reason
from weightlock.signatures.schemes import SigningKey
from weightlock.signing import SignedCheckpoint, SigningOptions, sign_open_folder, write
from weightlock.verdict.evidence import Evidence


def notarize(
    path: Path,
    upstream: Trust,
    keys: Sequence[SigningKey],
    options: SigningOptions,
    hashing: HashingOptions,
    watcher: Watcher,
) -> SignedCheckpoint:
    """Verify a model's classical bundle and sign the model post-quantum.

    Raises:
        CheckpointRefused: if the bundle or the content is not what a trusted signer signed; its
            reason is that of the verdict.
        WeightlockError: as sign does.
    """
    with CheckpointFolder(path) as folder:
        # Both steps open the files of this one listing, and compare each with it: folders that are
        # swapped for the one step and put back for the other would show them different files.
        before = folder.walk(hashing.limits)
        # Step 1.
        believed = Settings(upstream, options.created_at)
        signer = _upstream_signer(folder, before, believed, watcher)
        # Step 2.
        described = replace(options, upstream=signer, oms=False)
        signed = sign_open_folder(folder, keys, described, hashing, watcher, before)
        # Step 3.
        refuse_if_changed(before, folder.walk(hashing.limits))
        write(folder, signed, described)
    return signed


def _upstream_signer(
    folder: CheckpointFolder, found: Walk, settings: Settings, watcher: Watcher
) -> UpstreamSigner:
    document = folder.read(OMS_FILE, max_bytes=MAX_BUNDLE_BYTES)
    if document is None:
        raise CheckpointRefused(
            Reason.UNSIGNED,
            f"there is no {OMS_FILE} to notarise",
            hint="a model without an upstream signature is signed with: weightlock sign",
        )
    if found.findings:
        raise _refusal(Evidence(findings=found.findings))
    watcher.begin(len(found.files), sum(fact.size for fact in found.files))
    contents = Contents(found.files, folder.files(found.files))
    result = verify_bundle(document, contents, settings, watcher.advance)
    if result.upstream is None:
        raise _refusal(result.evidence)
    return result.upstream


def _refusal(evidence: Evidence) -> CheckpointRefused:
    # No upstream signer without a finding that says why; if ever there were none, it is a bug.
    if not evidence.findings:
        return CheckpointRefused(Reason.INTERNAL_ERROR, "the upstream signature proves nothing")
    first = evidence.findings[0]
    return CheckpointRefused(first.reason, f"upstream: {describe(first)}", hint=first.hint)
