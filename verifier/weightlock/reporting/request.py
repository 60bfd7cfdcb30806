"""What a verification is asked: a JSON document that travels as arguments of `weightlock report`.

Arguments, because a ConfigMap or a Secret of the namespace could be changed by its tenants (A07).
Linux takes 128 KiB in one argument and Kubernetes expands `$(NAME)` in each, so the document is
ASCII without `$` and is cut into pieces, in order: --request=PIECE --request=PIECE.

Law: parse_request(request_json(r)) == r.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from weightlock.digests import HashAlgorithm, hash_algorithm
from weightlock.errors import LimitExceeded, Malformed
from weightlock.formats import strict_base64, strict_json
from weightlock.formats.manifest import check_model_name
from weightlock.formats.shards import MAX_SHARDS, Shard
from weightlock.formats.spki import PublicKeyInfo, public_key_info_of_der
from weightlock.formats.strict_json import Record
from weightlock.names import REQUEST_SCHEMA
from weightlock.policy.bounds import MAX_VERSION
from weightlock.policy.fields import MAX_ITEMS
from weightlock.policy.requirements import SignatureRequirements, trusted_keys
from weightlock.reporting.nonces import check_nonce
from weightlock.reporting.requirements import requirements_document, requirements_of
from weightlock.reporting.versions import check_schema
from weightlock.verdict.judge import ANYTHING, Expected

MAX_REQUEST_CHARACTERS: Final = 1024 * 1024
"""All of a process' arguments have 2 MiB, a Kubernetes object 1.5; 200 ML-DSA-87 keys take 0.7."""

MAX_PIECE_CHARACTERS: Final = 96 * 1024
_MAX_VALUES: Final = 64 * 1024
_MAX_KEY_CHARACTERS: Final = 32 * 1024


class EngineName(StrEnum):
    """What hashes."""

    AUTO = "auto"
    CUDA = "cuda"
    ROCM = "rocm"
    CPU = "cpu"


@dataclass(frozen=True, slots=True)
class ReadingLimits:
    """How much a checkpoint may be; the smallest that any policy allows."""

    max_files: int
    max_bytes: int

    def __post_init__(self) -> None:
        if self.max_files < 1 or self.max_bytes < 1:
            raise Malformed("a limit is below 1")


@dataclass(frozen=True, slots=True)
class Gate:
    """By what a container judges that must itself decide whether a pod's other containers start.

    Its judgement is the answer, so it gets the requirements of every policy that governs the pod,
    and what else an admission would hold a verdict against.
    """

    requirements: tuple[SignatureRequirements, ...]
    model_name: str | None = None
    version_floor: int = 0

    def __post_init__(self) -> None:
        if not self.requirements:
            raise Malformed("a gate without requirements would let everything in")
        if self.model_name is not None:
            check_model_name(self.model_name)
        if not 0 <= self.version_floor <= MAX_VERSION:
            raise Malformed(f"the version floor is {self.version_floor}")

    @property
    def expected(self) -> Expected:
        """What the judge needs to know of the model."""
        return Expected(self.model_name, self.version_floor)


@dataclass(frozen=True, slots=True)
class Request:
    """A question: is what lies in the folder as these keys signed it?

    Exactly one of `trust` and `gate` says which keys: a gate's are those of its requirements.
    """

    nonce: str
    limits: ReadingLimits
    trust: tuple[PublicKeyInfo, ...] = ()
    recognise_classical: bool = True
    """Whether an OMS bundle is looked at where there is no envelope."""
    allowed_hashes: frozenset[HashAlgorithm] = frozenset(HashAlgorithm)
    shard: Shard | None = None
    engine: EngineName = EngineName.AUTO
    gate: Gate | None = None

    def __post_init__(self) -> None:
        check_nonce(self.nonce)
        if bool(self.trust) == (self.gate is not None):
            raise Malformed("a request names keys to trust, or a gate with requirements")
        if len(self.trust) > MAX_ITEMS or len({key.spki for key in self.trust}) < len(self.trust):
            raise Malformed(f"trust names a key twice, or more than {MAX_ITEMS}")
        if not self.allowed_hashes:
            raise Malformed("allowedHashes is empty; expected at least one")
        if self.gate is not None and self.shard is not None:
            raise Malformed("a gate judges the whole checkpoint, never a shard")

    @property
    def keys(self) -> tuple[PublicKeyInfo, ...]:
        """The keys to try, once each."""
        return trusted_keys(self.gate.requirements) if self.gate else self.trust

    @property
    def expected(self) -> Expected:
        """What is known of the model."""
        return self.gate.expected if self.gate else ANYTHING


def request_json(request: Request) -> str:
    """The document, in ASCII without `$`.

    Raises:
        LimitExceeded: if it would be longer than arguments may be.
    """
    text = json.dumps(_document(request), ensure_ascii=True, separators=(",", ":"))
    text = text.replace("$", "\\u0024")
    if len(text) > MAX_REQUEST_CHARACTERS:
        raise LimitExceeded(
            f"the request has {len(text)} characters, at most {MAX_REQUEST_CHARACTERS} fit",
            hint="Remove authorities that no rule needs from the policies.",
        )
    return text


def request_arguments(request: Request) -> tuple[str, ...]:
    """The same as arguments of `weightlock report`, each short enough for Linux.

    Raises:
        LimitExceeded: as request_json.
    """
    text = request_json(request)
    starts = range(0, len(text), MAX_PIECE_CHARACTERS)
    return tuple(f"--request={text[start : start + MAX_PIECE_CHARACTERS]}" for start in starts)


def parse_request(text: str) -> Request:
    """Read a request.

    Raises:
        NewerDocument: if it is of a later version.
        Malformed: if it is not exactly one request.
    """
    try:
        return _parsed(text)
    except LimitExceeded as error:
        raise Malformed(error.message) from error


def _parsed(text: str) -> Request:
    try:
        data = text.encode("ascii")
    except UnicodeEncodeError as error:
        raise Malformed("the request is not ASCII") from error
    document = strict_json.parse(
        data, max_bytes=MAX_REQUEST_CHARACTERS, max_values=_MAX_VALUES, what="the request"
    )
    check_schema(document, REQUEST_SCHEMA, "the request")
    record = Record(document, "request")
    record.constant("schema", REQUEST_SCHEMA)
    request = Request(
        nonce=record.text("nonce"),
        limits=_limits(record.record("limits")),
        trust=tuple(_keys(record.items("trust", maximum=MAX_ITEMS))),
        recognise_classical=_recognise(record.record("classical")),
        allowed_hashes=_hashes(record.items("allowedHashes", maximum=len(HashAlgorithm))),
        shard=shard_of(record),
        engine=_engine(record.text("engine")),
        gate=_gate(record),
    )
    record.done()
    return request


def shard_document(shard: Shard | None) -> dict[str, int] | None:
    """The JSON of a shard."""
    return {"index": shard.index, "count": shard.count} if shard else None


def shard_of(record: Record) -> Shard | None:
    """Take the shard of a document; null if there is none."""
    found = record.optional_record("shard")
    if found is None:
        return None
    count = found.integer("count", minimum=1, maximum=MAX_SHARDS)
    shard = Shard(found.integer("index", maximum=count - 1), count)
    found.done()
    return shard


def _document(request: Request) -> dict[str, object]:
    return {
        "schema": REQUEST_SCHEMA,
        "nonce": request.nonce,
        "trust": [
            {"algorithm": key.algorithm.name, "publicKey": strict_base64.encode(key.spki)}
            for key in request.trust
        ],
        "classical": {"recognise": request.recognise_classical},
        "limits": {"maxFiles": request.limits.max_files, "maxBytes": request.limits.max_bytes},
        "allowedHashes": [each.value for each in sorted(request.allowed_hashes)],
        "shard": shard_document(request.shard),
        "engine": request.engine.value,
        "gate": request.gate
        and {
            "requirements": [requirements_document(each) for each in request.gate.requirements],
            "modelName": request.gate.model_name,
            "versionFloor": request.gate.version_floor,
        },
    }


def _limits(record: Record) -> ReadingLimits:
    limits = ReadingLimits(record.integer("maxFiles"), record.integer("maxBytes"))
    record.done()
    return limits


def _recognise(record: Record) -> bool:
    recognise = record.boolean("recognise")
    record.done()
    return recognise


def _keys(items: Sequence[object]) -> list[PublicKeyInfo]:
    return [_key(item, index) for index, item in enumerate(items)]


def _key(item: object, index: int) -> PublicKeyInfo:
    where = f"trust[{index}]"
    record = Record(item, where)
    algorithm = record.text("algorithm")
    text = record.text("publicKey", max_characters=_MAX_KEY_CHARACTERS)
    record.done()
    key = public_key_info_of_der(strict_base64.decode(text, f"{where}.publicKey"))
    if key.algorithm.name != algorithm:
        raise Malformed(f"{where} is a key of {key.algorithm}, not of {algorithm!r:.60}")
    return key


def _hashes(items: Sequence[object]) -> frozenset[HashAlgorithm]:
    return frozenset(hash_algorithm(item) for item in items)


def _engine(text: str) -> EngineName:
    try:
        return EngineName(text)
    except ValueError as error:
        expected = ", ".join(EngineName)
        raise Malformed(f"the engine {text!r:.40}; expected one of {expected}") from error


def _gate(record: Record) -> Gate | None:
    found = record.optional_record("gate")
    if found is None:
        return None
    gate = Gate(
        tuple(
            requirements_of(item, f"gate.requirements[{index}]")
            for index, item in enumerate(found.items("requirements", maximum=MAX_ITEMS))
        ),
        found.optional_text("modelName"),
        found.integer("versionFloor"),
    )
    found.done()
    return gate
