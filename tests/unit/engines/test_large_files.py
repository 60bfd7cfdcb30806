"""Beyond 2^32 bytes: offsets and lengths that a 32-bit number does not hold (A35).

The file is sparse, so it takes no room and is read from memory. Its expected root is computed from
one leaf of zeros, without the engine.
"""

import os
from pathlib import Path

import pytest

from weightlock.checkpoint.folder import CheckpointFolder
from weightlock.checkpoint.walker import Limits
from weightlock.digests import HashAlgorithm
from weightlock.engines.cpu import CpuEngine
from weightlock.engines.engine import Span
from weightlock.formats import tree
from weightlock.formats.tree import TreeParameters

PARAMETERS = TreeParameters(HashAlgorithm.SHA256, 1024 * 1024)
LEAF = PARAMETERS.leaf_bytes
SIZE = 2**32 + 5 * LEAF + 3
MARK = b"beyond 2^32"


def zeros_with(marks: dict[int, bytes], length: int) -> bytes:
    """The root of a segment of zeros with marks at these offsets, each within one leaf."""
    count, rest = divmod(length, LEAF)
    leaves = [tree.leaf_hash(PARAMETERS.algorithm, bytes(LEAF))] * count
    leaves += [tree.leaf_hash(PARAMETERS.algorithm, bytes(rest))] if rest else []
    for offset, mark in marks.items():
        number, at = divmod(offset, LEAF)
        chunk = bytearray(min(LEAF, length - number * LEAF))
        chunk[at : at + len(mark)] = mark
        leaves[number] = tree.leaf_hash(PARAMETERS.algorithm, bytes(chunk))
    root = tree.merkle_tree_hash(PARAMETERS.algorithm, leaves)
    return tree.sealed_segment_root(PARAMETERS, length, root)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One sparse file of a little more than 4 GiB, with marks on both sides of 2^32."""
    with (tmp_path / "large.bin").open("wb") as file:
        os.truncate(file.fileno(), SIZE)
        for offset in (2**31, 2**32 - len(MARK), 2**32 + LEAF):
            os.pwrite(file.fileno(), MARK, offset)
    return tmp_path


def test_a_file_of_more_than_4_gib_has_the_root_that_its_leaves_say(folder: Path) -> None:
    spans = [
        Span(0, 0, SIZE),  # a segment longer than 2^32
        Span(0, 2**32 - LEAF, 3 * LEAF),  # one that lies across 2^32
        Span(0, 2**32 + LEAF, 1),  # one beyond it
    ]
    with CheckpointFolder(folder) as opened:
        files = opened.files(opened.walk(Limits()).files)
        roots = CpuEngine(os.cpu_count() or 1).segment_roots(
            files, spans, PARAMETERS, lambda _: None
        )
    marks = {2**31: MARK, 2**32 - len(MARK): MARK, 2**32 + LEAF: MARK}
    assert roots[0] == zeros_with(marks, SIZE)
    assert roots[1] == zeros_with({LEAF - len(MARK): MARK, 2 * LEAF: MARK}, 3 * LEAF)
    assert roots[2] == zeros_with({0: MARK[:1]}, 1)
    # The law has teeth: were offsets cut to 32 bits, zeros would be read in place of the marks.
    assert roots[0] != zeros_with({2**31: MARK}, SIZE)
