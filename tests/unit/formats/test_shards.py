"""Shards: one spelling, and every segment in exactly one of them (C09)."""

import pytest

from weightlock.errors import Malformed
from weightlock.formats.shards import MAX_SHARDS, Shard


@pytest.mark.parametrize(
    ("text", "shard"),
    [
        pytest.param("0/1", Shard(0, 1), id="all of it"),
        pytest.param("3/4", Shard(3, 4), id="the last one"),
        pytest.param("10/12", Shard(10, 12), id="two digits"),
        pytest.param(f"{MAX_SHARDS - 1}/{MAX_SHARDS}", Shard(9_999, 10_000), id="the most"),
    ],
)
def test_a_shard_is_its_number_of_all(text: str, shard: Shard) -> None:
    assert Shard.parse(text) == shard
    assert str(shard) == text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("4/4", id="counted from one"),
        pytest.param("5/4", id="beyond the last"),
        pytest.param("0/0", id="of none"),
        pytest.param("0/10001", id="too many"),
        pytest.param("0/100000", id="six digits"),
        pytest.param("-1/4", id="before the first"),
        pytest.param("+1/4", id="a sign"),
        pytest.param("01/4", id="a leading zero"),
        pytest.param("1/04", id="a leading zero in the count"),
        pytest.param("1", id="no count"),
        pytest.param("1/", id="an empty count"),
        pytest.param("/4", id="no number"),
        pytest.param("1/4/", id="more"),
        pytest.param("1/4\n", id="a line end"),
        pytest.param(" 1/4", id="a blank"),
        pytest.param("1:4", id="a colon"),
        pytest.param("\u0661/4", id="a digit outside ASCII"),
        pytest.param("", id="nothing"),
    ],
)
def test_any_other_text_is_no_shard(text: str) -> None:
    with pytest.raises(Malformed, match="expected I/N"):
        Shard.parse(text)


@pytest.mark.parametrize(
    ("lengths", "count", "shares"),
    [
        pytest.param([], 2, [[], []], id="nothing"),
        pytest.param([5], 2, [[0], []], id="fewer segments than shards"),
        pytest.param([1, 1, 1, 1], 2, [[0, 2], [1, 3]], id="equal segments in turn"),
        pytest.param([1, 9, 1, 1], 2, [[1], [0, 2, 3]], id="the longest first"),
        pytest.param([3, 3, 2, 2, 2], 2, [[0, 2, 4], [1, 3]], id="the emptiest next"),
        pytest.param([4, 2, 7], 1, [[0, 1, 2]], id="one shard has all, in order"),
    ],
)
def test_segments_are_dealt_out_the_same_way_everywhere(
    lengths: list[int], count: int, shares: list[list[int]]
) -> None:
    assert [Shard(index, count).share(lengths) for index in range(count)] == shares
