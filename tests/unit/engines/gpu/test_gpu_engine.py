"""The GPU engine's host logic, on a stand-in device: the oracle's answers, or an error."""

import os
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support import folders
from tests.support.standin import StandInDevice

from weightlock.checkpoint.folder import CheckpointFolder
from weightlock.checkpoint.walker import Limits
from weightlock.digests import HashAlgorithm
from weightlock.engines.choice import AutoEngine
from weightlock.engines.cpu import CpuEngine
from weightlock.engines.engine import Engine, Span
from weightlock.engines.gpu.engine import GpuEngine
from weightlock.engines.gpu.lane import GpuOptions, LocalLane
from weightlock.engines.gpu.plan import Geometry
from weightlock.engines.gpu.recheck import Recheck
from weightlock.engines.oracle import OracleEngine
from weightlock.errors import ChangedWhileReading, EngineFault, EngineUnavailable
from weightlock.formats.tree import TreeParameters

MEBI = 1024 * 1024
LEAF = 4096
SMALL = Geometry(batch_bytes=2 * MEBI, piece_bytes=MEBI, read_bytes=64 * 1024, max_pieces=7)
DIRECT = Geometry(
    batch_bytes=2 * MEBI, piece_bytes=MEBI, read_bytes=64 * 1024, max_pieces=7, alignment=4096
)
TREE = TreeParameters(HashAlgorithm.SHA256, LEAF)
SIZES = {"a": 5 * MEBI + 12_345, "b": 1, "c": 0, "d": 3 * MEBI}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    generator = Random(5)  # noqa: S311 - test data
    files = {name: generator.randbytes(size) for name, size in SIZES.items()}
    return folders.write(tmp_path_factory.mktemp("files"), files)


@pytest.fixture
def device() -> StandInDevice:
    return StandInDevice()


def options(geometry: Geometry = SMALL, recheck: Recheck | None = None) -> GpuOptions:
    return GpuOptions(geometry, recheck or Recheck(), readers=2)


def engine_on(*devices: StandInDevice, like: GpuOptions | None = None) -> GpuEngine:
    how = like or options()
    return GpuEngine([LocalLane(device, how) for device in devices], how.geometry)


def roots(
    engine: Engine, folder: Path, spans: list[Span], parameters: TreeParameters = TREE
) -> list[bytes]:
    with CheckpointFolder(folder) as opened:
        files = opened.files(opened.walk(Limits()).files)
        return engine.segment_roots(files, spans, parameters, lambda _: None)


ALL = [
    Span(0, 0, 0), Span(0, 0, 777), Span(0, 777, 5 * MEBI), Span(0, 5 * MEBI + 1000, 11_345),
    Span(1, 0, 1), Span(2, 0, 0), Span(3, 1, 3 * MEBI - 1), Span(3, 0, 3 * MEBI),
]  # fmt: skip


@pytest.mark.parametrize("algorithm", HashAlgorithm)
@pytest.mark.parametrize("geometry", [SMALL, DIRECT], ids=["cached", "direct"])
@pytest.mark.parametrize("devices", [1, 3], ids=["one device", "three devices"])
def test_the_engine_equals_the_oracle(
    algorithm: HashAlgorithm, geometry: Geometry, devices: int, folder: Path
) -> None:
    parameters = TreeParameters(algorithm, LEAF)
    many = [StandInDevice() for _ in range(devices)]
    with engine_on(*many, like=options(geometry)) as engine:
        assert roots(engine, folder, ALL, parameters) == roots(
            OracleEngine(), folder, ALL, parameters
        )


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.tuples(st.integers(0, 4 * MEBI), st.integers(0, MEBI + 5000)), max_size=20),
    st.sampled_from([4096, 16_384, 65_536]),
)
def test_any_spans_of_one_file_in_any_leaves_equal_the_oracle(
    folder: Path, places: list[tuple[int, int]], leaf_bytes: int
) -> None:
    spans = [Span(0, offset, length) for offset, length in places]
    parameters = TreeParameters(HashAlgorithm.SHA256, leaf_bytes)
    with engine_on(StandInDevice()) as engine:
        assert roots(engine, folder, spans, parameters) == roots(
            OracleEngine(), folder, spans, parameters
        )


def test_one_engine_hashes_again_and_again(folder: Path, device: StandInDevice) -> None:
    with engine_on(device) as engine:
        first = roots(engine, folder, ALL)
        assert roots(engine, folder, list(reversed(ALL))) == list(reversed(first))
        assert roots(engine, folder, []) == []


def test_progress_ends_at_the_bytes_of_all_spans(folder: Path, device: StandInDevice) -> None:
    seen: list[int] = []
    with engine_on(device) as engine, CheckpointFolder(folder) as opened:
        files = opened.files(opened.walk(Limits()).files)
        engine.segment_roots(files, ALL, TREE, seen.append)
    assert sum(seen) == sum(span.length for span in ALL)
    assert len(seen) > 1


def test_a_span_beyond_its_file_is_an_error(folder: Path, device: StandInDevice) -> None:
    with engine_on(device) as engine:
        with pytest.raises(ChangedWhileReading, match="ends before"):
            roots(engine, folder, [Span(0, 0, SIZES["a"] + 1)])
        assert roots(engine, folder, ALL) == roots(OracleEngine(), folder, ALL)


def test_a_file_that_changes_meanwhile_is_an_error(tmp_path: Path, device: StandInDevice) -> None:
    folders.write(tmp_path, {"a": bytes(MEBI)})

    def touch(digest: bytes) -> bytes:
        os.utime(tmp_path / "a", ns=(1, 1))
        return digest

    device.spoilt = touch
    with engine_on(device) as engine, pytest.raises(ChangedWhileReading):
        roots(engine, tmp_path, [Span(0, 0, MEBI)])


@pytest.mark.parametrize("leaf_bytes", [LEAF, MEBI], ids=["in one read", "in sixteen reads"])
def test_a_device_that_hashes_a_leaf_wrongly_is_found_out(
    leaf_bytes: int, folder: Path, device: StandInDevice
) -> None:
    parameters = TreeParameters(HashAlgorithm.SHA256, leaf_bytes)
    with engine_on(device) as engine:
        assert roots(engine, folder, ALL, parameters)
        device.spoilt = lambda digest: bytes(len(digest))
        with pytest.raises(EngineFault, match="leaf"):
            roots(engine, folder, ALL, parameters)


def test_a_device_that_folds_nodes_wrongly_is_found_out(
    folder: Path, device: StandInDevice
) -> None:
    device.spoilt_node = lambda digest: digest[::-1]
    with engine_on(device) as engine, pytest.raises(EngineFault, match="node"):
        roots(engine, folder, ALL)


def test_every_node_is_checked_when_asked_to(folder: Path, device: StandInDevice) -> None:
    folded = 0

    def spoil_one(digest: bytes) -> bytes:
        nonlocal folded
        folded += 1
        return digest[::-1] if folded == 17 else digest

    device.spoilt_node = spoil_one
    every = options(recheck=Recheck(leaves_per_batch=0, every_node=True))
    with engine_on(device, like=every) as engine, pytest.raises(EngineFault, match="node"):
        roots(engine, folder, ALL)


def test_a_kernel_that_does_nothing_never_repeats_an_answer(
    folder: Path, device: StandInDevice
) -> None:
    without = options(recheck=Recheck(leaves_per_batch=0))
    with engine_on(device, like=without) as engine:
        good = roots(engine, folder, ALL)
        device.idle = True
        bad = roots(engine, folder, ALL)
    assert all(one != two for one, two, span in zip(good, bad, ALL, strict=True) if span.length)


def test_a_device_that_is_lost_is_unavailable(folder: Path, device: StandInDevice) -> None:
    device.lost_after_launches = 2
    with (
        engine_on(device) as engine,
        pytest.raises(EngineUnavailable, match="the device is gone"),
    ):
        roots(engine, folder, ALL)


def test_auto_continues_on_the_cpu_with_one_line_when_the_device_is_lost(
    folder: Path, device: StandInDevice
) -> None:
    device.lost_after_launches = 2
    notices: list[str] = []
    advanced: list[int] = []
    gpu = engine_on(device)
    engine = AutoEngine(CpuEngine(2), lambda: gpu, 1, notices.append)
    with CheckpointFolder(folder) as opened:
        files = opened.files(opened.walk(Limits()).files)
        found = engine.segment_roots(files, ALL, TREE, advanced.append)
    gpu.close()
    assert found == roots(OracleEngine(), folder, ALL)
    assert sum(advanced) == sum(span.length for span in ALL)
    assert notices == ["the GPU cannot be used: the device is gone; continuing on the CPU"]
    assert engine.device == "cpu (2 threads)"


def test_a_device_without_the_memory_is_unavailable() -> None:
    device = StandInDevice(memory_bytes=5 * MEBI)
    with pytest.raises(EngineUnavailable, match="out of memory"):
        engine_on(device)
    assert device.freed


@pytest.mark.parametrize("failing", [False, True], ids=["done", "failed"])
def test_no_byte_of_a_file_is_left_behind(
    failing: bool, tmp_path: Path, device: StandInDevice
) -> None:
    marker = b"MARKER OF SIXTY-FOUR BYTES THAT MUST NOT SURVIVE IN ANY MEMORY !"
    folders.write(tmp_path, {"a": marker * 50_000})
    if failing:
        device.lost_after_launches = 1
    engine = engine_on(device)
    try:
        roots(engine, tmp_path, [Span(0, 0, 64 * 50_000)])
    except EngineUnavailable:
        assert failing
    engine.close()
    assert device.freed
    assert not any(marker[:16] in memory for memory in device.freed)
    assert failing or not any(any(memory) for memory in device.freed)
