"""Segments tile a file, shards partition the segments (C09).

The laws were tried against mutations of the code; what they let pass, the tables of the unit
tests catch.
"""

import json
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from weightlock.formats import segments
from weightlock.formats.shards import Shard

offsets = st.lists(
    st.lists(st.integers(-1, 40) | st.none() | st.booleans() | st.text(max_size=1), max_size=3)
    | st.tuples(st.integers(0, 40), st.integers(0, 40)).map(sorted),
    max_size=6,
)


@given(offsets, st.integers(0, 60), st.binary(max_size=3))
def test_segments_tile_the_file_whatever_its_header_says(
    tensors: list[list[object]], data_bytes: int, noise: bytes
) -> None:
    document = {str(number): {"data_offsets": pair} for number, pair in enumerate(tensors)}
    header = json.dumps(document).encode() + noise
    size = 8 + len(header) + data_bytes
    cut = segments.safetensors_segments(header, size)
    if cut is None:
        return
    assert_tiles(cut, size)
    expected = {name for name, pair in zip(document, tensors, strict=True) if pair[0] != pair[1]}
    assert [part.tensor for part in cut if part.tensor is not None] == sorted(
        expected,
        key=lambda name: tensors[int(name)][0],  # type: ignore[arg-type,return-value]
    )


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), max_size=6),
    st.integers(0, 3),
    st.data(),
)
def test_a_sound_header_is_always_cut_into_its_tensors(
    layout: list[tuple[int, int]], tail: int, data: st.DataObject
) -> None:
    document: dict[str, object] = {"__metadata__": {"format": "pt"}}
    position, expected = 0, []
    for number, (gap, length) in enumerate(layout):
        begin, position = position + gap, position + gap + length
        document[str(number)] = {"data_offsets": [begin, position]}
        expected += [(begin, length, str(number))] if length else []
    listed = dict(data.draw(st.permutations(list(document.items()))))  # any order will do
    header = json.dumps(listed).encode()
    start, size = 8 + len(header), 8 + len(header) + position + tail
    cut = segments.safetensors_segments(header, size)
    assert cut is not None
    assert_tiles(cut, size)
    found = [(p.offset - start, p.length, p.tensor) for p in cut if p.tensor is not None]
    assert found == expected


@given(st.integers(0, 9 * 2**30) | st.integers(0, 9).map(lambda count: count * 2**30))
def test_segments_of_any_other_file_tile_it_and_all_but_the_last_are_whole(size: int) -> None:
    cut = segments.opaque_segments(size)
    assert_tiles(cut, size)
    assert all(part.length == 2**30 for part in cut[:-1])
    assert all(part.length <= 2**30 for part in cut)


def assert_tiles(cut: Sequence[segments.Segment], size: int) -> None:
    position = 0
    for part in cut:
        assert part.offset == position
        assert part.length > 0
        position += part.length
    assert position == size


shards = st.integers(1, 10_000).flatmap(
    lambda count: st.builds(Shard, st.integers(0, count - 1), st.just(count))
)


@given(shards)
def test_a_shard_that_is_written_is_read(shard: Shard) -> None:
    assert Shard.parse(str(shard)) == shard


@given(st.lists(st.integers(0, 2**40), max_size=30), st.integers(1, 8))
def test_every_segment_is_in_exactly_one_shard(sizes: list[int], count: int) -> None:
    shares = [Shard(index, count).share(sizes) for index in range(count)]
    assert sorted(number for share in shares for number in share) == list(range(len(sizes)))
    assert all(share == sorted(share) for share in shares)


@given(st.lists(st.integers(1, 2**40), min_size=1, max_size=30), st.integers(1, 8))
def test_no_shard_has_more_than_its_part_and_one_segment(sizes: list[int], count: int) -> None:
    loads = [sum(sizes[n] for n in Shard(index, count).share(sizes)) for index in range(count)]
    assert max(loads) <= sum(sizes) / count + max(sizes)
