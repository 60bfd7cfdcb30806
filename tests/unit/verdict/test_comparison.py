"""What lies there beside what was signed: names, sizes, and the content of single segments."""

import pytest

from weightlock.formats.manifest import FileEntry, SegmentEntry
from weightlock.reasons import Reason
from weightlock.verdict.comparison import content_finding, structure_findings

ROOTS = (b"a" * 32, b"b" * 32, b"c" * 32)
FILE = FileEntry(
    "weights.bin",
    60,
    b"f" * 32,
    tuple(SegmentEntry(length, root) for length, root in zip((10, 20, 30), ROOTS, strict=True)),
)
EVIL = b"e" * 32


@pytest.mark.parametrize(
    ("segments", "roots", "words"),
    [
        pytest.param([0, 1, 2], ROOTS, None, id="all as signed"),
        pytest.param([1], ROOTS[1:2], None, id="one of them, as signed"),
        pytest.param([], [], None, id="none was hashed"),
        pytest.param([0, 1, 2], (EVIL, *ROOTS[1:]), "in bytes 0 to 10", id="the first"),
        pytest.param([0, 1, 2], (ROOTS[0], EVIL, ROOTS[2]), "in bytes 10 to 30", id="the second"),
        pytest.param([2], [EVIL], "in bytes 30 to 60", id="the last, hashed alone"),
        pytest.param(
            [0, 1, 2], (ROOTS[0], EVIL, EVIL), "bytes 10 to 30 and 1 more segments", id="two"
        ),
        pytest.param([0, 1, 2], (EVIL,) * 3, "bytes 0 to 10 and 2 more segments", id="all"),
        pytest.param([0, 1, 2], (ROOTS[1], ROOTS[0], ROOTS[2]), "0 to 10 and 1", id="swapped"),
        pytest.param([0], [ROOTS[0][:31]], "in bytes 0 to 10", id="a root cut short"),
    ],
)
def test_a_segment_that_differs_is_told_by_its_place(
    segments: list[int], roots: list[bytes], words: str | None
) -> None:
    found = content_finding(FILE, segments, roots)
    assert (found is None) is (words is None)
    if found is not None and words is not None:
        assert (found.reason, found.name) == (Reason.CONTENT_MISMATCH, "weights.bin")
        assert found.message.endswith(words) or words in found.message
        assert ("more" in found.message) is ("and" in words)


@pytest.mark.parametrize("roots", [ROOTS[:2], (*ROOTS, EVIL), ()], ids=["fewer", "more", "none"])
def test_lists_of_unequal_lengths_never_compare(roots: tuple[bytes, ...]) -> None:
    """A comparison that ends with the shorter one would let the rest pass (C15)."""
    with pytest.raises(ValueError, match="zip"):
        content_finding(FILE, [0, 1, 2], roots)


@pytest.mark.parametrize(
    ("sizes", "reasons"),
    [
        pytest.param({"weights.bin": 60}, [], id="as signed"),
        pytest.param({"weights.bin": 61}, [Reason.CONTENT_MISMATCH], id="longer"),
        pytest.param({"weights.bin": 59}, [Reason.CONTENT_MISMATCH], id="shorter"),
        pytest.param({}, [Reason.MISSING_FILE], id="missing"),
        pytest.param({"weights.bin": 60, "evil.py": 0}, [Reason.EXTRA_FILE], id="extra"),
        pytest.param(
            {"evil.py": 60}, [Reason.EXTRA_FILE, Reason.MISSING_FILE], id="under another name"
        ),
    ],
)
def test_the_set_of_files_is_that_which_was_signed(
    sizes: dict[str, int], reasons: list[Reason]
) -> None:
    assert [each.reason for each in structure_findings([FILE], sizes)] == reasons
