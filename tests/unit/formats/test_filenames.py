"""File names with one reading on every system; each hostile name beside one that is fine (A34)."""

import pytest

from weightlock.errors import UnsafeName
from weightlock.formats import filenames
from weightlock.names import ENVELOPE_FILE, OMS_FILE


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["a", "a"], id="a name of one letter, twice"),
        pytest.param(["weights.bin", "weights.bin"], id="a name twice"),
        pytest.param([OMS_FILE], id="the name of the OMS bundle"),
        pytest.param([ENVELOPE_FILE], id="the name of the envelope"),
        pytest.param(["Model.SIG"], id="the name of the bundle in capitals"),
    ],
)
def test_names_that_collide_are_refused(names: list[str]) -> None:
    with pytest.raises(UnsafeName):
        filenames.check_all(names)


@pytest.mark.parametrize(
    "character",
    [
        pytest.param("\xad", id="soft hyphen"),
        pytest.param("\u034f", id="combining grapheme joiner"),
        pytest.param("\u115f", id="hangul choseong filler"),
        pytest.param("\u180e", id="mongolian vowel separator"),
        pytest.param("\u3164", id="hangul filler"),
        pytest.param("\ufe0f", id="variation selector 16"),
        pytest.param("\uffa0", id="halfwidth hangul filler"),
        pytest.param("\U000e0041", id="tag letter A"),
        pytest.param("\U000e01ef", id="variation selector 256"),
    ],
)
def test_characters_that_nobody_sees_are_refused(character: str) -> None:
    with pytest.raises(UnsafeName):
        filenames.check(f"model{character}.bin")
