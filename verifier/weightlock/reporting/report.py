"""What a verification found, as one JSON document that fits a container's termination message.

The kubelet keeps 4096 bytes of it (A26), so everything in a report has a greatest length, and only
the sentences for people are cut to fit. What decides is never left out: an envelope has at most 16
signatures, and so has a report. Times are whole milliseconds, because a number with a fraction has
more than one spelling.

Law: parse_report(report_json(r)) == r, except that message and hint may be cut.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from weightlock.algorithms import SignatureAlgorithm, signature_algorithm
from weightlock.digests import Digest, HashAlgorithm, hash_algorithm
from weightlock.errors import LimitExceeded, Malformed
from weightlock.formats import strict_json
from weightlock.formats.envelope import MAX_SIGNATURES
from weightlock.formats.manifest import ModelIdentity, check_model_name
from weightlock.formats.shards import Shard
from weightlock.formats.strict_json import Record
from weightlock.names import REPORT_SCHEMA, TREE_ID
from weightlock.policy.scalars import instant, printable
from weightlock.reasons import Reason, Verdict, verdict_of
from weightlock.reporting.nonces import check_nonce
from weightlock.reporting.request import shard_document, shard_of
from weightlock.reporting.versions import check_schema
from weightlock.verdict.records import instant_text

MAX_REPORT_BYTES: Final = 4096
"""What the kubelet reads of a termination message."""

GOOD: Final = frozenset({Verdict.VERIFIED, Verdict.CLASSICAL_ONLY})
_VERDICTS: Final = GOOD | {Verdict.FAILED, Verdict.ERROR}
_KEYID: Final = re.compile(r"[0-9a-f]{64}|", re.ASCII)
_DEVICE: Final = re.compile(r"[ !#-\[\]-~]{1,100}")
_VERSION: Final = re.compile(r"[A-Za-z0-9.+_-]{1,40}", re.ASCII)
_MAX_COUNT: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class ReportedSignature:
    """One signature, as trying the request's keys showed it.

    The fields are those of weightlock.verdict.evidence.SignatureFact; `listed` says whether the
    signed payload names its key among its signers.
    """

    algorithm: SignatureAlgorithm | None
    keyid: str
    valid: bool | None
    trusted: bool
    listed: bool

    def __post_init__(self) -> None:
        if not _KEYID.fullmatch(self.keyid):
            raise Malformed("a keyid is not 64 lower-case hexadecimal digits")
        if self.valid and not (self.trusted and self.algorithm):
            raise Malformed("a signature is called valid, and no trusted key has checked it")


def keyid_or_none(text: str) -> str:
    """A keyid as reports have it; "" for whatever else a stranger calls its key."""
    return text if _KEYID.fullmatch(text) else ""


@dataclass(frozen=True, slots=True)
class Report:
    """An answer. Verified says that content and signatures are as *some* trusted keys signed them.

    Whether these keys suffice is for the reader to judge, under the policies of its time.
    `digest` is a tree's root, or with `tree` "" the SHA-256 of an OMS bundle's payload; `payload`
    is the hexadecimal SHA-256 of what was signed, which all shards of one checkpoint share.
    """

    nonce: str
    reason: Reason
    message: str
    hint: str
    model: ModelIdentity | None
    digest: Digest | None
    signatures: tuple[ReportedSignature, ...]
    payload: str | None
    shard: Shard | None
    files: int
    bytes: int
    milliseconds: int
    device: str
    started_at: datetime
    version: str
    tree: str = TREE_ID

    def __post_init__(self) -> None:
        check_nonce(self.nonce)
        if self.verdict not in _VERDICTS:
            raise Malformed(f"the reason {self.reason} is none that a verification ends with")
        if len(self.signatures) > MAX_SIGNATURES:
            raise Malformed(f"{len(self.signatures)} signatures; expected at most {MAX_SIGNATURES}")
        if self.model is not None:
            check_model_name(self.model.name)
        if not all(0 <= each <= _MAX_COUNT for each in (self.files, self.bytes, self.milliseconds)):
            raise Malformed("a number of files, bytes or milliseconds is out of range")
        if not _DEVICE.fullmatch(self.device) or not _VERSION.fullmatch(self.version):
            raise Malformed("device or version is not one short line of plain ASCII")
        if self.tree not in {TREE_ID, ""}:
            raise Malformed(f"the tree {self.tree!r:.40}; expected {TREE_ID!r}")
        self._check_good()

    def _check_good(self) -> None:
        # A good verdict without what it rests on is a forgery or a bug; never pass it on (A31).
        if self.is_good and not (self.digest and self.payload and self._some_valid):
            raise Malformed(f"{self.verdict} without a digest, a payload or a valid signature")
        if self.payload is not None:
            Digest.from_hex(HashAlgorithm.SHA256, self.payload)

    @property
    def _some_valid(self) -> bool:
        return any(signature.valid for signature in self.signatures)

    @property
    def verdict(self) -> Verdict:
        """The verdict that the reason stands for."""
        return verdict_of(self.reason)

    @property
    def is_good(self) -> bool:
        """Whether content and signatures are as some trusted keys signed them."""
        return self.verdict in GOOD

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.milliseconds / 1000

    @property
    def gbps(self) -> float:
        """Gigabytes each second."""
        return round(self.bytes / self.milliseconds / 1e6, 3) if self.milliseconds else 0.0


def report_json(report: Report) -> bytes:
    """The document, of at most MAX_REPORT_BYTES bytes."""
    bare = replace(report, message="", hint="")
    room = MAX_REPORT_BYTES - len(_serialised(bare))
    message = _cut(printable(report.message), room)
    room -= _length(message)
    return _serialised(replace(report, message=message, hint=_cut(printable(report.hint), room)))


def parse_report(data: bytes) -> Report:
    """Read a report.

    Raises:
        NewerDocument: if it is of a later version.
        Malformed: if it is not exactly one report, or contradicts itself.
    """
    try:
        return _parsed(data)
    except LimitExceeded as error:
        raise Malformed(error.message) from error


def _parsed(data: bytes) -> Report:
    document = strict_json.parse(data, max_bytes=MAX_REPORT_BYTES, what="the report")
    check_schema(document, REPORT_SCHEMA, "the report")
    record = Record(document, "report")
    record.constant("schema", REPORT_SCHEMA)
    verdict = record.text("verdict")
    digest, tree = _digest(record)
    report = Report(
        nonce=record.text("nonce"),
        reason=_reason(record.text("reason")),
        message=record.text("message"),
        hint=record.text("hint"),
        model=_model(record),
        digest=digest,
        signatures=_signatures(record.items("signatures", maximum=MAX_SIGNATURES)),
        payload=record.optional_text("manifest"),
        shard=shard_of(record),
        files=record.integer("files"),
        bytes=record.integer("bytes"),
        milliseconds=record.integer("milliseconds"),
        device=record.text("device"),
        started_at=instant(record.text("startedAt")),
        version=record.text("version"),
        tree=tree,
    )
    record.done()
    if report.verdict != verdict:
        raise Malformed(f"the report says {verdict!r:.40} for the reason {report.reason}")
    return report


def _serialised(report: Report) -> bytes:
    return strict_json.serialise(
        {
            "schema": REPORT_SCHEMA,
            "nonce": report.nonce,
            "verdict": report.verdict.value,
            "reason": report.reason.value,
            "message": report.message,
            "hint": report.hint,
            "model": report.model and {"name": report.model.name, "version": report.model.version},
            "digest": report.digest
            and {
                "tree": report.tree,
                "hash": report.digest.algorithm.value,
                "root": report.digest.hex,
            },
            "signatures": [_signature_document(each) for each in report.signatures],
            "manifest": report.payload,
            "shard": shard_document(report.shard),
            "files": report.files,
            "bytes": report.bytes,
            "milliseconds": report.milliseconds,
            "device": report.device,
            "startedAt": instant_text(report.started_at),
            "version": report.version,
        }
    )


def _signature_document(signature: ReportedSignature) -> dict[str, object]:
    return {
        "algorithm": signature.algorithm.name if signature.algorithm else None,
        "keyid": signature.keyid,
        "valid": signature.valid,
        "trusted": signature.trusted,
        "listed": signature.listed,
    }


def _cut(text: str, room: int) -> str:
    """As much of a text as takes so many bytes of JSON."""
    while _length(text) > room:
        text = text[: len(text) * 3 // 4]
    return text


def _length(text: str) -> int:
    return len(strict_json.serialise(text)) - len('""')


def _reason(text: str) -> Reason:
    try:
        return Reason(text)
    except ValueError as error:
        raise Malformed(f"the report gives the unknown reason {text!r:.40}") from error


def _model(record: Record) -> ModelIdentity | None:
    found = record.optional_record("model")
    if found is None:
        return None
    model = ModelIdentity(found.text("name"), found.integer("version"))
    found.done()
    return model


def _digest(record: Record) -> tuple[Digest | None, str]:
    found = record.optional_record("digest")
    if found is None:
        return None, TREE_ID
    tree = found.text("tree")
    digest = Digest.from_hex(hash_algorithm(found.text("hash")), found.text("root"))
    found.done()
    return digest, tree


def _signatures(items: Sequence[object]) -> tuple[ReportedSignature, ...]:
    return tuple(_signature(item, index) for index, item in enumerate(items))


def _signature(item: object, index: int) -> ReportedSignature:
    record = Record(item, f"signatures[{index}]")
    algorithm = record.optional_text("algorithm")
    signature = ReportedSignature(
        signature_algorithm(algorithm) if algorithm is not None else None,
        record.text("keyid"),
        record.optional_boolean("valid"),
        record.boolean("trusted"),
        record.boolean("listed"),
    )
    record.done()
    return signature
