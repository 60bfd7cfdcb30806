"""The manifest as JSON: an in-toto Statement v1, written compactly and parsed strictly.

    parse(serialise(m)) == m

Parsing recomputes every level above the segments, so a manifest that parses is consistent: its root
is that of its files, and each file's is that of its segments. What is left to compare with the disk
is one root for each segment.
"""

import itertools
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from weightlock.algorithms import signature_algorithm
from weightlock.digests import Digest, HashAlgorithm, hash_algorithm
from weightlock.errors import Malformed
from weightlock.formats import filenames, strict_base64, strict_json, tree
from weightlock.formats.envelope import MAX_ENVELOPE_BYTES, MAX_SIGNATURES
from weightlock.formats.lthash import LtHash
from weightlock.formats.manifest import (
    FileEntry,
    Manifest,
    ModelIdentity,
    SegmentEntry,
    Signer,
    UpstreamSigner,
    check_model_name,
    file_entry,
    model_root,
)
from weightlock.names import LTHASH_ID, PREDICATE_TYPE, STATEMENT_TYPE, TREE_ID

MAX_FILES: Final = 1_000_000
MAX_SEGMENTS: Final = 4_000_000
_KEYID: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_UTC: Final = re.compile(r"\d{4}-\d{2}-\d{2}T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\dZ", re.ASCII)


def serialise(manifest: Manifest) -> bytes:
    """The payload to be signed."""
    predicate: dict[str, object] = {
        "model": {"name": manifest.model.name, "version": manifest.model.version},
        "createdAt": manifest.created_at,
        "tree": {
            "id": TREE_ID,
            "hash": manifest.parameters.algorithm.value,
            "leafSize": manifest.parameters.leaf_bytes,
            "root": manifest.root.hex(),
        },
        "signers": [
            {"algorithm": signer.algorithm.name, "keyid": signer.keyid}
            for signer in manifest.signers
        ],
        "files": [_file_document(file) for file in manifest.files],
    }
    if manifest.lthash is not None:
        lanes = strict_base64.encode(manifest.lthash.lanes)
        predicate["lthash"] = {"id": LTHASH_ID, "sum": lanes}
    if manifest.upstream is not None:
        predicate["upstream"] = _upstream_document(manifest.upstream)
    return strict_json.serialise(
        {
            "_type": STATEMENT_TYPE,
            "subject": [_subject(manifest)],
            "predicateType": PREDICATE_TYPE,
            "predicate": predicate,
        }
    )


def parse(payload: bytes) -> Manifest:
    """Read a payload, after its signature was found valid.

    Raises:
        LimitExceeded: if it lists more than any checkpoint needs.
        Malformed, UnsafeName: if it is not a manifest, or contradicts itself.
    """
    document = strict_json.parse(payload, max_bytes=MAX_ENVELOPE_BYTES, what="the manifest")
    statement = strict_json.Record(document, "statement")
    statement.constant("_type", STATEMENT_TYPE)
    statement.constant("predicateType", PREDICATE_TYPE)
    subject = statement.items("subject", maximum=1)
    predicate = statement.record("predicate")
    statement.done()
    manifest = _manifest(predicate)
    if list(subject) != [_subject(manifest)]:
        raise Malformed("the statement's subject is not the model and root of its predicate")
    return manifest


def _manifest(predicate: strict_json.Record) -> Manifest:
    parameters, root = _tree(predicate.record("tree"))
    algorithm = parameters.algorithm
    manifest = Manifest(
        model=_model(predicate.record("model")),
        created_at=predicate.text("createdAt"),
        parameters=parameters,
        root=root.value,
        files=_files(algorithm, predicate.items("files", maximum=MAX_FILES)),
        signers=_signers(predicate.items("signers", maximum=MAX_SIGNATURES)),
        lthash=_lthash(predicate.record("lthash")) if "lthash" in predicate else None,
        upstream=_upstream(predicate.record("upstream")) if "upstream" in predicate else None,
    )
    predicate.done()
    _check_time(manifest.created_at)
    if not root.matches(Digest(algorithm, model_root(algorithm, manifest.files))):
        raise Malformed("the root of the tree is not that of the files listed beside it")
    return manifest


def _check_time(text: str) -> None:
    # The expression pins the one spelling, the calendar refuses the 30th of February.
    try:
        found = _UTC.fullmatch(text) and datetime.fromisoformat(text)
    except ValueError:
        found = None
    if not found:
        raise Malformed("createdAt is not a time such as 2026-11-21T09:30:00Z")


def _tree(record: strict_json.Record) -> tuple[tree.TreeParameters, Digest]:
    record.constant("id", TREE_ID)
    algorithm = hash_algorithm(record.text("hash"))
    parameters = tree.TreeParameters(algorithm, record.integer("leafSize"))
    root = Digest.from_hex(algorithm, record.text("root"))
    record.done()
    return parameters, root


def _model(record: strict_json.Record) -> ModelIdentity:
    identity = ModelIdentity(record.text("name"), record.integer("version"))
    record.done()
    check_model_name(identity.name)
    return identity


def _signers(items: Sequence[object]) -> tuple[Signer, ...]:
    signers = tuple(_signer(item, index) for index, item in enumerate(items))
    if not signers:
        raise Malformed("signers is empty; expected at least one")
    if len({signer.keyid for signer in signers}) != len(signers):
        raise Malformed("signers names a key twice")
    return signers


def _signer(item: object, index: int) -> Signer:
    record = strict_json.Record(item, f"signers[{index}]")
    signer = Signer(signature_algorithm(record.text("algorithm")), record.text("keyid"))
    record.done()
    if not _KEYID.fullmatch(signer.keyid):
        raise Malformed(f"signers[{index}].keyid is not 64 lower-case hexadecimal digits")
    return signer


def _files(algorithm: HashAlgorithm, items: Sequence[object]) -> tuple[FileEntry, ...]:
    if not items:
        raise Malformed("files is empty; a checkpoint has at least one file")
    files = tuple(_file(algorithm, item, index) for index, item in enumerate(items))
    names = [file.name for file in files]
    filenames.check_all(names)
    if any(before.encode() >= after.encode() for before, after in itertools.pairwise(names)):
        raise Malformed("files is not in the order of the bytes of their names")
    return files


def _file(algorithm: HashAlgorithm, item: object, index: int) -> FileEntry:
    where = f"files[{index}]"
    record = strict_json.Record(item, where)
    name, size = record.text("name"), record.integer("size")
    root = Digest.from_hex(algorithm, record.text("root"))
    items = record.items("segments", maximum=MAX_SEGMENTS)
    record.done()
    segments = [_segment(algorithm, item, where) for item in items]
    total = sum(segment.length for segment in segments)
    if total != size:
        raise Malformed(f"the segments of {where} have {total} bytes, the file {size}")
    entry = file_entry(algorithm, name, segments)
    if not root.matches(Digest(algorithm, entry.root)):
        raise Malformed(f"the root of {where} is not that of its segments")
    return entry


def _segment(algorithm: HashAlgorithm, item: object, where: str) -> SegmentEntry:
    record = strict_json.Record(item, f"{where}.segments")
    length = record.integer("length", minimum=1)
    root = Digest.from_hex(algorithm, record.text("root"))
    record.done()
    return SegmentEntry(length, root.value)


def _lthash(record: strict_json.Record) -> LtHash:
    record.constant("id", LTHASH_ID)
    lanes = strict_base64.decode(record.text("sum"), "lthash.sum")
    record.done()
    return LtHash(lanes)


def _upstream(record: strict_json.Record) -> UpstreamSigner:
    upstream = UpstreamSigner(
        method=record.text("method"),
        algorithm=record.text("algorithm"),
        identity=record.text("identity"),
        issuer=record.text("issuer"),
        predicate_type=record.text("predicateType"),
        payload_sha256=record.text("payloadSha256"),
    )
    record.done()
    if upstream.method not in {"key", "certificate"}:
        raise Malformed("upstream.method is neither 'key' nor 'certificate'")
    Digest.from_hex(HashAlgorithm.SHA256, upstream.payload_sha256)
    return upstream


def _upstream_document(upstream: UpstreamSigner) -> dict[str, object]:
    return {
        "method": upstream.method,
        "algorithm": upstream.algorithm,
        "identity": upstream.identity,
        "issuer": upstream.issuer,
        "predicateType": upstream.predicate_type,
        "payloadSha256": upstream.payload_sha256,
    }


def _file_document(file: FileEntry) -> dict[str, object]:
    return {
        "name": file.name,
        "size": file.size,
        "root": file.root.hex(),
        "segments": [
            {"length": segment.length, "root": segment.root.hex()} for segment in file.segments
        ],
    }


def _subject(manifest: Manifest) -> dict[str, object]:
    # A digest's name is the tree's: it is no plain hash of any file, and must not pass for one.
    digest_name = f"{TREE_ID}-{manifest.parameters.algorithm}"
    return {"name": manifest.model.name, "digest": {digest_name: manifest.root.hex()}}
