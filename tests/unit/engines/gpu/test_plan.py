"""Every byte of every span has one place in one batch, and is read once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightlock.engines.engine import Span
from weightlock.engines.gpu.plan import Geometry, batches, pieces_of, shares

MEBI = 1024 * 1024
SMALL = Geometry(batch_bytes=2 * MEBI, piece_bytes=MEBI, read_bytes=64 * 1024, max_pieces=5)
DIRECT = Geometry(
    batch_bytes=2 * MEBI, piece_bytes=MEBI, read_bytes=64 * 1024, max_pieces=5, alignment=4096
)

spans_of_files = st.lists(
    st.tuples(st.booleans(), st.integers(0, 9000), st.integers(0, 3 * MEBI)), max_size=12
)


def laid_out(steps: list[tuple[bool, int, int]]) -> list[Span]:
    """Spans in order, each after a gap; now and then a new file begins."""
    spans, file, position = [], 0, 0
    for new_file, gap, length in steps:
        if new_file:
            file, position = file + 1, 0
        spans.append(Span(file, position + gap, length))
        position += gap + length
    return spans


@given(spans_of_files)
def test_pieces_cover_spans_in_order(steps: list[tuple[bool, int, int]]) -> None:
    spans = laid_out(steps)
    pieces = list(pieces_of(spans, MEBI))
    position = [span.offset for span in spans]
    for piece in pieces:
        assert piece.offset == position[piece.span]
        assert 0 < piece.length <= MEBI
        position[piece.span] += piece.length
    assert position == [span.offset + span.length for span in spans]


@pytest.mark.parametrize("geometry", [SMALL, DIRECT], ids=["cached", "direct"])
@given(steps=spans_of_files)
def test_each_piece_lies_where_its_reads_put_it(
    geometry: Geometry, steps: list[tuple[bool, int, int]]
) -> None:
    pieces = list(pieces_of(laid_out(steps), geometry.piece_bytes))
    found = list(batches(pieces, geometry))
    assert [piece for batch in found for piece in batch.pieces] == pieces
    for batch in found:
        assert len(batch.pieces) <= geometry.max_pieces
        for piece, start in zip(batch.pieces, batch.starts, strict=True):
            holder = [
                read
                for read in batch.reads
                if read.file == piece.file and read.start <= start < read.start + read.needed
            ]
            assert [read.offset + start - read.start for read in holder] == [piece.offset]


@pytest.mark.parametrize("geometry", [SMALL, DIRECT], ids=["cached", "direct"])
@given(steps=spans_of_files)
def test_reads_of_a_batch_never_overlap_nor_leave_it(
    geometry: Geometry, steps: list[tuple[bool, int, int]]
) -> None:
    for batch in batches(pieces_of(laid_out(steps), geometry.piece_bytes), geometry):
        end = 0
        for read in batch.reads:
            assert read.start >= end
            assert 0 < read.needed <= read.length <= geometry.read_bytes
            assert read.offset % geometry.alignment == read.length % geometry.alignment == 0
            end = read.start + read.needed
        assert end <= geometry.capacity


@pytest.mark.parametrize("geometry", [SMALL, DIRECT], ids=["cached", "direct"])
@given(steps=spans_of_files, choice=st.integers(0, 10**9), length=st.integers(1, 300_000))
def test_the_parts_of_any_stretch_of_a_piece_are_that_stretch(
    geometry: Geometry, steps: list[tuple[bool, int, int]], choice: int, length: int
) -> None:
    for batch in batches(pieces_of(laid_out(steps), geometry.piece_bytes), geometry):
        number = choice % len(batch.pieces)
        piece = batch.pieces[number]
        begin = choice % piece.length
        end = min(piece.length, begin + length)
        position = piece.offset + begin
        for part in batch.parts_at(batch.starts[number] + begin, end - begin):
            read = batch.reads[part.read]
            assert (read.file, read.offset + part.start) == (piece.file, position)
            assert 0 < part.length <= read.needed - part.start
            position += part.length
        assert position == piece.offset + end


def test_a_geometry_that_cannot_work_is_refused() -> None:
    with pytest.raises(ValueError, match="power of two"):
        Geometry(piece_bytes=3 * MEBI)
    with pytest.raises(ValueError, match="power of two"):
        Geometry(batch_bytes=MEBI, piece_bytes=2 * MEBI)
    with pytest.raises(ValueError, match="multiple of the alignment"):
        Geometry(read_bytes=5000, alignment=4096)


@given(spans_of_files, st.integers(1, 9))
def test_shares_are_all_pieces_in_order_and_about_equal(
    steps: list[tuple[bool, int, int]], count: int
) -> None:
    pieces = list(pieces_of(laid_out(steps), MEBI))
    dealt = shares(pieces, count)
    assert len(dealt) == count
    assert [piece for share in dealt for piece in share] == pieces
    total = sum(piece.length for piece in pieces)
    for share in dealt:
        assert sum(piece.length for piece in share) <= total / count + MEBI
