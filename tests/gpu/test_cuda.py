"""The real device: the oracle's answers, whatever it is given, and nothing left behind.

python -m pytest -m gpu tests/gpu
"""

import hashlib
import importlib
import os
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.support import folders

from weightlock.checkpoint.folder import CheckpointFolder
from weightlock.checkpoint.walker import Limits
from weightlock.digests import HashAlgorithm
from weightlock.engines.cpu import CpuEngine
from weightlock.engines.engine import Engine, Span
from weightlock.engines.gpu.cupy_device import Bindings, CupyDevice
from weightlock.engines.gpu.device_process import DeviceProcess
from weightlock.engines.gpu.engine import GpuEngine, Lane
from weightlock.engines.gpu.lane import GpuOptions, LocalLane
from weightlock.engines.gpu.opening import DEVICE_FACTORY, default_cache, open_devices
from weightlock.engines.gpu.plan import Geometry
from weightlock.engines.gpu.recheck import Recheck
from weightlock.engines.gpu.resident import Region, ResidentHasher
from weightlock.engines.gpu.slots import address_of
from weightlock.engines.lattice import NumberedSegment
from weightlock.engines.memory import memory_roots
from weightlock.engines.oracle import OracleEngine
from weightlock.engines.tensors import of_state
from weightlock.errors import EngineFault, EngineUnavailable
from weightlock.formats.lthash import LtHash
from weightlock.formats.tree import TreeParameters, segment_root

pytestmark = pytest.mark.gpu

CORES = os.cpu_count() or 1
MEBI = 1024 * 1024
LEAF = 4096
SMALL = Geometry(batch_bytes=2 * MEBI, piece_bytes=MEBI, read_bytes=64 * 1024, max_pieces=64)
DIRECT = Geometry(
    batch_bytes=8 * MEBI, piece_bytes=MEBI, read_bytes=64 * 1024, max_pieces=64, alignment=4096
)
BOUNDARIES = [
    1, 2, 54, 55, 56, 63, 64, 65, 71, 72, 103, 104, 110, 111, 112, 127, 128, 129, 134, 135, 136,
    LEAF - 1, LEAF, LEAF + 1, 63 * LEAF, 64 * LEAF, 64 * LEAF + 1, 65 * LEAF - 1, 3 * MEBI + 5,
]  # fmt: skip


@pytest.fixture(scope="module")
def devices() -> list[CupyDevice]:
    return open_devices("any", default_cache())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    generator = Random(5)  # noqa: S311 - test data
    files = {name: generator.randbytes(6 * MEBI + 12_345) for name in "ab"}
    return folders.write(tmp_path_factory.mktemp("files"), files)


@pytest.fixture(scope="module")
def spans() -> list[Span]:
    generator = Random(6)  # noqa: S311 - test data
    spans = []
    for file in (0, 1):
        position = 0
        for length in BOUNDARIES:
            position += generator.randrange(100)
            spans.append(Span(file, position, length))
            position += length
    return spans


def engine_on(devices: list[CupyDevice], options: GpuOptions) -> GpuEngine:
    return GpuEngine([LocalLane(device, options) for device in devices], options.geometry)


def roots(
    engine: Engine, folder: Path, spans: list[Span], parameters: TreeParameters
) -> list[bytes]:
    with CheckpointFolder(folder) as opened:
        files = opened.files(opened.walk(Limits()).files)
        return engine.segment_roots(files, spans, parameters, lambda _: None)


@pytest.mark.parametrize("algorithm", HashAlgorithm)
@pytest.mark.parametrize("geometry", [Geometry(), SMALL, DIRECT], ids=["large", "small", "direct"])
@pytest.mark.parametrize("leaf_bytes", [4096, 16_384, 1_048_576])
def test_the_engine_equals_the_oracle_on_both_sides_of_every_boundary(
    algorithm: HashAlgorithm,
    geometry: Geometry,
    leaf_bytes: int,
    devices: list[CupyDevice],
    folder: Path,
    spans: list[Span],
) -> None:
    parameters = TreeParameters(algorithm, leaf_bytes)
    options = GpuOptions(geometry, Recheck(2, every_node=True))
    with engine_on(devices, options) as engine:
        found = roots(engine, folder, spans, parameters)
    assert found == roots(OracleEngine(), folder, spans, parameters)


@pytest.mark.parametrize("algorithm", HashAlgorithm)
def test_regions_at_any_address_equal_the_oracle(
    algorithm: HashAlgorithm, devices: list[CupyDevice]
) -> None:
    device = devices[0]
    device.use()
    data = Random(8).randbytes(4 * MEBI)  # noqa: S311 - test data
    memory, queue = device.allocate(len(data)), device.queue()
    queue.upload(memory.address, address_of(data), len(data))
    queue.finish()
    parameters = TreeParameters(algorithm, LEAF)
    hasher = ResidentHasher(device, parameters, Recheck(4, every_node=True), Random(2))  # noqa: S311
    places = [(start, length) for start, length in enumerate(BOUNDARIES)]
    found = hasher.segment_roots(
        [Region(memory.address + start, length) for start, length in places]
    )
    memory.free()
    assert found == [segment_root(parameters, data[s : s + length]) for s, length in places]


def test_more_than_four_gibibytes_in_one_region_equal_the_oracle(
    devices: list[CupyDevice],
) -> None:
    measuring: Any = importlib.import_module("weightlock.engines.gpu.measuring")
    oracle: Any = importlib.import_module("weightlock.engines.measuring")
    devices[0].use()
    bench = measuring.DeviceBench(devices[0], oracle.random_block(), 8 * 1024 * MEBI)
    try:
        assert bench.tree_rate(TreeParameters(), [6 * 1024 * MEBI]) > 0
    finally:
        bench.close()


@pytest.mark.parametrize("dtype", ["uint8", "bfloat16", "float32"])
def test_tensors_of_torch_are_hashed_where_they_lie(dtype: str) -> None:
    torch: Any = pytest.importorskip("torch")
    here = torch.randint(0, 255, (1_000_003,), dtype=torch.uint8).to(getattr(torch, dtype))
    state = {"host": here, "gpu": here.to("cuda"), "part": here.to("cuda")[5:70_001]}
    state["turned"] = here[:999_999].reshape(3, -1).to("cuda").t()
    raw = {
        name: bytes(tensor.contiguous().cpu().view(torch.uint8).flatten().numpy())
        for name, tensor in state.items()
    }
    parameters = TreeParameters(HashAlgorithm.SHA512, LEAF)
    expected = {name: segment_root(parameters, data) for name, data in raw.items()}
    assert memory_roots(of_state(state), parameters) == expected


def test_a_bit_that_flips_in_device_memory_is_seen(devices: list[CupyDevice]) -> None:
    device = devices[0]
    device.use()
    data = bytes(MEBI)
    memory, queue = device.allocate(len(data)), device.queue()
    queue.upload(memory.address, address_of(data), len(data))
    flipped = b"\x01"
    queue.upload(memory.address + 777_777, address_of(flipped), 1)
    queue.finish()
    parameters = TreeParameters()
    hasher = ResidentHasher(device, parameters, Recheck(), Random(2))  # noqa: S311
    (found,) = hasher.segment_roots([Region(memory.address, len(data))])
    memory.free()
    assert found != segment_root(parameters, data)
    assert found == segment_root(parameters, data[:777_777] + flipped + data[777_778:])


def test_nothing_of_a_file_is_found_in_memory_that_is_allocated_afterwards(
    devices: list[CupyDevice], tmp_path: Path
) -> None:
    marker = hashlib.sha512(b"planted").digest()
    folders.write(tmp_path, {"a": marker * (2 * MEBI)})
    with engine_on(devices[:1], GpuOptions()) as engine:
        roots(engine, tmp_path, [Span(0, 0, 128 * MEBI)], TreeParameters())
    device = devices[0]
    device.use()
    size = 256 * MEBI
    pinned, queue = device.pin(size), device.queue()
    taken = [device.allocate(size) for _ in range(6)]
    try:
        for memory in taken:
            queue.download(pinned.address, memory.address, size)
            queue.finish()
            assert marker not in bytes(pinned.view)
    finally:
        pinned.free()
        for memory in taken:
            memory.free()


def test_more_memory_than_there_is_makes_the_engine_unavailable(
    devices: list[CupyDevice],
) -> None:
    huge = Geometry(batch_bytes=1 << 42)
    with pytest.raises(EngineUnavailable, match="out of memory"):
        engine_on(devices[:1], GpuOptions(huge, readers=1))


@pytest.mark.parametrize(
    "visible", ["", "MIG-11111111-2222-3333-4444-555555555555"], ids=["none", "no such part"]
)
def test_without_a_visible_gpu_a_named_engine_is_an_error_and_auto_the_cpu(visible: str) -> None:
    program = (
        "from weightlock.engines.choice import choose_engine\n"
        "from weightlock.engines.measuring import PlainFiles\n"
        "from weightlock.errors import EngineUnavailable\n"
        "from weightlock.formats.tree import TreeParameters\n"
        "try:\n    choose_engine('cuda', threads=1, notice=print)\n"
        "except EngineUnavailable as error:\n    print('unavailable')\n"
        "engine = choose_engine('auto', threads=0, notice=lambda line: print(line[-21:]))\n"
        "engine.segment_roots(PlainFiles([]), [], TreeParameters(), lambda _: None)\n"
        "print(engine.device[:3])\n"
    )
    environment = dict(os.environ, CUDA_VISIBLE_DEVICES=visible)  # noqa: TID251 - another process
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "unavailable\ncontinuing on the CPU\ncpu\n"


def test_a_wrong_answer_of_the_device_is_a_fault(
    devices: list[CupyDevice], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computation: Any = importlib.import_module("weightlock.engines.gpu.computation")
    monkeypatch.setattr(
        computation, "leaf_hash", lambda algorithm, _: bytes(algorithm.digest_bytes)
    )
    with engine_on(devices[:1], GpuOptions()) as engine, pytest.raises(EngineFault, match="leaf"):
        roots(engine, folder, [Span(0, 0, MEBI)], TreeParameters())


@pytest.mark.parametrize("geometry", [Geometry(), SMALL, DIRECT], ids=["large", "small", "direct"])
@pytest.mark.parametrize("leaf_bytes", [4096, 16_384, 1_048_576])
def test_the_lattice_hash_equals_that_of_the_cpu(
    geometry: Geometry,
    leaf_bytes: int,
    devices: list[CupyDevice],
    folder: Path,
    spans: list[Span],
) -> None:
    segments = [
        NumberedSegment(span.file, 7 * number, span.offset, span.length)
        for number, span in enumerate(spans)
    ]
    with CheckpointFolder(folder) as opened:
        files = opened.files(opened.walk(Limits()).files)
        expected = CpuEngine(CORES).lattice_sum(files, segments, leaf_bytes, lambda _: None)
        with engine_on(devices, GpuOptions(geometry, Recheck(3))) as engine:
            found = engine.lattice_sum(files, segments, leaf_bytes, lambda _: None)
    assert found == expected


def test_a_wrong_sum_of_the_device_is_a_fault(
    devices: list[CupyDevice], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lattice: Any = importlib.import_module("weightlock.engines.gpu.lattice")
    monkeypatch.setattr(lattice, "element", lambda *_: LtHash())
    segments = [NumberedSegment(0, 0, 0, MEBI)]
    with CheckpointFolder(folder) as opened, engine_on(devices[:1], GpuOptions()) as engine:
        files = opened.files(opened.walk(Limits()).files)
        with pytest.raises(EngineFault, match="lattice"):
            engine.lattice_sum(files, segments, LEAF, lambda _: None)


@pytest.mark.parametrize("number", [0, 1])
def test_a_gpu_in_a_process_of_its_own_equals_the_oracle(
    number: int, devices: list[CupyDevice], folder: Path, spans: list[Span]
) -> None:
    if number >= Bindings().runtime.getDeviceCount():
        pytest.skip("there is one GPU")
    options = GpuOptions(readers=4)
    other = DeviceProcess(DEVICE_FACTORY, number, options)
    other.wait_until_ready()
    lanes: list[Lane] = [other, LocalLane(devices[0], options)]
    with GpuEngine(lanes, options.geometry) as engine:
        for algorithm in (HashAlgorithm.SHA256, HashAlgorithm.SHA3_512):
            parameters = TreeParameters(algorithm, LEAF)
            expected = roots(OracleEngine(), folder, spans, parameters)
            assert roots(engine, folder, spans, parameters) == expected
