"""What lies in a device's memory is hashed where it lies, and checked like a file."""

import ctypes
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.standin import StandInDevice

from weightlock.digests import HashAlgorithm
from weightlock.engines.gpu import resident
from weightlock.engines.gpu.recheck import Recheck
from weightlock.engines.gpu.resident import Region, ResidentHasher
from weightlock.errors import EngineFault, EngineUnavailable
from weightlock.formats.tree import TreeParameters, segment_root

LEAF = 4096
DATA = Random(9).randbytes(40 * LEAF)  # noqa: S311 - test data
BUFFER = ctypes.create_string_buffer(DATA)
FIRST = ctypes.addressof(BUFFER)


def hasher(device: StandInDevice, recheck: Recheck | None = None) -> ResidentHasher:
    tree = TreeParameters(HashAlgorithm.SHA256, LEAF)
    return ResidentHasher(device, tree, recheck or Recheck(), Random(1))  # noqa: S311


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8 * LEAF), st.integers(0, 9 * LEAF)), max_size=12))
def test_regions_of_any_length_and_address_have_the_roots_of_the_oracle(
    places: list[tuple[int, int]],
) -> None:
    regions = [Region(FIRST + start, length) for start, length in places]
    tree = TreeParameters(HashAlgorithm.SHA256, LEAF)
    expected = [segment_root(tree, DATA[start : start + length]) for start, length in places]
    assert hasher(StandInDevice()).segment_roots(regions) == expected


def test_long_regions_are_cut_into_perfect_subtrees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resident, "PIECE_LEAVES", 4)
    monkeypatch.setattr(resident, "BATCH_LEAVES", 6)
    tree = TreeParameters(HashAlgorithm.SHA256, LEAF)
    for length in (0, 1, 4 * LEAF, 4 * LEAF + 1, 23 * LEAF + 5, 40 * LEAF):
        (root,) = hasher(StandInDevice()).segment_roots([Region(FIRST, length)])
        assert root == segment_root(tree, DATA[:length])


@pytest.mark.parametrize("every_node", [False, True])
def test_a_faulty_device_is_found_out(every_node: bool) -> None:
    device = StandInDevice()
    device.spoilt_node = lambda digest: digest[::-1]
    recheck = Recheck(leaves_per_batch=0 if every_node else 1, every_node=every_node)
    with pytest.raises(EngineFault):
        hasher(device, recheck).segment_roots([Region(FIRST, 40 * LEAF)])


def test_a_device_that_is_lost_is_unavailable_and_gives_its_memory_back() -> None:
    device = StandInDevice()
    device.lost_after_launches = 0
    with pytest.raises(EngineUnavailable):
        hasher(device).segment_roots([Region(FIRST, LEAF)])
    assert len(device.freed) == 3
