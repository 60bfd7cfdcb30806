"""The manifest as a value: names of models, order of files, sums."""

import pytest
from tests.support.documents import MANIFEST, segment

from weightlock.digests import Digest, HashAlgorithm
from weightlock.errors import Malformed
from weightlock.formats import tree
from weightlock.formats.manifest import (
    MAX_MODEL_NAME_CHARACTERS,
    FileEntry,
    SegmentEntry,
    check_model_name,
    file_entry,
    in_order,
    model_root,
)

SHA256 = HashAlgorithm.SHA256


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("a", id="a letter"),
        pytest.param("7", id="a digit"),
        pytest.param("meta-llama/Llama-3.1_70B", id="every kind of character"),
        pytest.param("a" * MAX_MODEL_NAME_CHARACTERS, id="the longest"),
    ],
)
def test_a_model_has_a_plain_name(name: str) -> None:
    check_model_name(name)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("", id="nothing"),
        pytest.param("-a", id="a dash first"),
        pytest.param("a/", id="a slash last"),
        pytest.param(".", id="a dot"),
        pytest.param("a b", id="a blank"),
        pytest.param("a*", id="a wildcard"),
        pytest.param("a\n", id="a line end"),
        pytest.param("a:b", id="a colon"),
        pytest.param("ll\u00e4ma", id="a letter outside ASCII"),
        pytest.param("\u0661", id="a digit outside ASCII"),
        pytest.param("a" * (MAX_MODEL_NAME_CHARACTERS + 1), id="one character too many"),
    ],
)
def test_any_other_name_is_refused_with_advice(name: str) -> None:
    with pytest.raises(Malformed) as found:
        check_model_name(name)
    assert found.value.hint


def test_files_are_in_the_order_of_their_bytes() -> None:
    # U+E000 comes before U+1F600 in UTF-8 and after it in UTF-16; locales differ on capitals (C16).
    names = ["Z", "a", "a-b", "a/b", "ab", "z", "\u00e9", "\ue000", "\U0001f600"]
    shuffled = [FileEntry(name, 0, b"", ()) for name in sorted(names, reverse=True)]
    assert [file.name for file in in_order(shuffled)] == names


def test_a_file_is_as_long_as_its_segments() -> None:
    segments = [SegmentEntry(3, b"x" * 32), SegmentEntry(4, b"y" * 32)]
    entry = file_entry(SHA256, "a", segments)
    assert entry == FileEntry(
        "a", 7, tree.file_root(SHA256, 7, [b"x" * 32, b"y" * 32]), tuple(segments)
    )


def test_a_manifest_knows_its_digest_and_its_bytes() -> None:
    assert MANIFEST.digest == Digest(SHA256, MANIFEST.root)
    assert MANIFEST.total_bytes == 20_005


def test_two_models_that_differ_only_in_names_have_two_roots() -> None:
    # With plain hashes of files in a list, `config.json` could become `a.txt` unseen (A36).
    content = [segment(tree.TreeParameters(), b"x")]
    one = [file_entry(SHA256, "config.json", content)]
    other = [file_entry(SHA256, "a.txt", content)]
    assert model_root(SHA256, one) != model_root(SHA256, other)
