"""A further GPU's process, with a stand-in device: the oracle's answers, or our errors."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from tests.support import folders
from tests.support.standin import MARKER, StandInDevice

from weightlock.checkpoint.folder import CheckpointFolder
from weightlock.checkpoint.walker import Limits
from weightlock.digests import HashAlgorithm
from weightlock.engines.engine import Span
from weightlock.engines.gpu.device_process import DeviceProcess
from weightlock.engines.gpu.device_worker import Assignment
from weightlock.engines.gpu.engine import GpuEngine, Lane
from weightlock.engines.gpu.lane import GpuOptions, LocalLane
from weightlock.engines.gpu.plan import Geometry
from weightlock.engines.gpu.recheck import Recheck
from weightlock.engines.oracle import OracleEngine
from weightlock.errors import (
    ChangedWhileReading,
    EngineFault,
    EngineUnavailable,
    Unreadable,
)
from weightlock.formats.tree import TreeParameters

MEBI = 1024 * 1024
SMALL = Geometry(batch_bytes=2 * MEBI, piece_bytes=MEBI, read_bytes=64 * 1024, max_pieces=7)
OPTIONS = GpuOptions(SMALL, Recheck(leaves_per_batch=2), readers=2)
TREE = TreeParameters(HashAlgorithm.SHA256, 4096)
SIZES = {"a": 9 * MEBI + 12_345, "b": 1, "c": 0, "d": 8 * MEBI}
SPANS = [
    Span(0, 0, 777), Span(0, 777, 9 * MEBI), Span(1, 0, 1), Span(2, 0, 0), Span(3, 0, 7 * MEBI),
    Span(0, 5, 100), Span(3, 1, MEBI),
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    generator = Random(5)  # noqa: S311 - test data
    files = {name: generator.randbytes(size) for name, size in SIZES.items()}
    return folders.write(tmp_path_factory.mktemp("files"), files)


def started(factory: str, number: int = 1) -> DeviceProcess:
    process = DeviceProcess(f"tests.support.standin:{factory}", number, OPTIONS)
    try:
        process.wait_until_ready()
    except BaseException:
        process.close()
        raise
    return process


@contextmanager
def engine_with(*factories: str, local: StandInDevice | None = None) -> Iterator[GpuEngine]:
    lanes: list[Lane] = [LocalLane(local, OPTIONS)] if local else []
    lanes += [started(factory, number) for number, factory in enumerate(factories, start=1)]
    with GpuEngine(lanes, SMALL) as engine:
        yield engine


def roots(
    engine: GpuEngine | OracleEngine,
    folder: Path,
    spans: list[Span],
    parameters: TreeParameters = TREE,
) -> list[bytes]:
    with CheckpointFolder(folder) as opened:
        files = opened.files(opened.walk(Limits()).files)
        return engine.segment_roots(files, spans, parameters, lambda _: None)


def test_processes_and_a_device_here_share_the_work_and_equal_the_oracle(folder: Path) -> None:
    here = StandInDevice()
    with engine_with("numbered", "numbered", local=here) as engine:
        assert engine.device == "stand-in, stand-in 1, stand-in 2"
        for algorithm in (HashAlgorithm.SHA512, HashAlgorithm.SHA3_256):
            parameters = TreeParameters(algorithm, 16_384)
            expected = roots(OracleEngine(), folder, SPANS, parameters)
            assert roots(engine, folder, SPANS, parameters) == expected
        assert roots(engine, folder, []) == []


def test_a_process_alone_is_an_engine_too_and_says_how_far_it_is(folder: Path) -> None:
    seen: list[int] = []
    with engine_with("numbered") as engine, CheckpointFolder(folder) as opened:
        files = opened.files(opened.walk(Limits()).files)
        engine.segment_roots(files, SPANS, TREE, seen.append)
    assert sum(seen) == sum(span.length for span in SPANS)
    assert len(seen) > 3


def test_thousands_of_pieces_fit_the_channel(folder: Path) -> None:
    spans = [Span(0, start, 1000 + start % 3) for start in range(4000)]
    with engine_with("numbered") as engine:
        assert roots(engine, folder, spans) == roots(OracleEngine(), folder, spans)


def test_a_file_that_ends_too_early_is_told_and_the_process_works_on(folder: Path) -> None:
    with engine_with("numbered", local=StandInDevice()) as engine:
        with pytest.raises(ChangedWhileReading, match="ends before"):
            roots(engine, folder, [*SPANS, Span(3, MEBI, 8 * MEBI)])
        assert roots(engine, folder, SPANS) == roots(OracleEngine(), folder, SPANS)


def test_a_file_that_changes_meanwhile_is_found_on_our_side(tmp_path: Path) -> None:
    folders.write(tmp_path, {"a": bytes(8 * MEBI)})
    with engine_with("numbered") as engine, CheckpointFolder(tmp_path) as opened:
        files = opened.files(opened.walk(Limits()).files)
        with pytest.raises(ChangedWhileReading, match="while it was read"):
            engine.segment_roots(
                files, [Span(0, 0, 8 * MEBI)], TREE, lambda _: os.utime(tmp_path / "a", ns=(1, 1))
            )


def test_a_file_that_cannot_be_opened_any_more_is_told(tmp_path: Path) -> None:
    folders.write(tmp_path, {"a": bytes(MEBI), "b": bytes(MEBI)})
    with engine_with("numbered") as engine, CheckpointFolder(tmp_path) as opened:
        files = opened.files(opened.walk(Limits()).files)
        (tmp_path / "b").unlink()
        with pytest.raises(Unreadable, match="cannot be read"):
            engine.segment_roots(files, [Span(0, 0, MEBI), Span(1, 0, MEBI)], TREE, lambda _: None)
        assert engine.segment_roots(files, [Span(0, 0, 5)], TREE, lambda _: None)


def test_an_error_of_the_caller_stops_all_devices(folder: Path) -> None:
    class Enough(Exception):
        pass

    def stop(_: int) -> None:
        raise Enough

    with engine_with("numbered", local=StandInDevice()) as engine, CheckpointFolder(folder) as at:
        files = at.files(at.walk(Limits()).files)
        with pytest.raises(Enough):
            engine.segment_roots(files, SPANS, TREE, stop)
        assert roots(engine, folder, SPANS) == roots(OracleEngine(), folder, SPANS)


@pytest.mark.parametrize(
    ("factory", "error", "message"),
    [
        pytest.param("soon_lost", EngineUnavailable, "the device is gone", id="lost"),
        pytest.param("wrong", EngineFault, "leaf", id="wrong"),
        pytest.param("raising", EngineFault, "nobody foresaw this", id="unforeseen"),
        pytest.param("ending", EngineUnavailable, "exit code 9", id="ended"),
    ],
)
def test_errors_of_the_process_are_ours(
    factory: str, error: type[Exception], message: str, folder: Path
) -> None:
    with (
        engine_with(factory, local=StandInDevice()) as engine,
        pytest.raises(error, match=message),
    ):
        roots(engine, folder, SPANS)


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("absent", "GPU 7: there is no stand-in 7"),
        ("broken", "stand-in 7 smokes"),
        ("unknown", "has no attribute"),
    ],
)
def test_a_device_that_cannot_be_had_is_unavailable(factory: str, message: str) -> None:
    with pytest.raises(EngineUnavailable, match=message):
        started(factory, 7)


def test_an_assignment_is_read_as_it_is_written() -> None:
    assignment = Assignment("module:function", 3, OPTIONS)
    read = Assignment.parse(str(assignment))
    assert (read.factory, read.number) == ("module:function", 3)
    assert read.options.geometry == OPTIONS.geometry
    assert (read.options.recheck, read.options.readers) == (OPTIONS.recheck, OPTIONS.readers)


@pytest.mark.parametrize("factory", ["tattling", "tattling_and_lost"])
def test_no_byte_of_a_file_is_left_in_the_memory_of_the_process(
    factory: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folders.write(tmp_path, {"a": MARKER * 100_000})
    with engine_with(factory) as engine:
        try:
            roots(engine, tmp_path, [Span(0, 0, 3_200_000)])
        except EngineUnavailable:
            assert factory == "tattling_and_lost"
    told = capfd.readouterr().err.split()
    assert len(told) > 10
    assert set(told) == {"clean"}


KILLED = """
import sys
from pathlib import Path
sys.path[0] = str(Path.cwd())
from tests.support.standin import MARKER
from weightlock.engines.engine import Span
from weightlock.engines.gpu.device_process import DeviceProcess
from weightlock.engines.gpu.engine import GpuEngine
from weightlock.engines.gpu.lane import GpuOptions
from weightlock.engines.gpu.plan import Geometry
from weightlock.engines.measuring import PlainFiles
from weightlock.formats.tree import TreeParameters

def wait(_):
    print("busy", flush=True)
    sys.stdin.read()

small = Geometry(batch_bytes=2 << 20, piece_bytes=1 << 20, read_bytes=1 << 16, max_pieces=7)
lane = DeviceProcess("tests.support.standin:tattling", 1, GpuOptions(small, readers=2))
lane.wait_until_ready()
print(lane.pid, flush=True)
files = PlainFiles([Path(sys.argv[1])])
GpuEngine([lane], small).segment_roots(files, [Span(0, 0, 9 << 20)], TreeParameters(), wait)
"""


def test_a_process_whose_engine_is_killed_ends_and_leaves_nothing(tmp_path: Path) -> None:
    folders.write(tmp_path, {"a": MARKER * 300_000})
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", KILLED, str(tmp_path / "a")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[4],
        text=True,
    ) as engine:
        assert engine.stdout is not None
        worker = os.pidfd_open(int(engine.stdout.readline()))
        assert engine.stdout.readline() == "busy\n"
        engine.send_signal(signal.SIGKILL)
        ended, _, _ = select.select([worker], [], [], 30)
        os.close(worker)
        assert ended
        assert engine.stderr is not None
        told = engine.stderr.read()
    assert set(told.split()) == {"clean"}, told
