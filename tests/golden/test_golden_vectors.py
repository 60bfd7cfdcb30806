"""The vectors are what the code computes, what the specification says, and what keys accept.

After a deliberate change of a format, renew them: python -m tests.golden.generate
"""

import base64
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.golden import envelopes, second
from tests.golden.generate import ENVELOPES, FOLDER, read, vectors
from tests.support import folders, keys

from weightlock.engines.cpu import CpuEngine
from weightlock.errors import UnsafeName
from weightlock.formats import envelope, filenames
from weightlock.formats.envelope import EnvelopeSignature
from weightlock.formats.manifest import ModelIdentity
from weightlock.formats.spki import public_key_info
from weightlock.hashing import HashingOptions, Nobody
from weightlock.keys.signing import signing_key
from weightlock.signatures.schemes import VerifyingKey
from weightlock.signatures.trying import signature_facts
from weightlock.signatures.verifying import verifying_key
from weightlock.signing import SigningOptions, sign

COMPUTED = vectors()
TREE, LTHASH, NAMES, SIGNED = map(read, ("tree.json", "lthash.json", "filenames.json", ENVELOPES))


@pytest.mark.parametrize("name", COMPUTED)
def test_the_vectors_are_what_the_code_computes(name: str) -> None:
    stored = (FOLDER / name).read_text()
    assert stored == COMPUTED[name], "renew them: python -m tests.golden.generate"


@pytest.mark.parametrize("name", COMPUTED)
def test_each_file_explains_itself_in_plain_ascii(name: str) -> None:
    stored = (FOLDER / name).read_bytes()
    assert stored.isascii()
    assert all(isinstance(line, str) for line in read(name)["_comment"])
    assert b"PRIVATE" not in stored


def test_trees_follow_from_the_specification_alone() -> None:
    for row in TREE["leaves"]:
        leaf = second.mth(row["hash"], [second.pattern(row["length"])])
        assert leaf.hex() == row["leaf"]
    for row in TREE["nodes"]:
        sides = bytes.fromhex(row["left"] + row["right"])
        assert second.h(row["hash"], b"\x01" + sides).hex() == row["node"]
    for row in TREE["trees"]:
        chunks = [bytes.fromhex(chunk) for chunk in row["chunks"]]
        assert second.mth(row["hash"], chunks).hex() == row["root"]


def test_segments_follow_from_the_specification_alone() -> None:
    for row in TREE["segments"]:
        data = second.pattern(row["length"])
        leaves = second.mth(row["hash"], second.cut(data, row["leafSize"]))
        assert leaves.hex() == row["leavesRoot"]
        assert second.segment(row["hash"], row["leafSize"], data).hex() == row["root"]


def test_files_and_models_follow_from_the_specification_alone() -> None:
    for row in TREE["files"]:
        parts = [second.pattern(length) for length in row["segments"]]
        roots = [second.segment(row["hash"], row["leafSize"], part) for part in parts]
        assert second.file(row["hash"], sum(row["segments"]), roots).hex() == row["root"]
    for row in TREE["models"]:
        files = [
            (file["name"].encode(), file["length"], bytes.fromhex(file["root"]))
            for file in row["files"]
        ]
        assert second.model(row["hash"], files).hex() == row["root"]


def _sha256(value: second.Lanes) -> str:
    return hashlib.sha256(second.packed(value)).hexdigest()


def test_lattice_sums_follow_from_the_specification_alone() -> None:
    for row in LTHASH["elements"]:
        place = row["file"], row["segment"], row["chunk"]
        if "content" in row:
            found = second.element(place, bytes.fromhex(row["content"]))
            assert second.packed(found) == base64.b64decode(row["lanes"])
        else:
            assert _sha256(second.element(place, second.pattern(row["length"]))) == row["sha256"]
    for row in LTHASH["segments"]:
        total = second.lanes(bytes(2048))
        chunks = second.cut(second.pattern(row["length"]), row["leafSize"])
        for number, chunk in enumerate(chunks):
            place = row["file"], row["segment"], number
            total = second.plus(total, second.element(place, chunk))
        assert _sha256(total) == row["sha256"]
    for row in LTHASH["sums"]:
        left, right = (second.lanes(base64.b64decode(row[side])) for side in ("left", "right"))
        assert _sha256(second.plus(left, right)) == row["plusSha256"]
        assert _sha256(second.minus(left, right)) == row["minusSha256"]


def _text(row: dict[str, str]) -> str:
    return bytes.fromhex(row["utf8"]).decode("utf-8", "surrogateescape")


@pytest.mark.parametrize("row", NAMES["accepted"], ids=lambda row: row["shown"])
def test_names_that_are_listed_as_fine_are(row: dict[str, str]) -> None:
    filenames.check_all([_text(row)])


@pytest.mark.parametrize("row", NAMES["refused"], ids=lambda row: row["shown"])
def test_names_that_are_listed_as_refused_are(row: dict[str, str]) -> None:
    with pytest.raises(UnsafeName):
        filenames.check(_text(row))


@pytest.mark.parametrize("row", NAMES["together"], ids=lambda row: row["names"][0]["shown"])
def test_names_that_are_listed_as_refused_together_are(row: dict[str, Any]) -> None:
    names = [_text(name) for name in row["names"]]
    for name in names:
        filenames.check(name)
    with pytest.raises(UnsafeName):
        filenames.check_all(names)


def _trusted() -> list[VerifyingKey]:
    return [verifying_key(public_key_info(row["publicKey"])) for row in SIGNED["keys"]]


@pytest.mark.parametrize("row", SIGNED["signed"], ids=lambda row: row["case"])
def test_each_signature_is_accepted_by_the_key_that_is_listed(row: dict[str, Any]) -> None:
    found = envelope.parse(row["envelope"].encode())
    facts = signature_facts(found, _trusted())
    assert [fact.keyid if fact.valid else None for fact in facts] == row["accepted"]


@pytest.mark.parametrize("row", SIGNED["signed"], ids=lambda row: row["case"])
def test_no_signature_is_accepted_over_another_payload(row: dict[str, Any]) -> None:
    found = envelope.parse(row["envelope"].encode())
    other = envelope.Envelope(b"{" + found.payload, found.signatures)
    assert not any(fact.valid for fact in signature_facts(other, _trusted()))


def test_keys_with_a_seed_come_from_it() -> None:
    for row in SIGNED["keys"]:
        info = public_key_info(row["publicKey"])
        assert (info.algorithm.name, info.keyid) == (row["algorithm"], row["keyid"])
        if row["seed"] is not None:
            assert envelopes.seed(row["algorithm"]).hex() == row["seed"]
            assert envelopes.seeded_key(row["algorithm"]).public == info


def test_new_signatures_of_seeded_keys_are_accepted_too() -> None:
    made = envelope.Envelope(b"{}", ())
    key = signing_key(envelopes.seeded_key("ML-DSA-65"))
    entry = EnvelopeSignature("00" * 32, key.sign(made.signed_bytes))
    [fact] = signature_facts(envelope.Envelope(b"{}", (entry,)), _trusted())
    assert fact.valid
    assert fact.keyid == key.public_key.keyid


def test_a_signed_folder_follows_from_the_specification_alone(tmp_path: Path) -> None:
    tensors = folders.safetensors({"a": b"abc", "empty": b"", "b": bytes(40_000)}, gap=3)
    content = {**folders.SAMPLE, "w.safetensors": tensors}
    options = SigningOptions(ModelIdentity("llama", 1), datetime(2026, 11, 21, tzinfo=UTC))
    hashing = HashingOptions(CpuEngine(1))
    sign(folders.write(tmp_path, content), [keys.key()], options, hashing, Nobody())

    document = json.loads((tmp_path / "model.pqc.sig").read_text())
    predicate = json.loads(base64.b64decode(document["payload"]))["predicate"]
    leaf_size, listed = predicate["tree"]["leafSize"], predicate["files"]
    files = []
    for file in listed:
        data, roots, at = (tmp_path / file["name"]).read_bytes(), [], 0
        for part in file["segments"]:
            roots.append(second.segment("sha256", leaf_size, data[at : at + part["length"]]))
            at += part["length"]
            assert roots[-1].hex() == part["root"]
        assert at == len(data) == file["size"]
        files.append((file["name"].encode(), at, second.file("sha256", at, roots)))
        assert files[-1][2].hex() == file["root"]
    assert sorted(name.decode() for name, _, _ in files) == sorted(content)
    assert second.model("sha256", files).hex() == predicate["tree"]["root"]
