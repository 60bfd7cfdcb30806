"""The lattice hash: exact bytes, and what must not cancel out (A36)."""

import hashlib
import struct

import pytest

from weightlock.errors import Malformed
from weightlock.formats import lthash
from weightlock.formats.lthash import ELEMENT_BYTES, LtHash

LEAF = 4096


def lanes(*values: int) -> LtHash:
    """A sum with these lanes first and zeros after."""
    return LtHash(struct.pack("<1024H", *values, *[0] * (1024 - len(values))))


def test_an_element_is_the_output_of_shake256_over_position_length_and_chunk() -> None:
    message = b"weightlock/lthash/v1\x00" + struct.pack(">QQQI", 1, 2, 3, 3) + b"abc"
    expected = hashlib.shake_256(message).digest(2048)
    assert lthash.element(1, 2, 3, b"abc") == LtHash(expected)


def test_a_segment_is_the_sum_of_its_chunks_cut_as_leaves_are() -> None:
    data = bytes(LEAF) + b"abc"
    parts = [lthash.element(5, 7, 0, bytes(LEAF)), lthash.element(5, 7, 1, b"abc")]
    assert lthash.segment_sum(5, 7, data, LEAF) == parts[0].plus(parts[1])
    assert lthash.segment_sum(5, 7, b"", LEAF) == LtHash()


@pytest.mark.parametrize(
    ("left", "right", "total"),
    [
        pytest.param(lanes(1, 2), lanes(3, 4), lanes(4, 6), id="lane by lane"),
        pytest.param(lanes(0xFFFF), lanes(1), lanes(0), id="no carry out of an even lane"),
        pytest.param(lanes(0, 0xFFFF), lanes(0, 1), lanes(0), id="no carry out of an odd lane"),
        pytest.param(lanes(0xFFFF, 0xFFFF), lanes(1, 1), lanes(0), id="both at once"),
        pytest.param(lanes(0x8000), lanes(0x8000), lanes(0), id="modulo 2^16"),
        pytest.param(
            LtHash(b"\xff" * ELEMENT_BYTES),
            LtHash(b"\x01\x00" * 1024),
            LtHash(),
            id="every lane, the last one included",
        ),
    ],
)
def test_lanes_are_added_and_taken_away_modulo_2_16(
    left: LtHash, right: LtHash, total: LtHash
) -> None:
    assert left.plus(right) == total
    assert total.minus(right) == left
    assert total.minus(left) == right


@pytest.mark.parametrize("size", [0, ELEMENT_BYTES - 1, ELEMENT_BYTES + 1])
def test_a_sum_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(Malformed, match=f"found {size}"):
        LtHash(bytes(size))


def test_65536_times_the_same_chunk_does_not_vanish() -> None:
    # Without positions each lane would be 65536 times one value: zero modulo 2^16 (A36).
    assert lthash.segment_sum(0, 0, b"a" * 65536, 1) != LtHash()


def test_adding_one_element_65536_times_vanishes_which_is_why_positions_are_bound() -> None:
    total = lthash.element(0, 0, 0, b"a")
    for _ in range(16):
        total = total.plus(total)
    assert total == LtHash()
