"""Manifests that several tests need, as values."""

from dataclasses import replace

from weightlock.algorithms import ED25519, ML_DSA_65, ML_DSA_87
from weightlock.digests import HashAlgorithm
from weightlock.formats import lthash, tree
from weightlock.formats.manifest import (
    FileEntry,
    Manifest,
    ModelIdentity,
    SegmentEntry,
    Signer,
    UpstreamSigner,
    file_entry,
    model_root,
)


def segment(parameters: tree.TreeParameters, data: bytes) -> SegmentEntry:
    """One segment with these bytes."""
    return SegmentEntry(len(data), tree.segment_root(parameters, data))


def _files(parameters: tree.TreeParameters) -> tuple[FileEntry, ...]:
    algorithm = parameters.algorithm
    return (
        file_entry(algorithm, "config.json", [segment(parameters, b"{}")]),
        file_entry(algorithm, "empty", []),
        file_entry(
            algorithm,
            "sub/w\u00e9ights.bin",
            [segment(parameters, b"abc"), segment(parameters, bytes(20_000))],
        ),
    )


def _manifest(parameters: tree.TreeParameters) -> Manifest:
    files = _files(parameters)
    return Manifest(
        model=ModelIdentity("llama-70b", 3),
        created_at="2026-11-21T09:30:00Z",
        parameters=parameters,
        root=model_root(parameters.algorithm, files),
        files=files,
        signers=(Signer(ML_DSA_65, "ab" * 32),),
    )


MANIFEST = _manifest(tree.TreeParameters())
"""Three files, one of them empty, one of two segments; one signer."""

NOTARISED = replace(
    _manifest(tree.TreeParameters(HashAlgorithm.SHA3_512, 4096)),
    signers=(Signer(ML_DSA_87, "cd" * 32), Signer(ED25519, "ef" * 32)),
    lthash=lthash.segment_sum(0, 0, b"abc", 4096),
    upstream=UpstreamSigner(
        method="certificate",
        algorithm="ECDSA-P256-SHA256",
        identity="CN=release",
        issuer="CN=authority",
        predicate_type="https://model_signing/signature/v1.0",
        payload_sha256="01" * 32,
    ),
)
"""With every optional part: another hash, two signers, a lattice hash, an upstream signer."""
