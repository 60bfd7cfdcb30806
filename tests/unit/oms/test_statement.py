"""The signed payload: every departure from the two known statements is refused."""

import json
import re
import tracemalloc

import pytest
from tests.unit.oms import forge
from tests.unit.oms.forge import Json
from tests.unit.oms.test_bundle import Change, drop, put

from weightlock.digests import HashAlgorithm
from weightlock.errors import LimitExceeded, Refused, UnsafeName
from weightlock.oms import statement
from weightlock.oms.manifest import OmsManifest, Piece, SignedFile
from weightlock.oms.vocabulary import Form, Serialization

EMPTY = forge.digest_of(b"")


def parsed(document: Json) -> OmsManifest:
    return statement.parse(forge.compact(document))


def changed(document: Json, *changes: Change) -> Json:
    for change in changes:
        change(document)
    return document


def with_root(document: Json) -> Json:
    """The same statement with the root that its resources have."""
    root = forge.root_of(document["predicate"]["resources"])
    document["subject"][0]["digest"]["sha256"] = root
    return document


def named(*names: str, **serialization: object) -> Json:
    return forge.statement([forge.resource(name, b"") for name in names], **serialization)


def sharded(*names: str, size: object = 10) -> Json:
    return named(*names, method="shards", shard_size=size)


def test_files_are_read_with_their_digests() -> None:
    found = parsed(forge.files_statement())
    assert found.files == tuple(
        SignedFile(name, (Piece(0, None, forge.digest_of(content)),))
        for name, content in forge.MODEL.items()
    )
    assert (found.subject, found.algorithm) == ("model", HashAlgorithm.SHA256)
    assert [file.size for file in found.files] == [None, None, None]


def test_shards_are_read_as_pieces_of_files() -> None:
    found = parsed(forge.shards_statement())
    weights = found.files[-1]
    assert found.serialization is Serialization.SHARDS
    assert [(piece.start, piece.end) for piece in weights.pieces] == [
        (0, 1000),
        (1000, 2000),
        (2000, 2500),
    ]
    assert (weights.name, weights.size, found.shard_bytes) == ("weights.bin", 2500, 1000)


def test_subjects_of_the_first_version_are_files() -> None:
    found = parsed(forge.legacy_statement())
    assert found.form is Form.V0_2
    assert found.files == parsed(forge.files_statement()).files


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(named("a", ignore_paths=[".git", "sub/cache"]), id="ignored paths"),
        pytest.param(named("a", ignore_paths=[]), id="no ignored path"),
        pytest.param(named("a", allow_symlinks=True), id="links allowed: shown, never followed"),
        pytest.param(named("a.b", "a/b"), id="in the order of code points (specification)"),
        pytest.param(named("a/b", "a.b"), id="in the order of components (model-signing)"),
        pytest.param(sharded("a:0:10", "a:10:11"), id="two shards"),
        pytest.param(sharded("a:0:10", "a:10:20"), id="a full last shard"),
        pytest.param(
            sharded(*sorted(f"a:{start}:{start + 10}" for start in range(0, 110, 10))),
            id="shards in the order of their text",
        ),
        pytest.param(
            sharded(*(f"a:{start}:{start + 10}" for start in range(0, 110, 10))),
            id="shards in the order of their numbers",
        ),
        pytest.param(sharded("ab:c:0:10"), id="a colon in a file's name"),
        pytest.param(
            forge.statement(
                [forge.resource("a:0:10", b"", "sha256-sharded-10")],
                method="shards",
                shard_size=10,
            ),
            id="the hash named with the size of the shard (model-signing)",
        ),
        pytest.param(changed(forge.legacy_statement(), drop("predicate")), id="v0.2, bare"),
        pytest.param(changed(forge.legacy_statement(), put("predicate", {})), id="v0.2, empty"),
        pytest.param(
            changed(forge.legacy_statement(), drop("subject.0.annotations")),
            id="v0.2, no annotation",
        ),
    ],
)
def test_allowed_variants_are_read(document: Json) -> None:
    assert parsed(document).files


def test_integers_that_protobuf_prints_as_doubles_are_integers() -> None:
    payload = forge.compact(sharded("1.0:0:10", size=10)).replace(b'_size": 10', b'_size": 10.0')
    found = statement.parse(payload)
    assert (found.shard_bytes, found.files[0].name) == (10, "1.0")


def test_a_payload_of_numbers_alone_is_refused_in_little_memory() -> None:
    # 64 MiB of them once took 4 GB, before anything of a stranger's bundle was believed (A26).
    payload = b"12 " * 1_000_000
    tracemalloc.start()
    try:
        with pytest.raises(Refused):
            statement.parse(payload)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(payload)


@pytest.mark.parametrize(
    "spelling",
    ["10.5", "1e1", "10.00", "-10.0", '"10"', "true", "0", "010.0", "-0.0", "1.0.0", "10.0e0"],
)
def test_other_sizes_of_shards_are_refused(spelling: str) -> None:
    payload = forge.compact(sharded("a:0:10", size=10)).replace(
        b'_size": 10', f'_size": {spelling}'.encode()
    )
    with pytest.raises(Refused):
        statement.parse(payload)


def test_a_model_of_one_file_has_the_signed_name_of_its_subject() -> None:
    [file] = parsed(named(".")).files
    assert file.name == "model"
    [shard] = parsed(sharded(".:0:7")).files
    assert (shard.name, shard.size) == ("model", 7)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        pytest.param(changed(named("a"), put("_type", "x")), "_type", id="_type"),
        pytest.param(
            changed(named("a"), put("_type", "https://in-toto.io/Statement/v0.1")),
            "_type",
            id="an older statement",
        ),
        pytest.param(
            changed(named("a"), put("predicateType", "https://slsa.dev/provenance/v1")),
            "predicateType",
            id="another predicate (C20)",
        ),
        pytest.param(
            changed(named("a"), put("predicateType", forge.PREDICATE + " ")),
            "predicateType",
            id="a predicate with a space",
        ),
        pytest.param(
            changed(named("a"), put("predicateType", "https://model_signing/DigestOfDigests/v0.1")),
            "predicateType",
            id="an experiment of v0.2",
        ),
        pytest.param(changed(named("a"), put("extra", 1)), "unknown", id="unknown in statement"),
        pytest.param(
            changed(named("a"), put("predicate.extra", 1)), "unknown", id="unknown in predicate"
        ),
        pytest.param(named("a", extra=1), "unknown", id="unknown in serialization"),
        pytest.param(
            changed(named("a"), put("predicate.resources.0.uri", "x")),
            "unknown",
            id="unknown in resource",
        ),
        pytest.param(
            changed(named("a"), put("subject.0.uri", "x")), "unknown", id="unknown in subject"
        ),
        pytest.param(
            changed(named("a"), put("subject.0.digest.md5", "x")), "unknown", id="second digest"
        ),
        pytest.param(changed(named("a"), put("subject", [])), "0 subjects", id="no subject"),
        pytest.param(
            changed(named("a"), put("subject", named("a")["subject"] * 2)),
            "2 subjects",
            id="two subjects",
        ),
        pytest.param(
            changed(named("a"), put("subject.0.digest.sha256", "0" * 64)),
            "contradicts",
            id="another root",
        ),
        pytest.param(named(), "no resources", id="no resource (A31)"),
        pytest.param(named("a", method="tensors"), "method", id="another method"),
        pytest.param(named("a", hash_type="md5"), "hash", id="a weak hash"),
        pytest.param(named("a", hash_type="blake3"), "hash", id="a hash that is not allowed"),
        pytest.param(named("a", hash_type="SHA256"), "hash", id="a hash in another case"),
        pytest.param(named("a", hash_type=["sha256"]), "string", id="a list of hashes"),
        pytest.param(named("a", hash_type="sha384"), "sha384", id="hash and digests disagree"),
        pytest.param(named("a", allow_symlinks="false"), "true or false", id="boolean as string"),
        pytest.param(named("a", allow_symlinks=0), "true or false", id="boolean as number"),
        pytest.param(named("a", shard_size=10), "unknown", id="a shard size for files"),
        pytest.param(named("a:0:10", method="shards"), "shard_size", id="shards without a size"),
        pytest.param(named("a", ignore_paths="x"), "list", id="ignored paths as a string"),
        pytest.param(named("a", ignore_paths=[1]), "string", id="an ignored number"),
        pytest.param(
            changed(named("a"), put("predicate.resources.0.digest", "0" * 62)), "64", id="short"
        ),
        pytest.param(
            changed(named("a"), put("predicate.resources.0.digest", "0" * 66)), "64", id="long"
        ),
        pytest.param(
            changed(named("a"), put("predicate.resources.0.digest", "A" * 64)), "64", id="upper"
        ),
        pytest.param(
            changed(named("a"), put("predicate.resources.0.digest", " " + "0" * 63)),
            "64",
            id="a digest with a space",
        ),
        pytest.param(
            changed(named("a"), put("predicate.resources.0.algorithm", "sha512")),
            "algorithm",
            id="two algorithms in one manifest (C08)",
        ),
        pytest.param(named("b", "a"), "order", id="unsorted"),
        pytest.param(named("a", "a"), "order", id="a name twice"),
        pytest.param(
            changed(forge.legacy_statement(), put("subject", [])), "no subjects", id="v0.2 empty"
        ),
        pytest.param(
            changed(
                forge.legacy_statement(), put("subject.0.annotations.actual_hash_algorithm", "x")
            ),
            "file-sha256",
            id="v0.2, another hash",
        ),
        pytest.param(
            changed(forge.legacy_statement(), put("subject.0.name", "z")), "order", id="v0.2 order"
        ),
        pytest.param(
            changed(forge.legacy_statement(), put("predicate.more", "x")),
            "unknown",
            id="v0.2 field",
        ),
        pytest.param(
            changed(forge.legacy_statement(), put("subject.0.extra", "x")),
            "unknown",
            id="v0.2 subject",
        ),
        pytest.param(
            forge.legacy_statement({".": b""}), "dot component", id="v0.2, one file without a name"
        ),
    ],
)
def test_anything_else_is_refused(document: Json, message: str) -> None:
    with pytest.raises(Refused, match=re.escape(message)):
        parsed(document)


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(("a:0:9", "a:10:20"), id="gap"),
        pytest.param(("a:0:10", "a:9:19"), id="overlap"),
        pytest.param(("a:0:10", "a:0:10"), id="a shard twice"),
        pytest.param(("a:1:10",), id="the first bytes missing"),
        pytest.param(("a:0:5", "a:5:10"), id="shards shorter than their size"),
        pytest.param(("a:0:11",), id="a shard longer than its size"),
        pytest.param(("a:0:10", "a:10:21"), id="a last shard longer than its size"),
        pytest.param(("a:10:20",), id="the first shard missing"),
        pytest.param(("a:0:10", "a:20:30"), id="a shard in the middle missing"),
        pytest.param(("a:0:10", "a:10:10"), id="an empty shard"),
        pytest.param(("a:10:0",), id="backwards"),
        pytest.param(("a:0:0",), id="an empty file"),
        pytest.param(("a:00:10",), id="leading zero"),
        pytest.param(("a:0:+10",), id="a sign"),
        pytest.param(("a:0:1_0",), id="an underscore"),
        pytest.param(("a:0: 10",), id="a space"),
        pytest.param(("a:0:\u0661\u0660",), id="digits of another script"),
        pytest.param(("a:0:10\n",), id="a line end"),
        pytest.param(("a",), id="no range"),
        pytest.param((":0:10",), id="no name"),
        pytest.param(("a:0:99999999999999999999",), id="more than 64 bits"),
        pytest.param(("b:0:10", "a:0:10"), id="unsorted"),
    ],
)
def test_shards_must_tile_their_file_exactly(names: tuple[str, ...]) -> None:
    with pytest.raises(Refused):
        parsed(sharded(*names))


@pytest.mark.parametrize("size", [0, -1, True, "10", None])
def test_the_size_of_shards_is_a_positive_integer(size: object) -> None:
    with pytest.raises(Refused):
        parsed(sharded("a:0:10", size=size))


HOSTILE = [
    "",
    ".",
    "..",
    "/",
    "/etc/passwd",
    "../x",
    "a/../b",
    "a/..",
    "a//b",
    "./a",
    "a/",
    "a/./b",
    "a\\b",
    "C:x",
    "a\x00b",
    "a\nb",
    "a\x1b[2Jb",
    "a\u202eb",
    "x" * 256,
    "model.sig",
    "Model.SIG",
    "model.pqc.sig",
    "a/" * 2500 + "b",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_refused(name: str) -> None:
    with pytest.raises(Refused):
        parsed(named(*sorted([name, "zz"])))


@pytest.mark.parametrize("name", ["/etc/passwd", "..", "a/b", "model.sig", "", "."])
def test_a_hostile_name_of_a_single_file_is_refused(name: str) -> None:
    document = changed(named("."), put("subject.0.name", name))
    with pytest.raises(UnsafeName):
        parsed(document)


def test_lone_surrogates_are_refused() -> None:
    with pytest.raises(Refused):
        parsed(named("a\ud800"))


@pytest.mark.parametrize("pair", [("A", "a"), ("\u00e9", "e\u0301")])
def test_names_that_some_storage_takes_for_one_are_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(UnsafeName, match="same on storage"):
        parsed(named(*sorted(pair)))


@pytest.mark.parametrize("path", [".", "", "/", "..", "../x", "a/../..", "a//b", "./a", "a/"])
def test_ignored_paths_are_proper_and_below_the_root(path: str) -> None:
    with pytest.raises(UnsafeName):
        parsed(named("a", ignore_paths=[path]))


@pytest.mark.parametrize(
    "key", ["_type", "subject", "predicate", "digest", "name", "method", "resources"]
)
def test_a_key_that_appears_twice_is_refused_at_every_level(key: str) -> None:
    text = forge.compact(named("a")).decode()
    doubled = re.sub(rf'"{key}": ', f'"{key}": null, "{key}": ', text, count=1)
    assert json.loads(doubled) == named("a")
    with pytest.raises(Refused, match="twice"):
        statement.parse(doubled.encode())


def test_more_ignored_paths_than_anybody_needs_are_refused() -> None:
    with pytest.raises(LimitExceeded):
        parsed(named("a", ignore_paths=["x"] * 10_001))
