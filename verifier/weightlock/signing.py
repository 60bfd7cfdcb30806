"""Signs a checkpoint: hash, describe, sign with every key, check, write. In this order.

What verifying would refuse is refused before anything is signed, and what was signed is checked
with the public keys before it is written, so that a faulty device's signature never gets out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from weightlock.checkpoint import writing
from weightlock.checkpoint.folder import CheckpointFolder
from weightlock.errors import KeyUnusable
from weightlock.formats import envelope, statement
from weightlock.formats.manifest import (
    Manifest,
    ModelIdentity,
    Signer,
    UpstreamSigner,
    check_model_name,
)
from weightlock.hashing import HashedCheckpoint, HashingOptions, Watcher, hash_open_folder
from weightlock.names import ENVELOPE_FILE
from weightlock.signatures.schemes import SigningKey


@dataclass(frozen=True, slots=True)
class SigningOptions:
    """What is said of the checkpoint besides its content."""

    model: ModelIdentity
    created_at: datetime
    replace: bool = False
    upstream: UpstreamSigner | None = None


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """What was signed and by whom."""

    manifest: Manifest
    hashed: HashedCheckpoint
    envelope_bytes: int


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
    check_keys(keys)
    check_model_name(options.model.name)
    with CheckpointFolder(path) as folder:
        if not options.replace and writing.exists(folder.descriptor, ENVELOPE_FILE):
            raise writing.already_there(ENVELOPE_FILE)
        hashed = hash_open_folder(folder, hashing, watcher)
        manifest = manifest_of(hashed, keys, options)
        document = sealed_envelope(manifest, keys)
        writing.write(folder.descriptor, ENVELOPE_FILE, document, replace=options.replace)
    return SignedCheckpoint(manifest, hashed, len(document))


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
