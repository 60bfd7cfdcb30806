"""A closed world: the signed files, all of them, and nothing else."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from tests.unit.oms import forge
from tests.unit.oms.forge import MODEL, Json

from weightlock.oms import contents, statement
from weightlock.oms.contents import Comparison
from weightlock.reasons import Reason


@dataclass(frozen=True)
class Present:
    name: str
    size: int


def compared(document: Json, present: Mapping[str, int], *tolerated: str) -> Comparison:
    manifest = statement.parse(forge.compact(document))
    files = [Present(name, size) for name, size in present.items()]
    return contents.compared(manifest, files, frozenset(tolerated))


def found(comparison: Comparison) -> list[tuple[Reason, str]]:
    return [(finding.reason, finding.name) for finding in comparison.findings]


SIZES = {name: len(content) for name, content in MODEL.items()}
FULL = {name: len(content) for name, content in MODEL.items() if content}
FILES = forge.files_statement()
SHARDS = forge.shards_statement()


def test_the_same_files_are_hashed_whole() -> None:
    comparison = compared(FILES, SIZES)
    assert comparison.findings == ()
    assert [(part.file, part.offset, part.length) for part in comparison.stretches] == [
        (0, 0, 2),
        (1, 0, 0),
        (2, 0, 2500),
    ]


def test_shards_are_hashed_one_by_one() -> None:
    comparison = compared(SHARDS, FULL)
    assert comparison.findings == ()
    assert [(part.offset, part.length) for part in comparison.stretches] == [
        (0, 2),
        (0, 1000),
        (1000, 1000),
        (2000, 500),
    ]
    assert comparison.names == ("config.json", *["weights.bin"] * 3)


@pytest.mark.parametrize(
    "name",
    [
        "pytorch_model.bin", "modeling_x.py", "__init__.py", "sitecustomize.py", "x.pth",
        "adapter_config.json", "model.safetensors.index.json", "sub/model.sig", "x.sig",
        "sub/model.pqc.sig", "claims.jsonl", ".git/hooks/post-checkout", ".gitattributes",
        ".github/x", ".gitignore", ".hidden",
    ],
)  # fmt: skip
def test_a_file_that_nobody_signed_is_extra_wherever_it_lies(name: str) -> None:
    assert found(compared(FILES, {**SIZES, name: 1})) == [(Reason.EXTRA_FILE, name)]


@pytest.mark.parametrize("name", ["model.sig", "model.pqc.sig"])
def test_the_two_signature_files_at_the_root_are_outside(name: str) -> None:
    assert found(compared(FILES, {**SIZES, name: 1})) == []


@pytest.mark.parametrize("name", MODEL)
def test_a_signed_file_that_is_not_there_is_missing(name: str) -> None:
    rest = {other: size for other, size in SIZES.items() if other != name}
    assert found(compared(FILES, rest)) == [(Reason.MISSING_FILE, name)]


def test_a_renamed_file_is_missing_and_extra() -> None:
    sizes = {"config.json": 2, "sub/empty": 0, "weights.pth": 2500}
    assert found(compared(FILES, sizes)) == [
        (Reason.MISSING_FILE, "weights.bin"),
        (Reason.EXTRA_FILE, "weights.pth"),
    ]


@pytest.mark.parametrize("size", [0, 1999, 2499, 2501, 3000])
def test_a_file_longer_or_shorter_than_its_shards_is_not_hashed(size: int) -> None:
    assert found(compared(SHARDS, {**FULL, "weights.bin": size})) == [
        (Reason.CONTENT_MISMATCH, "weights.bin")
    ]


def test_an_empty_file_that_shards_leave_out_is_extra_with_a_way_out() -> None:
    comparison = compared(SHARDS, SIZES)
    assert found(comparison) == [(Reason.EXTRA_FILE, "sub/empty")]
    assert "by shards" in comparison.findings[0].hint


def test_what_the_signer_ignored_is_extra_and_says_so() -> None:
    document = forge.statement(FILES["predicate"]["resources"], ignore_paths=[".git", "cache"])
    comparison = compared(document, {**SIZES, ".git/config": 1, "cache": 1, ".github/x": 1})
    assert found(comparison) == [
        (Reason.EXTRA_FILE, ".git/config"),
        (Reason.EXTRA_FILE, "cache"),
        (Reason.EXTRA_FILE, ".github/x"),
    ]
    assert ["on purpose" in finding.hint for finding in comparison.findings] == [True, True, False]


def test_many_extra_files_under_many_ignored_paths_take_linear_time() -> None:
    resources = [forge.resource(name, content) for name, content in MODEL.items()]
    ignored = [f"ignored-{number}" for number in range(10_000)]
    document = forge.statement(resources, ignore_paths=ignored)
    extra = {f"some/folder/{number}": 1 for number in range(30_000)}
    manifest = statement.parse(forge.compact(document))
    present = [Present(name, size) for name, size in (SIZES | extra).items()]
    started = time.process_time()
    contents.compared(manifest, present, frozenset())
    assert time.process_time() - started < 1


class TestTolerated:
    """What a caller puts up with is named by the caller, matched by component, and reported."""

    def test_files_below_a_tolerated_path_are_reported(self) -> None:
        present = {**SIZES, ".git/hooks/x": 1, ".git/config": 1, ".gitignore": 1}
        comparison = compared(FILES, present, ".git", ".gitignore")
        assert comparison.findings == ()
        assert comparison.tolerated == (".git/hooks/x", ".git/config", ".gitignore")

    @pytest.mark.parametrize("name", [".github/x", ".gitx", "sub/.git/x", ".GIT/x"])
    def test_a_path_that_only_looks_like_it_is_extra(self, name: str) -> None:
        assert found(compared(FILES, {**SIZES, name: 1}, ".git")) == [(Reason.EXTRA_FILE, name)]

    def test_what_the_signer_ignored_is_not_tolerated_by_that_alone(self) -> None:
        document = forge.statement(FILES["predicate"]["resources"], ignore_paths=["x"])
        assert found(compared(document, {**SIZES, "x": 1}, "y")) == [(Reason.EXTRA_FILE, "x")]

    def test_a_signed_file_stays_signed_below_a_tolerated_path(self) -> None:
        comparison = compared(FILES, SIZES, "sub", "weights.bin")
        assert comparison.tolerated == ()
        assert len(comparison.stretches) == 3

    def test_the_empty_path_tolerates_nothing(self) -> None:
        assert found(compared(FILES, {**SIZES, "x": 1}, "", ".", "/")) == [(Reason.EXTRA_FILE, "x")]


class TestMismatches:
    """Digests are compared one by one with those that were signed."""

    def test_equal_digests_are_no_finding(self) -> None:
        comparison = compared(SHARDS, FULL)
        assert contents.mismatches(comparison, comparison.expected) == ()

    @pytest.mark.parametrize("index", range(4))
    def test_one_wrong_shard_is_a_wrong_file(self, index: int) -> None:
        comparison = compared(SHARDS, FULL)
        digests = list(comparison.expected)
        digests[index] = forge.digest_of(b"other")
        [finding] = contents.mismatches(comparison, digests)
        assert (finding.reason, finding.name) == (
            Reason.CONTENT_MISMATCH,
            comparison.names[index],
        )

    def test_several_wrong_shards_are_one_wrong_file(self) -> None:
        comparison = compared(SHARDS, FULL)
        wrong = [forge.digest_of(b"other")] * 4
        assert len(contents.mismatches(comparison, wrong)) == 2

    @pytest.mark.parametrize("count", [0, 3, 5])
    def test_lists_of_unequal_lengths_never_compare(self, count: int) -> None:
        comparison = compared(SHARDS, FULL)
        with pytest.raises(ValueError, match="zip"):
            contents.mismatches(comparison, [*comparison.expected, *comparison.expected][:count])


@pytest.mark.parametrize(("extra", "listed"), [(20, 20), (21, 21), (1000, 21)])
def test_many_findings_are_counted(extra: int, listed: int) -> None:
    comparison = compared(FILES, {**SIZES, **{f"x{i:04}": 1 for i in range(extra)}})
    assert len(comparison.findings) == listed
    assert {finding.reason for finding in comparison.findings} == {Reason.EXTRA_FILE}
    assert (comparison.findings[-1].name == "") is (extra > 20)
