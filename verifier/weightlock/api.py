"""The Python API: sign, verify, hash and read manifests, in a few typed calls.

    import weightlock

    weightlock.sign("llama-70b", ["release.key"], name="llama-70b", version=4)
    result = weightlock.verify("llama-70b", ["release.pub"])
    if not result.is_verified:
        raise SystemExit(result.judgement.message)

Keys are files' paths or key objects. What is wrong with a checkpoint is in the result of `verify`;
everything else raises a `WeightlockError`.
"""

import logging
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from weightlock.checkpoint.folder import CheckpointFolder
from weightlock.checkpoint.selection import Selection
from weightlock.digests import HashAlgorithm
from weightlock.engines.choice import choose_engine
from weightlock.engines.engine import Engine
from weightlock.errors import CheckpointRefused
from weightlock.formats import envelope, statement
from weightlock.formats.manifest import Manifest, ModelIdentity
from weightlock.formats.spki import PublicKeyInfo
from weightlock.formats.tree import TreeParameters
from weightlock.hashing import HashedCheckpoint, HashingOptions, Nobody, Watcher, hash_folder
from weightlock.keys.private import read_private_key
from weightlock.keys.public import read_public_key
from weightlock.keys.signing import signing_key
from weightlock.names import ENVELOPE_FILE
from weightlock.oms.trust import Trust
from weightlock.policy.requirements import SignatureRequirements
from weightlock.reasons import Reason
from weightlock.signatures.schemes import SigningKey, VerifyingKey
from weightlock.signatures.trying import signature_facts
from weightlock.signing import SignedCheckpoint, SigningOptions
from weightlock.signing import sign as sign_folder
from weightlock.verdict.evidence import Evidence
from weightlock.verdict.judge import judge
from weightlock.verification import Verification, VerificationOptions
from weightlock.verification import verify as verify_folder

_LOG = logging.getLogger("weightlock")

PrivateKeys = Sequence[SigningKey | str | os.PathLike[str]]
PublicKeys = Sequence[VerifyingKey | str | os.PathLike[str]]


def sign(  # noqa: PLR0913 - keyword arguments with defaults, the shape of the API
    folder: str | os.PathLike[str],
    keys: PrivateKeys,
    *,
    name: str,
    version: int = 1,
    hash: str = "sha256",  # noqa: A002 - the word of the command line
    engine: str = "auto",
    replace: bool = False,
    watcher: Watcher | None = None,
) -> SignedCheckpoint:
    """Hash a checkpoint and write its signature beside the files.

    Raises:
        WeightlockError: see weightlock.signing.sign.
    """
    options = SigningOptions(ModelIdentity(name, version), _now(), replace=replace)
    hashing = HashingOptions(_engine(engine), TreeParameters(HashAlgorithm(hash)))
    return sign_folder(
        Path(folder), [_signing_key(key) for key in keys], options, hashing, watcher or Nobody()
    )


def verify(  # noqa: PLR0913 - keyword arguments with defaults, the shape of the API
    folder: str | os.PathLike[str],
    keys: PublicKeys,
    *,
    at_least: int = 1,
    select: Sequence[str] = (),
    engine: str = "auto",
    now: datetime | None = None,
    watcher: Watcher | None = None,
) -> Verification:
    """The verdict on a checkpoint, given whom to trust.

    Raises:
        WeightlockError: for keys or an engine that cannot be used; never for what is wrong with
            the checkpoint.
    """
    trusted = [_verifying_key(key) for key in keys]
    options = VerificationOptions(
        requirements=[_requirements(trusted, at_least)],
        now=now or _now(),
        engine=_engine(engine),
        classical_trust=Trust(trusted),
        selection=Selection(tuple(select)),
    )
    return verify_folder(Path(folder), options, watcher or Nobody())


def hash_checkpoint(
    folder: str | os.PathLike[str],
    *,
    hash: str = "sha256",  # noqa: A002 - the word of the command line
    engine: str = "auto",
    watcher: Watcher | None = None,
) -> HashedCheckpoint:
    """The roots of a checkpoint and its files.

    Raises:
        WeightlockError: see weightlock.hashing.hash_folder.
    """
    options = HashingOptions(_engine(engine), TreeParameters(HashAlgorithm(hash)))
    return hash_folder(Path(folder), options, watcher or Nobody())


def read_manifest(
    folder: str | os.PathLike[str], keys: PublicKeys, *, now: datetime | None = None
) -> Manifest:
    """The manifest of a checkpoint, if keys that are trusted signed it post-quantum.

    The content is not looked at: this is for checking tensors that are already in memory.

    Raises:
        CheckpointRefused: with the reason, if the signatures do not suffice.
        WeightlockError: if there is no manifest that can be read.
    """
    trusted = [_verifying_key(key) for key in keys]
    with CheckpointFolder(Path(folder)) as opened:
        document = opened.read(ENVELOPE_FILE, max_bytes=envelope.MAX_ENVELOPE_BYTES)
    if document is None:
        raise CheckpointRefused(Reason.UNSIGNED, f"there is no {ENVELOPE_FILE}")
    parsed = envelope.parse(document)
    facts = tuple(signature_facts(parsed, trusted))
    evidence = Evidence(signatures=facts, content_compared=True)
    manifest = None
    if any(fact.valid for fact in facts):
        manifest = statement.parse(parsed.payload)
        evidence = Evidence(
            facts, manifest.signers, manifest.model, manifest.digest, content_compared=True
        )
    judgement = judge(evidence, [_requirements(trusted, 1)], now or _now())
    if judgement.reason is not Reason.VERIFIED or manifest is None:
        raise CheckpointRefused(judgement.reason, judgement.message, hint=judgement.hint)
    return manifest


def _requirements(trusted: Sequence[VerifyingKey], at_least: int) -> SignatureRequirements:
    infos = [PublicKeyInfo(key.algorithm, key.spki) for key in trusted]
    return SignatureRequirements.of_keys(infos, at_least)


def _signing_key(key: SigningKey | str | os.PathLike[str]) -> SigningKey:
    if isinstance(key, str | os.PathLike):
        return signing_key(read_private_key(Path(key)))
    return key


def _verifying_key(key: VerifyingKey | str | os.PathLike[str]) -> VerifyingKey:
    if isinstance(key, str | os.PathLike):
        return read_public_key(Path(key))
    return key


def _engine(name: str) -> Engine:
    return choose_engine(name, threads=len(os.sched_getaffinity(0)), notice=_LOG.warning)


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the edge of the API, where the clock is read
