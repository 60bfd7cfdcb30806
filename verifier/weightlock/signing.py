"""Signs a checkpoint: hash, describe, sign with every key, check, write. In this order.

What verifying would refuse is refused before anything is signed, and what was signed is checked
with the public keys before it is written, so that a faulty device's signature never gets out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from weightlock.checkpoint import writing
from weightlock.checkpoint.folder import CheckpointFolder
from weightlock.checkpoint.walker import Walk
from weightlock.errors import CheckpointRefused, KeyUnusable
from weightlock.formats import envelope, statement
from weightlock.formats.filenames import printable
from weightlock.formats.manifest import (
    Manifest,
    ModelIdentity,
    Signer,
    UpstreamSigner,
    check_model_name,
)
from weightlock.hashing import (
    HashedCheckpoint,
    HashingOptions,
    Watcher,
    hash_open_folder,
    refuse_if_changed,
)
from weightlock.names import ENVELOPE_FILE, OMS_FILE
from weightlock.oms import ecdsa
from weightlock.oms import writing as oms_writing
from weightlock.oms.contents import Contents
from weightlock.reasons import Reason
from weightlock.signatures.schemes import SigningKey


@dataclass(frozen=True, slots=True)
class SigningOptions:
    """What is said of the checkpoint besides its content. `oms`: write a classical bundle too."""

    model: ModelIdentity
    created_at: datetime
    replace: bool = False
    oms: bool = False
    upstream: UpstreamSigner | None = None


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """What was signed: the manifest, what hashing it took, the documents by file name."""

    manifest: Manifest
    hashed: HashedCheckpoint
    documents: Mapping[str, bytes]

    @property
    def written(self) -> tuple[str, ...]:
        """The names of the files with signatures."""
        return tuple(self.documents)


def sign(
    path: Path,
    keys: Sequence[SigningKey],
    options: SigningOptions,
    hashing: HashingOptions,
    watcher: Watcher,
) -> SignedCheckpoint:
    """Hash a folder and write its signature beside the files.

    Raises:
        CheckpointRefused, Unreadable, ChangedWhileReading: if the folder is no sound checkpoint.
        KeyUnusable: if the keys are none, classical only, or do not sign.
        SignatureExists: if there is a signature already, unless it is to be replaced.
    """
    with CheckpointFolder(path) as folder:
        signed = sign_open_folder(folder, keys, options, hashing, watcher)
        write(folder, signed, options)
    return signed


def sign_open_folder(
    folder: CheckpointFolder,
    keys: Sequence[SigningKey],
    options: SigningOptions,
    hashing: HashingOptions,
    watcher: Watcher,
    before: Walk | None = None,
) -> SignedCheckpoint:
    """Do all but the writing; raises as sign does.

    `before` is a listing whose files were looked at already: what is signed is these or nothing.
    """
    check_keys(keys)
    check_model_name(options.model.name)
    oms_key = _oms_key(keys) if options.oms else None
    for name in (ENVELOPE_FILE, OMS_FILE) if oms_key else (ENVELOPE_FILE,):
        if not options.replace and writing.exists(folder.descriptor, name):
            raise writing.already_there(name)
    before = before or folder.walk(hashing.limits)
    _refuse_leftovers(before)
    hashed = hash_open_folder(folder, hashing, watcher, before)
    manifest = manifest_of(hashed, keys, options)
    documents = {ENVELOPE_FILE: sealed_envelope(manifest, keys)}
    if oms_key is not None:
        contents = Contents(before.files, folder.files(before.files))
        digests = oms_writing.file_digests(contents, watcher.advance)
        documents[OMS_FILE] = oms_writing.bundle(options.model.name, digests, oms_key)
    # Both documents are about the same content only if nothing changed from first to last.
    refuse_if_changed(before, folder.walk(hashing.limits))
    return SignedCheckpoint(manifest, hashed, documents)


def write(folder: CheckpointFolder, signed: SignedCheckpoint, options: SigningOptions) -> None:
    """Write what was signed.

    Raises:
        SignatureExists, Unreadable: as weightlock.checkpoint.writing does.
    """
    for name, document in signed.documents.items():
        writing.write(folder.descriptor, name, document, replace=options.replace)


def _refuse_leftovers(found: Walk) -> None:
    for fact in found.files:
        if writing.is_leftover(fact.name):
            raise CheckpointRefused(
                Reason.EXTRA_FILE,
                f"{printable(fact.name)} was left by a signing that was interrupted",
                hint="remove it and sign again",
            )


def _oms_key(keys: Sequence[SigningKey]) -> SigningKey:
    for key in keys:
        if key.public_key.algorithm in ecdsa.ALGORITHMS:
            return key
    raise KeyUnusable(
        "an OMS bundle needs an ECDSA key, and none was given",
        hint="add one: weightlock keygen --algorithm ECDSA-P256-SHA256",
    )


def check_keys(keys: Sequence[SigningKey]) -> None:
    """Refuse keys that cannot make a post-quantum signature together.

    Raises:
        KeyUnusable: saying what is missing.
    """
    if not any(key.public_key.algorithm.is_post_quantum for key in keys):
        raise KeyUnusable(
            "no post-quantum key was given; a classical signature alone protects nothing here",
            hint="add an ML-DSA or SLH-DSA key: weightlock keygen --algorithm ML-DSA-65",
        )
    if sum(not key.public_key.algorithm.is_post_quantum for key in keys) > 1:
        raise KeyUnusable("more than one classical key was given; a hybrid signature has one")
    if len({key.public_key.spki for key in keys}) != len(keys):
        raise KeyUnusable("the same key was given twice", hint="name each private key once")


def manifest_of(
    hashed: HashedCheckpoint, keys: Sequence[SigningKey], options: SigningOptions
) -> Manifest:
    """The manifest of what was hashed, to be signed by all of these keys."""
    return Manifest(
        model=options.model,
        created_at=options.created_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        parameters=hashed.parameters,
        root=hashed.root,
        files=hashed.files,
        signers=tuple(Signer(key.public_key.algorithm, key.public_key.keyid) for key in keys),
        lthash=hashed.lthash,
        upstream=options.upstream,
    )


def sealed_envelope(manifest: Manifest, keys: Sequence[SigningKey]) -> bytes:
    """The envelope over a manifest with a signature by each key, each checked once more.

    Raises:
        KeyUnusable: if a key's signature does not verify under its own public key.
    """
    payload = statement.serialise(manifest)
    unsigned = envelope.Envelope(payload, ())
    message = unsigned.signed_bytes
    signatures = []
    for key in keys:
        signature = key.sign(message)
        if not key.public_key.accepts(signature, message):
            raise KeyUnusable(
                f"the {key.public_key.algorithm} key {key.public_key.keyid[:16]} made a signature"
                " that does not verify",
                hint="the key or the device that holds it is faulty; nothing was written",
            )
        signatures.append(envelope.EnvelopeSignature(key.public_key.keyid, signature))
    document = envelope.serialise(envelope.Envelope(payload, tuple(signatures)))
    # What is written must be what can be read: limits included.
    statement.parse(envelope.parse(document).payload)
    return document
