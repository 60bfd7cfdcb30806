"""The lattice hash on a GPU: the specification's sum, or an error."""

from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import folders
from tests.support.standin import StandInDevice

from weightlock.checkpoint.folder import CheckpointFolder
from weightlock.checkpoint.walker import Limits
from weightlock.engines.cpu import CpuEngine
from weightlock.engines.gpu.device_process import DeviceProcess
from weightlock.engines.gpu.engine import GpuEngine, Lane
from weightlock.engines.gpu.lane import GpuOptions, LocalLane
from weightlock.engines.gpu.lattice import MAX_THREADS, SUM_BYTES, LatticeComputation
from weightlock.engines.gpu.plan import Geometry
from weightlock.engines.gpu.recheck import Recheck
from weightlock.engines.gpu.slots import results_bytes
from weightlock.engines.gpu.table import leaf_of_thread, table_of
from weightlock.engines.lattice import LatticeEngine, NumberedSegment
from weightlock.errors import EngineFault, EngineUnavailable
from weightlock.formats.lthash import LtHash
from weightlock.formats.tree import TreeParameters
from weightlock.hashing import HashingOptions, Nobody, hash_folder

MEBI = 1024 * 1024
SMALL = Geometry(batch_bytes=2 * MEBI, piece_bytes=MEBI, read_bytes=64 * 1024, max_pieces=7)
OPTIONS = GpuOptions(SMALL, readers=2)
LEAF = 65_536
SIZES = {"a": 3 * MEBI + 12_345, "b": 1, "c": 0, "d": MEBI}
SEGMENTS = [
    NumberedSegment(0, 0, 0, 777), NumberedSegment(0, 1, 777, 3 * MEBI),
    NumberedSegment(1, 0, 0, 1), NumberedSegment(2, 0, 0, 0), NumberedSegment(3, 0, 0, 9),
    NumberedSegment(3, 1, 9, MEBI - 9),
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    generator = Random(5)  # noqa: S311 - test data
    files = {name: generator.randbytes(size) for name, size in SIZES.items()}
    return folders.write(tmp_path_factory.mktemp("files"), files)


def engine_on(*devices: StandInDevice, like: GpuOptions = OPTIONS) -> GpuEngine:
    return GpuEngine([LocalLane(device, like) for device in devices], like.geometry)


def total(engine: LatticeEngine, folder: Path, leaf_bytes: int = LEAF) -> LtHash:
    with CheckpointFolder(folder) as opened:
        files = opened.files(opened.walk(Limits()).files)
        return engine.lattice_sum(files, SEGMENTS, leaf_bytes, lambda _: None)


@pytest.fixture(scope="module")
def expected(folder: Path) -> LtHash:
    return total(CpuEngine(2), folder)


@pytest.mark.parametrize("devices", [1, 2])
def test_the_sum_is_that_of_the_cpu(devices: int, folder: Path, expected: LtHash) -> None:
    with engine_on(*(StandInDevice() for _ in range(devices))) as engine:
        assert total(engine, folder) == expected


def test_a_process_of_a_further_gpu_sums_too(folder: Path, expected: LtHash) -> None:
    lanes: list[Lane] = [LocalLane(StandInDevice(), OPTIONS)]
    other = DeviceProcess("tests.support.standin:numbered", 1, OPTIONS)
    other.wait_until_ready()
    with GpuEngine([*lanes, other], SMALL) as engine:
        assert total(engine, folder) == expected


@pytest.mark.parametrize("leaf_bytes", [4096, MEBI])
def test_short_and_long_chunks_sum_alike(leaf_bytes: int, folder: Path) -> None:
    with engine_on(StandInDevice()) as engine:
        assert total(engine, folder, leaf_bytes) == total(CpuEngine(2), folder, leaf_bytes)


def test_one_engine_hashes_trees_and_sums_in_turns(folder: Path) -> None:
    tree = TreeParameters(leaf_bytes=LEAF)
    on_cpu = hash_folder(folder, HashingOptions(CpuEngine(2), tree, lattice_threads=2), Nobody())
    with engine_on(StandInDevice()) as engine:
        for _ in range(2):
            hashed = hash_folder(folder, HashingOptions(engine, tree, lattice_threads=2), Nobody())
            assert (hashed.root, hashed.lthash) == (on_cpu.root, on_cpu.lthash)


def test_a_device_that_sums_wrongly_is_found_out(folder: Path) -> None:
    device = StandInDevice()
    device.spoilt = lambda lanes: bytes([lanes[0] ^ 1]) + lanes[1:]
    with engine_on(device) as engine, pytest.raises(EngineFault, match="lattice"):
        total(engine, folder)


def test_a_kernel_that_does_nothing_never_repeats_a_sum(folder: Path, expected: LtHash) -> None:
    device = StandInDevice()
    unchecked = GpuOptions(SMALL, Recheck(leaves_per_batch=0), readers=2)
    with engine_on(device, like=unchecked) as engine:
        assert total(engine, folder) == expected
        device.idle = True
        assert total(engine, folder) == LtHash()


def test_a_device_that_is_lost_is_unavailable(folder: Path) -> None:
    device = StandInDevice()
    device.lost_after_launches = 1
    with engine_on(device) as engine, pytest.raises(EngineUnavailable, match="gone"):
        total(engine, folder)


@given(
    st.lists(st.integers(1, 3 * MEBI), min_size=1, max_size=7),
    st.sampled_from([4096, 16_384, 65_536, MEBI]),
)
def test_every_leaf_of_a_table_has_one_thread(lengths: list[int], leaf_bytes: int) -> None:
    table = table_of([0] * len(lengths), lengths, leaf_bytes)
    found = [leaf_of_thread(table, thread, leaf_bytes) for thread in range(table.leaves)]
    assert sorted(found) == [
        (piece, leaf)
        for piece, length in enumerate(lengths)
        for leaf in range(-(-length // leaf_bytes))
    ]


@pytest.mark.parametrize("geometry", [Geometry(), SMALL], ids=["default", "small"])
@pytest.mark.parametrize("leaf_bytes", [4096, 16_384, 65_536, MEBI])
@pytest.mark.parametrize("tiny", [False, True])
def test_the_sums_of_any_batch_have_room(geometry: Geometry, leaf_bytes: int, tiny: bool) -> None:
    count = geometry.max_pieces
    lengths = [1] * count if tiny else [geometry.batch_bytes // count] * count
    room = results_bytes(geometry)
    table = table_of([0] * count, lengths, leaf_bytes)
    lattice = LatticeComputation(StandInDevice(), leaf_bytes, geometry, room, Recheck())
    assert 0 < lattice.result_bytes(table) <= room
    assert lattice.result_bytes(table) >= table.leaves // MAX_THREADS * SUM_BYTES
