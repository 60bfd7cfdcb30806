"""The specification has the numbers and names of the code; a change of one must reach the other."""

import re
from pathlib import Path

import pytest

from weightlock import algorithms, names
from weightlock.digests import HashAlgorithm
from weightlock.formats import (
    envelope,
    filenames,
    manifest,
    segments,
    statement,
    strict_json,
    tree,
)

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docs/checkpoint-format.md").read_text()
NUMBERS = set(map(int, re.findall(r"\b\d+\b", TEXT)))


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(envelope.MAX_ENVELOPE_BYTES, id="bytes of an envelope"),
        pytest.param(envelope.MAX_SIGNATURES, id="signatures"),
        pytest.param(strict_json.MAX_DEPTH, id="depth of JSON"),
        pytest.param(strict_json.MAX_VALUES, id="values of JSON"),
        pytest.param(filenames.MAX_NAME_BYTES, id="bytes of a name"),
        pytest.param(filenames.MAX_COMPONENT_BYTES, id="bytes of a component"),
        pytest.param(manifest.MAX_MODEL_NAME_CHARACTERS, id="characters of a model's name"),
        pytest.param(statement.MAX_FILES, id="files"),
        pytest.param(statement.MAX_SEGMENTS, id="segments of a file"),
        pytest.param(segments.SEGMENT_BYTES, id="bytes of a segment"),
        pytest.param(segments.MAX_HEADER_BYTES, id="bytes of a safetensors header"),
        pytest.param(tree.MIN_LEAF_BYTES, id="the smallest leaf"),
        pytest.param(tree.MAX_LEAF_BYTES, id="the largest leaf"),
        pytest.param(tree.DEFAULT_LEAF_BYTES, id="the usual leaf"),
    ],
)
def test_every_limit_stands_in_the_specification(number: int) -> None:
    assert number in NUMBERS


@pytest.mark.parametrize("algorithm", HashAlgorithm)
def test_every_hash_stands_in_the_specification(algorithm: HashAlgorithm) -> None:
    row = f"| `{algorithm}` | {algorithm.id_byte[0]} | {algorithm.digest_bytes} |"
    assert row in TEXT


@pytest.mark.parametrize(
    "algorithm",
    [*algorithms.POST_QUANTUM[:3], *algorithms.CLASSICAL, *algorithms.SLH_DSA[:6]],
    ids=str,
)
def test_every_signature_algorithm_stands_in_the_specification(
    algorithm: algorithms.SignatureAlgorithm,
) -> None:
    name = algorithm.name
    assert f"`{name}`" in TEXT or f"`-{name.rpartition('-')[2]}`" in TEXT
    assert algorithm.signature_bytes is None or algorithm.signature_bytes in NUMBERS
    for part in algorithm.oid.split("/"):
        assert part in TEXT or part.startswith("2.16.840.1.101.3.4.3.")


@pytest.mark.parametrize(
    "word",
    [
        names.ENVELOPE_FILE,
        names.OMS_FILE,
        names.IN_TOTO_PAYLOAD_TYPE,
        names.STATEMENT_TYPE,
        names.PREDICATE_TYPE,
        names.TREE_ID,
        names.LTHASH_ID,
        *(tag.decode() for tag in (names.SEGMENT_TAG, names.FILE_TAG, names.MODEL_TAG)),
        names.LTHASH_TAG.decode(),
    ],
)
def test_every_word_of_the_format_stands_in_the_specification(word: str) -> None:
    assert word in TEXT
