"""The lattice hash: a group of sums, elements that bind their place (A36).

The laws were tried against mutations of the code; what they let pass, the tables of the unit
tests catch.
"""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from weightlock.formats import lthash
from weightlock.formats.lthash import LtHash

sums = st.integers(0, 2**32).map(
    lambda seed: LtHash(random.Random(seed).randbytes(2048))  # noqa: S311 - test data
) | st.sampled_from(
    [LtHash(), LtHash(b"\xff" * 2048), LtHash(b"\x00\xff" * 1024), LtHash(b"\xff\x00" * 1024)]
)


def lanes_of(value: LtHash) -> list[int]:
    return [int.from_bytes(value.lanes[at : at + 2], "little") for at in range(0, 2048, 2)]


@given(sums, sums)
def test_a_sum_is_the_sum_of_each_lane_alone(one: LtHash, other: LtHash) -> None:
    pairs = list(zip(lanes_of(one), lanes_of(other), strict=True))
    assert lanes_of(one.plus(other)) == [(a + b) % 65536 for a, b in pairs]
    assert lanes_of(one.minus(other)) == [(a - b) % 65536 for a, b in pairs]


@given(sums, sums, sums)
def test_sums_form_a_group(one: LtHash, two: LtHash, three: LtHash) -> None:
    assert one.plus(two) == two.plus(one)
    assert one.plus(two).plus(three) == one.plus(two.plus(three))
    assert one.plus(LtHash()) == one
    assert one.plus(two).minus(two) == one


positions = st.tuples(*[st.integers(0, 3) | st.sampled_from((2**32, 2**64 - 1))] * 3)


@given(positions, positions, st.binary(max_size=4), st.binary(max_size=4))
def test_an_element_binds_where_its_chunk_lies_and_what_it_is(
    place: tuple[int, int, int], other_place: tuple[int, int, int], one: bytes, other: bytes
) -> None:
    same = lthash.element(*place, one) == lthash.element(*other_place, other)
    assert same == ((place, one) == (other_place, other))


@given(st.integers(2, 8), st.data())
@settings(max_examples=40)
def test_chunks_in_another_order_have_another_sum(count: int, data: st.DataObject) -> None:
    chunks = [bytes([number]) * 8 for number in range(count)]
    shuffled = data.draw(st.permutations(chunks))
    same = lthash.segment_sum(0, 0, b"".join(shuffled), 8) == lthash.segment_sum(
        0, 0, b"".join(chunks), 8
    )
    assert same == (shuffled == chunks)


@given(st.integers(0, 5), st.binary(min_size=8, max_size=8))
@settings(max_examples=40)
def test_one_changed_chunk_is_taken_out_and_put_in(at: int, new: bytes) -> None:
    data = bytes(range(48))
    old = data[8 * at : 8 * at + 8]
    updated = (
        lthash.segment_sum(1, 2, data, 8)
        .minus(lthash.element(1, 2, at, old))
        .plus(lthash.element(1, 2, at, new))
    )
    changed = data[: 8 * at] + new + data[8 * at + 8 :]
    assert updated == lthash.segment_sum(1, 2, changed, 8)
