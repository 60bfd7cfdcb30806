"""Durations, quantities, instants, patterns."""

from datetime import UTC, datetime, timedelta

import pytest

from weightlock.errors import Malformed
from weightlock.policy import scalars


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("168h", timedelta(hours=168)),
        ("10m", timedelta(minutes=10)),
        ("1h30m", timedelta(minutes=90)),
        ("1h0m5s", timedelta(seconds=3605)),
        ("87600h", timedelta(days=3650)),
    ],
)
def test_durations(text: str, expected: timedelta) -> None:
    assert scalars.duration(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1", 1), ("20Ti", 20 * 2**40), ("5k", 5000), ("2G", 2 * 10**9), ("7Ei", 7 * 2**60)],
)
def test_quantities(text: str, expected: int) -> None:
    assert scalars.quantity(text) == expected


@pytest.mark.parametrize("text", ["", "0", "01", "1.5Gi", "1 Gi", "-1", "1e3", "Gi", "٣", "8Ei"])
def test_quantities_that_are_none(text: str) -> None:
    with pytest.raises(Malformed):
        scalars.quantity(text)


def test_instants_are_utc() -> None:
    expected = datetime(2028, 1, 1, 12, 30, 5, 250_000, tzinfo=UTC)
    assert scalars.instant("2028-01-01T12:30:05.25Z") == expected


@pytest.mark.parametrize(
    "text",
    [
        "2028-01-01 00:00:00Z",
        "2028-01-01T24:00:00Z",
        "2028-1-1T00:00:00Z",
        "now",
        "٢٠٢٨-01-01T00:00:00Z",
        "2028-01-01T00:00:00",
        "2028-01-01T00:00:00Z ",
        "2028-01-01T00:00:60Z",
        "0000-01-01T00:00:00Z",
    ],
)
def test_instants_that_are_none(text: str) -> None:
    with pytest.raises(Malformed):
        scalars.instant(text)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("llama-*", "llama-70b", True),
        ("llama-*", "llama-", True),
        ("llama-*", "my-llama-70b", False),
        ("*", "", True),
        ("?", "", False),
        ("?", "x", True),
        ("a*b*c", "axxbyyc", True),
        ("a*b*c", "axxbyy", False),
        ("a*b", "ab-ab", True),
        ("a", "ab", False),
        ("ab", "a", False),
        ("a**", "a", True),
        ("a.c", "abc", False),
    ],
)
def test_globs(pattern: str, text: str, *, expected: bool) -> None:
    assert scalars.glob_matches(pattern, text) is expected


def test_a_glob_takes_no_exponential_time() -> None:
    assert not scalars.glob_matches("*a" * 100 + "b", "a" * 253)


@pytest.mark.parametrize("text", ["", "é", "a\nb", "x" * 254])
def test_a_line_is_short_and_printable(text: str) -> None:
    with pytest.raises(Malformed):
        scalars.line(text)


def test_an_optional_name_may_be_empty() -> None:
    assert scalars.optional_name("") == ""
    assert scalars.optional_name("team-a") == "team-a"
    with pytest.raises(Malformed):
        scalars.optional_name("Team A")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("x\x1b[0m", r"'x\x1b[0m'"),
        ("-----BEGIN PRIVATE KEY-----", "(not shown)"),
        (None, "None"),
        (True, "True"),
        (1.5, "1.5"),
        ([1], "a list"),
        ((1,), "a list"),
        ({"a": 1}, "a mapping"),
        (b"x", "something else"),
    ],
)
def test_values_are_shown_without_harm(value: object, expected: str) -> None:
    assert scalars.shown(value) == expected


def test_sentences_of_others_are_escaped_and_cut() -> None:
    assert scalars.printable("a\x1b[2Jb\u202e") == r"a\x1b[2Jb\u202e"
    assert scalars.printable("x" * 600) == "x" * 500 + "..."


@pytest.mark.parametrize("text", ["1970-01-01T00:00:00Z", "9000-12-31T23:59:59Z"])
def test_a_moment_has_room_for_any_duration(text: str) -> None:
    found = scalars.moment(text)
    assert found - scalars.MAX_DURATION < found < found + scalars.MAX_DURATION


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "soon"])
def test_moments_that_are_none(text: str) -> None:
    with pytest.raises(Malformed, match="expected a"):
        scalars.moment(text)
