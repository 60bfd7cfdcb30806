"""The sum over a checkpoint is that of the specification, whoever adds it up in which order."""

import random
from pathlib import Path

import pytest
from tests.support import folders
from tests.support.checkpoints import ENGINE

from weightlock.checkpoint.folder import CheckpointFolder
from weightlock.checkpoint.walker import Limits
from weightlock.engines.lattice import NumberedSegment, lattice_sum
from weightlock.errors import ChangedWhileReading
from weightlock.formats.lthash import LtHash, segment_sum
from weightlock.formats.tree import TreeParameters
from weightlock.hashing import HashingOptions, Nobody, hash_folder

LEAF = 4096


@pytest.mark.parametrize("threads", [1, 3])
def test_the_sum_is_that_of_the_specification(threads: int, tmp_path: Path) -> None:
    generator = random.Random(3)  # noqa: S311 - test data
    tensors = {f"t{number}": generator.randbytes(length) for number, length in enumerate(
        [1, LEAF - 1, LEAF, LEAF + 1, 300 * LEAF + 5]
    )}  # fmt: skip
    files = {"a.bin": generator.randbytes(3 * LEAF), "m.safetensors": folders.safetensors(tensors)}
    folders.write(tmp_path, files)
    options = HashingOptions(ENGINE, TreeParameters(leaf_bytes=LEAF), lattice_threads=threads)
    hashed = hash_folder(tmp_path, options, Nobody())
    expected = LtHash()
    for number, entry in enumerate(hashed.files):
        position = 0
        for index, segment in enumerate(entry.segments):
            data = files[entry.name][position : position + segment.length]
            expected = expected.plus(segment_sum(number, index, data, LEAF))
            position += segment.length
    assert hashed.lthash == expected


def test_a_changed_tensor_is_exchanged_without_the_others(tmp_path: Path) -> None:
    before, after = {"a": b"a" * 5000, "b": b"b" * 9000}, {"a": b"a" * 5000, "b": b"c" * 9000}
    sums = []
    for number, files in enumerate((before, after)):
        folder = folders.write(tmp_path / str(number), files)
        options = HashingOptions(ENGINE, TreeParameters(leaf_bytes=LEAF), lattice_threads=1)
        sums.append(hash_folder(folder, options, Nobody()).lthash)
    assert sums[0] is not None
    old, new = segment_sum(1, 0, before["b"], LEAF), segment_sum(1, 0, after["b"], LEAF)
    assert sums[0].minus(old).plus(new) == sums[1]


def test_a_file_that_is_too_short_is_an_error(tmp_path: Path) -> None:
    folders.write(tmp_path, {"a": b"x" * 10})
    with CheckpointFolder(tmp_path) as folder:
        files = folder.files(folder.walk(Limits()).files)
        with pytest.raises(ChangedWhileReading):
            lattice_sum(files, [NumberedSegment(0, 0, 0, 11)], LEAF, 1, lambda _: None)
