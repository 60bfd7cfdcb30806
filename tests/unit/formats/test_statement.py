"""The manifest as JSON: what it says is read, whatever else it could say is refused (A24)."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.support.documents import MANIFEST, NOTARISED, segment

from weightlock.algorithms import ED25519, ML_DSA_87
from weightlock.digests import HashAlgorithm
from weightlock.errors import LimitExceeded, Malformed, UnsafeName, WeightlockError
from weightlock.formats import statement
from weightlock.formats.manifest import Manifest, file_entry, model_root

Change = Callable[[Any], object]


def document(manifest: Manifest = MANIFEST) -> Any:
    return json.loads(statement.serialise(manifest))


def parse(value: object) -> Manifest:
    return statement.parse(json.dumps(value).encode())


def put(path: str, value: object) -> Change:
    """Set what a path such as `predicate.files.0.size` leads to."""
    *parents, last = path.split(".")

    def change(value_here: Any) -> None:
        for key in parents:
            value_here = value_here[int(key) if key.isdigit() else key]
        value_here[int(last) if last.isdigit() else last] = value

    return change


def drop(path: str) -> Change:
    *parents, last = path.split(".")

    def change(value_here: Any) -> None:
        for key in parents:
            value_here = value_here[int(key) if key.isdigit() else key]
        del value_here[int(last) if last.isdigit() else last]

    return change


def swap_files(value: Any) -> None:
    value["predicate"]["files"][:2] = reversed(value["predicate"]["files"][:2])


def repeat_file(value: Any) -> None:
    value["predicate"]["files"].append(value["predicate"]["files"][-1])


def repeat_signer(value: Any) -> None:
    value["predicate"]["signers"] *= 2


def swap_segments(value: Any) -> None:
    value["predicate"]["files"][2]["segments"].reverse()


def add_empty_segment(value: Any) -> None:
    segments = value["predicate"]["files"][2]["segments"]
    segments.append({"length": 0, "root": segments[0]["root"]})


def remove_file(value: Any) -> None:
    del value["predicate"]["files"][1]


P = "predicate."
OTHER_ROOT = "00" * 32


def test_a_manifest_is_read_as_it_was_written() -> None:
    assert parse(document()) == MANIFEST


def test_every_optional_part_is_read_as_it_was_written() -> None:
    found = parse(document(NOTARISED))
    assert found == NOTARISED
    assert found.parameters.algorithm is HashAlgorithm.SHA3_512
    assert [signer.algorithm for signer in found.signers] == [ML_DSA_87, ED25519]
    assert found.lthash is not None
    assert found.upstream is not None
    assert (found.upstream.method, found.upstream.identity) == ("certificate", "CN=release")


def test_the_payload_has_exactly_these_bytes() -> None:
    head = (
        b'{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"llama-70b","digest":'
        b'{"rfc6962-v1-sha256":"%s"}}],"predicateType":"https://weightlock.dev/checkpoint/v1",'
        b'"predicate":{"model":{"name":"llama-70b","version":3},"createdAt":"2026-11-21T09:30:00Z",'
        b'"tree":{"id":"rfc6962-v1","hash":"sha256","leafSize":16384,"root":"%s"},"signers":'
        b'[{"algorithm":"ML-DSA-65","keyid":"%s"}],"files":[{"name":"config.json","size":2,"root":'
    ) % (MANIFEST.root.hex().encode(), MANIFEST.root.hex().encode(), b"ab" * 32)
    assert statement.serialise(MANIFEST).startswith(head)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(put("_type", "https://in-toto.io/Statement/v0.1"), id="an older statement"),
        pytest.param(put("predicateType", "https://slsa.dev/provenance/v1"), id="C20 provenance"),
        pytest.param(put("predicateType", "https://weightlock.dev/checkpoint/v2"), id="version 2"),
        pytest.param(drop("_type"), id="no type"),
        pytest.param(put("extra", 1), id="an unknown field of the statement"),
        pytest.param(put("predicate", []), id="a predicate that is a list"),
        pytest.param(put(P + "ignore", ["*"]), id="an unknown field of the predicate"),
        pytest.param(put("subject", []), id="no subject"),
        pytest.param(put("subject.0.name", "mistral"), id="another model as subject"),
        pytest.param(put("subject.0.digest", {"sha256": MANIFEST.root.hex()}), id="as plain hash"),
        pytest.param(put("subject.0.digest.sha512", "00"), id="a second digest of the subject"),
        pytest.param(put("subject.0.uri", "x"), id="an unknown field of the subject"),
        pytest.param(put("subject.0.digest.rfc6962-v1-sha256", OTHER_ROOT), id="another root"),
        pytest.param(drop(P + "model"), id="no model"),
        pytest.param(put(P + "model.name", ""), id="a model without name"),
        pytest.param(put(P + "model.name", "-x"), id="a model name that begins with a dash"),
        pytest.param(put(P + "model.version", "3"), id="a version that is a string"),
        pytest.param(put(P + "model.version", True), id="a version that is true"),
        pytest.param(put(P + "model.version", -1), id="a version below zero"),
        pytest.param(put(P + "model.version", 2**63), id="a version of 64 bits"),
        pytest.param(put(P + "model.version", 3.0), id="a version that is a fraction"),
        pytest.param(put(P + "model.extra", 1), id="an unknown field of the model"),
        pytest.param(put(P + "createdAt", "2026-11-21 09:30:00Z"), id="a blank in the time"),
        pytest.param(put(P + "createdAt", "2026-11-21T09:30:00+00:00"), id="an offset"),
        pytest.param(put(P + "createdAt", "2026-11-21T09:30:00.5Z"), id="parts of a second"),
        pytest.param(put(P + "createdAt", "2026-11-21T09:30:00z"), id="a small z"),
        pytest.param(put(P + "createdAt", "2026-11-21"), id="a day only"),
        pytest.param(put(P + "createdAt", "\u0662026-11-21T09:30:00Z"[1:]), id="other digits"),
        pytest.param(put(P + "createdAt", "2026-02-29T09:30:00Z"), id="29 February"),
        pytest.param(put(P + "createdAt", "2026-13-01T09:30:00Z"), id="the thirteenth month"),
        pytest.param(put(P + "createdAt", "2026-11-21T24:00:00Z"), id="hour 24"),
        pytest.param(put(P + "createdAt", "2026-11-21T09:60:00Z"), id="minute 60"),
        pytest.param(put(P + "createdAt", "2026-12-31T23:59:60Z"), id="a leap second"),
        pytest.param(put(P + "createdAt", "0000-11-21T09:30:00Z"), id="year 0"),
        pytest.param(put(P + "createdAt", 1795253400), id="seconds"),
        pytest.param(put(P + "tree.id", "rfc6962-v2"), id="an unknown tree"),
        pytest.param(put(P + "tree.hash", "sha512"), id="C08 the root of another hash"),
        pytest.param(put(P + "tree.hash", "SHA256"), id="C08 a hash in capitals"),
        pytest.param(put(P + "tree.hash", "md5"), id="C08 a broken hash"),
        pytest.param(put(P + "tree.hash", "blake2b"), id="C08 a hash of other tools"),
        pytest.param(put(P + "tree.leafSize", 2048), id="leaves too small"),
        pytest.param(put(P + "tree.leafSize", 2 * 1024 * 1024), id="leaves too large"),
        pytest.param(put(P + "tree.leafSize", 16385), id="leaves of no power of two"),
        pytest.param(put(P + "tree.leafSize", 0), id="leaves of nothing"),
        pytest.param(put(P + "tree.leafSize", "16384"), id="leaves of a string"),
        pytest.param(put(P + "tree.root", OTHER_ROOT), id="a root that is not the files'"),
        pytest.param(put(P + "tree.root", MANIFEST.root.hex().upper()), id="C08 capitals"),
        pytest.param(put(P + "tree.root", MANIFEST.root.hex()[:-2]), id="C15 a root cut short"),
        pytest.param(put(P + "tree.root", MANIFEST.root.hex() + "00"), id="C15 a root with more"),
        pytest.param(put(P + "tree.root", " " + MANIFEST.root.hex()[1:]), id="C08 a blank"),
        pytest.param(put(P + "tree.extra", 1), id="an unknown field of the tree"),
        pytest.param(put(P + "signers", []), id="no signers"),
        pytest.param(drop(P + "signers"), id="no list of signers"),
        pytest.param(repeat_signer, id="C02 a signer twice"),
        pytest.param(put(P + "signers.0.algorithm", "ML-DSA-66"), id="an unknown algorithm"),
        pytest.param(put(P + "signers.0.algorithm", "ml-dsa-65"), id="an algorithm in small"),
        pytest.param(put(P + "signers.0.keyid", "AB" * 32), id="an identifier in capitals"),
        pytest.param(put(P + "signers.0.keyid", "ab" * 31), id="an identifier cut short"),
        pytest.param(put(P + "signers.0.optional", True), id="an unknown field of a signer"),
        pytest.param(put(P + "files", []), id="no files"),
        pytest.param(swap_files, id="C16 files out of order"),
        pytest.param(remove_file, id="a file less than the root says"),
        pytest.param(put(P + "files.0.root", OTHER_ROOT), id="a file's root not its segments'"),
        pytest.param(put(P + "files.0.size", 3), id="C10 a size that is not its segments'"),
        pytest.param(put(P + "files.0.size", "2"), id="a size that is a string"),
        pytest.param(put(P + "files.0.extra", 1), id="an unknown field of a file"),
        pytest.param(put(P + "files.0.segments", []), id="segments lost"),
        pytest.param(put(P + "files.0.segments.0.extra", 1), id="an unknown field of a segment"),
        pytest.param(put(P + "files.0.segments.0.length", 0), id="a segment of nothing"),
        pytest.param(put(P + "files.0.segments.0.root", OTHER_ROOT), id="another segment's root"),
        pytest.param(put(P + "files.0.segments.0", 1), id="a segment that is a number"),
        pytest.param(swap_segments, id="segments out of order"),
        pytest.param(add_empty_segment, id="a segment of nothing more"),
        pytest.param(put(P + "lthash", {"id": "lthash-v2", "sum": ""}), id="an unknown lthash"),
        pytest.param(put(P + "lthash", {"id": "lthash-v1", "sum": "AAAA"}), id="a short lthash"),
        pytest.param(put(P + "lthash", None), id="an lthash that is null"),
        pytest.param(put(P + "upstream", None), id="an upstream signer that is null"),
    ],
)
def test_a_manifest_that_departs_from_its_form_or_its_root_is_refused(change: Change) -> None:
    changed = document()
    change(changed)
    with pytest.raises(Malformed):
        parse(changed)


@pytest.mark.parametrize(
    "name",
    ["../x", "/x", "a//b", "a\x00", "model.pqc.sig", "MODEL.SIG"],
)
def test_a_name_that_no_checkpoint_may_have_is_refused(name: str) -> None:
    changed = document()
    changed["predicate"]["files"][0]["name"] = name
    with pytest.raises(UnsafeName):
        parse(changed)


def test_a_name_that_stands_twice_is_refused() -> None:
    changed = document()
    repeat_file(changed)
    with pytest.raises(UnsafeName):
        parse(changed)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(put(P + "lthash.extra", 1), id="an unknown field of the lattice hash"),
        pytest.param(put(P + "upstream.method", "keyless"), id="an unknown method"),
        pytest.param(put(P + "upstream.payloadSha256", "01" * 31), id="a digest cut short"),
        pytest.param(put(P + "upstream.payloadSha256", "AB" * 32), id="a digest in capitals"),
        pytest.param(drop(P + "upstream.issuer"), id="no issuer"),
        pytest.param(put(P + "upstream.extra", 1), id="an unknown field of the upstream signer"),
    ],
)
def test_an_optional_part_that_departs_from_its_form_is_refused(change: Change) -> None:
    changed = document(NOTARISED)
    change(changed)
    with pytest.raises(Malformed):
        parse(changed)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(put("subject", [1, 2]), id="two subjects"),
        pytest.param(put(P + "signers", [0] * 17), id="17 signers"),
        pytest.param(put(P + "files", [""] * 1_000_001), id="1,000,001 files"),
        pytest.param(put(P + "files.0.segments", [""] * 1_000_001), id="1,000,001 segments"),
        pytest.param(put(P + "model.name", "a" * 4097), id="4097 characters"),
    ],
)
def test_more_than_any_checkpoint_needs_is_refused(change: Change) -> None:
    changed = document()
    change(changed)
    with pytest.raises(LimitExceeded):
        parse(changed)


def test_a_segment_of_nothing_is_refused_even_where_all_roots_agree() -> None:
    files = (file_entry(HashAlgorithm.SHA256, "a", [segment(MANIFEST.parameters, b"")]),)
    root = model_root(HashAlgorithm.SHA256, files)
    with pytest.raises(Malformed, match="length is 0"):
        statement.parse(statement.serialise(replace(MANIFEST, files=files, root=root)))


def test_every_cut_of_a_manifest_is_refused() -> None:
    data = statement.serialise(MANIFEST)
    for end in range(len(data)):
        with pytest.raises(Malformed):
            statement.parse(data[:end])


def test_every_byte_of_a_manifest_counts() -> None:
    data = statement.serialise(MANIFEST)
    for at in range(len(data)):
        spoiled = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        try:
            assert statement.parse(spoiled) != MANIFEST
        except WeightlockError:
            continue
