"""The signed payload of a bundle: an in-toto statement whose predicate type picks its one parser.

Unknown fields are refused although the OMS specification lets verifiers ignore them: a field that
this version does not know may be a restriction that the signer counted on (A24).
"""

from collections.abc import Callable, Sequence
from typing import Final

from weightlock.digests import Digest, HashAlgorithm, hash_algorithm
from weightlock.errors import Malformed
from weightlock.formats import filenames, strict_json
from weightlock.formats.strict_json import Record
from weightlock.names import STATEMENT_TYPE
from weightlock.oms import legacy, resources
from weightlock.oms.manifest import OmsManifest
from weightlock.oms.vocabulary import Form, Serialization

MAX_PAYLOAD_BYTES: Final = 48 * 1024 * 1024
MAX_RESOURCES: Final = 1_000_000
MAX_IGNORED_PATHS: Final = 10_000
_MAX_RESOURCE_NAME_CHARACTERS: Final = filenames.MAX_NAME_BYTES + 64  # `:start:end` of a shard


def parse(payload: bytes) -> OmsManifest:
    """Read a payload.

    Raises:
        LimitExceeded: if it is larger than any model needs.
        Malformed: if it is not exactly one statement of a known form.
        UnsafeName: if it names a file that must not be named.
    """
    # Writers that pass JSON through protobuf's Struct, as model-signing does, print 1000 as 1000.0.
    document = strict_json.parse(
        payload, max_bytes=MAX_PAYLOAD_BYTES, what="the signed payload", whole_doubles=True
    )
    record = Record(document, "statement")
    record.constant("_type", STATEMENT_TYPE)
    found = _PARSERS[_form(record)](record)
    record.done()
    return found


def _form(record: Record) -> Form:
    predicate_type = record.text("predicateType")
    for form in Form:
        if form.value == predicate_type:
            return form
    raise Malformed(
        f"statement.predicateType is {predicate_type!r:.80}; expected {' or '.join(Form)}",
        hint="only signatures of models are read here (C20)",
    )


def _version_1(record: Record) -> OmsManifest:
    """`signature/v1.0`, written by model-signing v0.3 to v1.1 and by the OMS specification."""
    subject, root = _subject(record)
    predicate = record.record("predicate")
    serialization = predicate.record("serialization")
    method = _method(serialization)
    algorithm = hash_algorithm(serialization.text("hash_type"))
    sharded = method is Serialization.SHARDS
    shard_bytes = serialization.integer("shard_size", minimum=1) if sharded else None
    allow_symlinks = serialization.boolean("allow_symlinks")
    ignored_paths = _ignored_paths(serialization)
    serialization.done()
    listed = _resources(predicate, _algorithm_names(algorithm, shard_bytes))
    predicate.done()
    digests = [Digest.from_hex(algorithm, text) for _, text in listed]
    _check_root(root, digests)
    named = [(name, digest) for (name, _), digest in zip(listed, digests, strict=True)]
    files = resources.files(named, subject, shard_bytes)
    return OmsManifest(
        Form.V1_0, method, algorithm, subject, files, ignored_paths, allow_symlinks, shard_bytes
    )


_PARSERS: Final[dict[Form, Callable[[Record], OmsManifest]]] = {
    Form.V1_0: _version_1,
    Form.V0_2: legacy.manifest,
}


def _subject(record: Record) -> tuple[str, Digest]:
    subjects = record.items("subject", maximum=MAX_RESOURCES)
    if len(subjects) != 1:
        raise Malformed(f"the statement has {len(subjects)} subjects; expected exactly one")
    subject = Record(subjects[0], "subject[0]")
    name = subject.text("name")
    digest = subject.record("digest")
    root = Digest.from_hex(HashAlgorithm.SHA256, digest.text("sha256"))
    digest.done()
    subject.done()
    return name, root


def _method(serialization: Record) -> Serialization:
    name = serialization.text("method")
    for method in Serialization:
        if method.value == name:
            return method
    raise Malformed(f"serialization.method is {name!r:.40}; expected files or shards")


def _ignored_paths(serialization: Record) -> tuple[str, ...]:
    if "ignore_paths" not in serialization:
        return ()
    paths = serialization.items("ignore_paths", maximum=MAX_IGNORED_PATHS)
    holder = [Record({"path": path}, "ignore_paths") for path in paths]
    names = tuple(entry.text("path") for entry in holder)
    for name in names:
        # Canonical and below the root: never ".", "", "/" or anything with ".." (A21).
        filenames.check(name)
    return names


def _algorithm_names(algorithm: HashAlgorithm, shard_bytes: int | None) -> tuple[str, ...]:
    # The specification repeats hash_type; model-signing appends the shard's size.
    if shard_bytes is None:
        return (algorithm.value,)
    return (algorithm.value, f"{algorithm.value}-sharded-{shard_bytes}")


def _resources(predicate: Record, algorithms: Sequence[str]) -> list[tuple[str, str]]:
    items = predicate.items("resources", maximum=MAX_RESOURCES)
    if not items:
        raise Malformed("the signed payload lists no resources; expected at least one (A31)")
    return [_resource(item, index, algorithms) for index, item in enumerate(items)]


def _resource(item: object, index: int, algorithms: Sequence[str]) -> tuple[str, str]:
    record = Record(item, f"resources[{index}]")
    name = record.text("name", max_characters=_MAX_RESOURCE_NAME_CHARACTERS)
    digest = record.text("digest")
    algorithm = record.text("algorithm")
    record.done()
    # One algorithm for all digests, or the root would join digests of different lengths (C08).
    if algorithm not in algorithms:
        raise Malformed(
            f"resources[{index}].algorithm is {algorithm!r:.40}; expected {' or '.join(algorithms)}"
        )
    return name, digest


def _check_root(root: Digest, digests: Sequence[Digest]) -> None:
    # It binds no names (A36), so it is only checked for consistency and never used as identity.
    computed = Digest(
        HashAlgorithm.SHA256,
        HashAlgorithm.SHA256.digest(b"".join(digest.value for digest in digests)),
    )
    if not root.matches(computed):
        raise Malformed(
            "the signed payload contradicts itself: the subject's digest is not that of its"
            " resources"
        )
