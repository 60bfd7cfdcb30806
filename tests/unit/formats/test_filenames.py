"""File names with one reading on every system; each hostile name beside one that is fine (A34)."""

import pytest

from weightlock.errors import UnsafeName
from weightlock.formats import filenames
from weightlock.formats.filenames import MAX_COMPONENT_BYTES, MAX_NAME_BYTES
from weightlock.names import ENVELOPE_FILE, OMS_FILE

LONGEST = "/".join(["d" * 127] * 32)  # 32 components and 31 slashes


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("model.safetensors", id="a plain name"),
        pytest.param("a/b/c.bin", id="folders"),
        pytest.param(".gitattributes", id="a leading dot"),
        pytest.param("a..b/...", id="dots that are no component"),
        pytest.param("~", id="a tilde"),
        pytest.param("a b", id="a blank"),
        pytest.param("ab:0:10", id="colons after more than a letter"),
        pytest.param("1:x", id="a colon after a digit"),
        pytest.param("w\u00e9ights", id="an accent in one character"),
        pytest.param("we\u0301ights", id="an accent in two characters"),
        pytest.param("\u4e2d\u6587/\U0001f600", id="characters of three and four bytes"),
        pytest.param("-rf", id="what looks like an option"),
        pytest.param("sub/model.sig", id="the bundle's name in a folder"),
        pytest.param("model.sig.bak", id="the bundle's name and more"),
        pytest.param("x" * MAX_COMPONENT_BYTES, id="the longest component"),
        pytest.param("\u00e9" * 127, id="254 bytes in 127 characters"),
        pytest.param(LONGEST, id="the longest name but one"),
        pytest.param(LONGEST + "d", id="the longest name"),
    ],
)
def test_a_canonical_name_is_fine(name: str) -> None:
    filenames.check(name)
    filenames.check_all([name])


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        pytest.param("", "is empty", id="empty"),
        pytest.param("/etc/passwd", "is absolute", id="absolute"),
        pytest.param("//x", "is absolute", id="absolute twice"),
        pytest.param("C:x", "is absolute", id="a drive"),
        pytest.param("z:/x", "is absolute", id="a drive in lower case"),
        pytest.param("..", "component", id="the folder above"),
        pytest.param("../x", "component", id="out of the folder"),
        pytest.param("a/../b", "component", id="up in the middle"),
        pytest.param(".", "component", id="the folder itself"),
        pytest.param("./a", "component", id="a leading dot component"),
        pytest.param("a/./b", "component", id="a dot component"),
        pytest.param("a//b", "component", id="two slashes"),
        pytest.param("a/", "component", id="a slash at the end"),
        pytest.param("a\x00b", "character", id="a zero byte"),
        pytest.param("a\nb", "character", id="a line feed"),
        pytest.param("a\x1b[31m", "character", id="an ANSI escape"),
        pytest.param("a\x7f", "character", id="delete"),
        pytest.param("a\x85b", "character", id="next line"),
        pytest.param("a\x9b31m", "character", id="an ANSI escape in one byte"),
        pytest.param("a\\b", "character", id="a backslash"),
        pytest.param("a\u202egpj.bin", "character", id="right-to-left override"),
        pytest.param("a\u2066b", "character", id="an isolate"),
        pytest.param("a\u200bb", "character", id="zero width space"),
        pytest.param("a\u2028b", "character", id="line separator"),
        pytest.param("\ufeffa", "character", id="byte order mark"),
        pytest.param("a\ufff9b", "character", id="interlinear annotation"),
        pytest.param("a\udcff", "character", id="a byte that was not UTF-8"),
        pytest.param("a\xadb", "character", id="soft hyphen"),
        pytest.param("a\u034fb", "character", id="combining grapheme joiner"),
        pytest.param("a\u115fb", "character", id="hangul choseong filler"),
        pytest.param("a\u180eb", "character", id="mongolian vowel separator"),
        pytest.param("a\u3164b", "character", id="hangul filler"),
        pytest.param("a\ufe0fb", "character", id="variation selector 16"),
        pytest.param("a\uffa0b", "character", id="halfwidth hangul filler"),
        pytest.param("a\U000e0041b", "character", id="tag letter A"),
        pytest.param("a\U000e01efb", "character", id="variation selector 256"),
        pytest.param("x" * (MAX_COMPONENT_BYTES + 1), "component", id="too long a component"),
        pytest.param("\u00e9" * 128, "component", id="256 bytes in 128 characters"),
        pytest.param("a/" + "\u4e2d" * 86, "component", id="258 bytes in a folder"),
        pytest.param(LONGEST + "dd", f"longer than {MAX_NAME_BYTES}", id="too long a name"),
        pytest.param("\u00e9/" * 1500, f"longer than {MAX_NAME_BYTES}", id="too many bytes"),
    ],
)
def test_a_name_with_two_readings_is_refused(name: str, complaint: str) -> None:
    with pytest.raises(UnsafeName, match=complaint) as found:
        filenames.check(name)
    assert found.value.message.isprintable()
    assert found.value.hint
    with pytest.raises(UnsafeName, match=complaint):
        filenames.check_all(["fine", name])


def test_the_longest_names_have_the_length_that_they_should() -> None:
    assert (len(LONGEST), MAX_NAME_BYTES) == (4095, 4096)


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["a", "a"], id="a name of one letter, twice"),
        pytest.param(["weights.bin", "weights.bin"], id="a name twice"),
        pytest.param(["Model.bin", "model.bin"], id="capitals"),
        pytest.param(["A/x", "a/x"], id="a folder in capitals"),
        pytest.param(["stra\u00dfe", "STRASSE"], id="sharp s"),
        pytest.param(["w\u00e9", "we\u0301"], id="an accent in one and in two characters"),
        pytest.param(["W\u00c9", "we\u0301"], id="accent and capitals"),
        pytest.param(["\u212a", "k"], id="the Kelvin sign"),
        pytest.param(["\u03c3", "\u03c2"], id="two small sigmas"),
        pytest.param([OMS_FILE], id="the name of the OMS bundle"),
        pytest.param([ENVELOPE_FILE], id="the name of the envelope"),
        pytest.param(["Model.SIG"], id="the name of the bundle in capitals"),
        pytest.param(["model.PQC.sig"], id="the name of the envelope in capitals"),
    ],
)
def test_names_that_some_storage_takes_for_one_are_refused(names: list[str]) -> None:
    with pytest.raises(UnsafeName, match="are the same on storage"):
        filenames.check_all(names)


def test_names_that_differ_everywhere_are_fine() -> None:
    filenames.check_all(["a", "b", "a.b", "a/b", "sub/model.sig", "ab", "\u00e9", "e"])
    filenames.check_all([])


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        pytest.param("a b", "'a b'", id="plain"),
        pytest.param("\u4e2d", "'\u4e2d'", id="letters of any language"),
        pytest.param("a\x1b[31m", r"'a\x1b[31m'", id="an ANSI escape"),
        pytest.param("a\udcff", r"'a\udcff'", id="a byte that was not UTF-8"),
        pytest.param("x" * 120, f"'{'x' * 120}'", id="as long as a line"),
        pytest.param("x" * 105 + "y" * 16, f"'{'x' * 100}...{'y' * 16}'", id="longer than a line"),
    ],
)
def test_a_name_is_shown_on_one_line_whatever_it_holds(name: str, shown: str) -> None:
    assert filenames.printable(name) == shown
