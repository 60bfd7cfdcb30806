"""The CPU engine gives exactly the oracle's answers, or an error (A35, C10)."""

import os
import random
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import folders

from weightlock.checkpoint.folder import CheckpointFolder, OpenedFile
from weightlock.checkpoint.walker import Limits
from weightlock.digests import HashAlgorithm
from weightlock.engines import cpu
from weightlock.engines.cpu import BLOCK_BYTES, CpuEngine
from weightlock.engines.engine import Engine, OpenFile, Span
from weightlock.engines.oracle import OracleEngine
from weightlock.engines.processes import start_process
from weightlock.errors import ChangedWhileReading, EngineFault, Unreadable
from weightlock.formats.tree import TreeParameters, segment_root

LEAF = 4096
SMALL = TreeParameters(HashAlgorithm.SHA256, LEAF)


def roots(
    engine: Engine, folder: Path, spans: list[Span], parameters: TreeParameters = SMALL
) -> list[bytes]:
    with CheckpointFolder(folder) as opened:
        files = opened.files(opened.walk(Limits()).files)
        return engine.segment_roots(files, spans, parameters, lambda _: None)


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files of more than a block, enough that processes are started."""
    generator = random.Random(1)  # noqa: S311 - test data
    return folders.write(
        tmp_path_factory.mktemp("big"),
        {f"{name}.bin": generator.randbytes(17 * BLOCK_BYTES + 12_345) for name in "ab"},
    )


BOUNDARIES = [
    0, 1, LEAF - 1, LEAF, LEAF + 1, 2 * LEAF, 3 * LEAF, 3 * LEAF + 1, 4 * LEAF - 1, 7 * LEAF,
    8 * LEAF, 64 * LEAF, 64 * LEAF + 1, 65 * LEAF - 1, BLOCK_BYTES - 1, BLOCK_BYTES,
    BLOCK_BYTES + 1, 2 * BLOCK_BYTES + LEAF + 1,
]  # fmt: skip


@pytest.mark.parametrize("length", BOUNDARIES)
def test_the_engine_equals_the_oracle_on_both_sides_of_every_boundary(
    length: int, big: Path
) -> None:
    spans = [Span(0, 17, length), Span(1, 3, length)]
    data = (big / "a.bin").read_bytes()
    expected = roots(OracleEngine(), big, spans)
    assert expected[0] == segment_root(SMALL, data[17 : 17 + length])
    assert roots(CpuEngine(2), big, spans) == expected


@pytest.mark.parametrize("algorithm", list(HashAlgorithm))
@pytest.mark.parametrize("leaf_bytes", [LEAF, 16 * 1024, 1024 * 1024])
def test_every_hash_and_leaf_size_equals_the_oracle(
    algorithm: HashAlgorithm, leaf_bytes: int, big: Path
) -> None:
    parameters = TreeParameters(algorithm, leaf_bytes)
    spans = [Span(0, 0, 3 * 1024 * 1024 + 1), Span(1, 5, 100)]
    expected = roots(OracleEngine(), big, spans, parameters)
    assert roots(CpuEngine(2), big, spans, parameters) == expected


@pytest.mark.parametrize("processes", [False, True])
@pytest.mark.parametrize("threads", [1, 3])
def test_processes_and_threads_give_the_same_roots(
    processes: bool,
    threads: int,
    big: Path,
) -> None:
    size = (big / "a.bin").stat().st_size
    spans = [Span(0, 0, size), Span(1, 0, size)]
    hashed: list[int] = []
    with CheckpointFolder(big) as opened:
        files = opened.files(opened.walk(Limits()).files)
        engine = CpuEngine(threads, processes=processes)
        found = engine.segment_roots(files, spans, SMALL, hashed.append)
    assert found == roots(OracleEngine(), big, spans)
    assert sum(hashed) == 2 * size
    assert sum(span.length for span in spans) >= cpu.PROCESS_BYTES


@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.integers(1, 3 * LEAF), max_size=40), threads=st.integers(1, 4))
def test_many_small_segments_equal_the_oracle(big: Path, cuts: list[int], threads: int) -> None:
    spans, offset = [], 0
    for number, length in enumerate(cuts):
        spans.append(Span(number % 2, offset, length))
        offset += length
    spans.sort(key=lambda span: span.file)
    assert roots(CpuEngine(threads), big, spans) == roots(OracleEngine(), big, spans)


def test_more_files_than_descriptors_can_be_handed_over_at_once(tmp_path: Path) -> None:
    files = {f"{number:03}": bytes([number % 251]) * 300_000 for number in range(300)}
    folders.write(tmp_path, files)
    spans = [Span(number, 0, 300_000) for number in range(300)]
    assert sum(span.length for span in spans) >= cpu.PROCESS_BYTES
    expected = [segment_root(SMALL, data) for _, data in sorted(files.items())]
    assert roots(CpuEngine(2), tmp_path, spans) == expected


@pytest.mark.parametrize("length", [LEAF, cpu.PROCESS_BYTES], ids=["threads", "processes"])
def test_a_file_that_is_shorter_than_its_segments_is_an_error(length: int, tmp_path: Path) -> None:
    folders.write(tmp_path, {"a": bytes(length - 1)})
    for engine in (CpuEngine(2), OracleEngine()):
        with pytest.raises(ChangedWhileReading, match="'a'"):
            roots(engine, tmp_path, [Span(0, 0, length)])


def test_many_cores_keep_within_the_descriptors_that_a_process_may_have(tmp_path: Path) -> None:
    # Shells and containers often allow 1024; 64 cores once wanted eight times that.
    size = cpu.PROCESS_BYTES // 1024
    for number in range(1024):
        with (tmp_path / f"{number:04}").open("wb") as file:
            file.truncate(size)
    spans = [Span(number, 0, size) for number in range(1024)]
    used = len([*Path("/proc/self/fd").iterdir()])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 100, hard))
    try:
        found = roots(CpuEngine(8), tmp_path, spans)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert found == [segment_root(SMALL, bytes(size))] * 1024


def test_a_file_that_changes_meanwhile_is_an_error_and_never_a_root(tmp_path: Path) -> None:
    path = folders.write(tmp_path, {"a": bytes(cpu.PROCESS_BYTES)}) / "a"
    with CheckpointFolder(tmp_path) as opened:
        files = opened.files(opened.walk(Limits()).files)
        first = threading.Event()

        def disturb(_: int) -> None:
            if not first.is_set():
                first.set()
                with path.open("r+b") as file:
                    file.write(b"x")

        with pytest.raises(ChangedWhileReading):
            CpuEngine(2).segment_roots(files, [Span(0, 0, cpu.PROCESS_BYTES)], SMALL, disturb)


class Refusing:
    """Implements Files over one file that cannot be opened."""

    def open(self, file: int) -> "Refusing":
        del file
        raise Unreadable("'a' cannot be read: Input/output error")


@pytest.mark.parametrize("length", [LEAF, cpu.PROCESS_BYTES], ids=["threads", "processes"])
def test_an_unreadable_file_is_an_error(length: int) -> None:
    files = Refusing()
    with pytest.raises(Unreadable):
        CpuEngine(2).segment_roots(files, [Span(0, 0, length)], SMALL, lambda _: None)  # type: ignore[arg-type]


def test_a_hashing_process_that_is_killed_is_an_error(big: Path) -> None:
    process = start_process(SMALL)
    assert process is not None
    process._process.kill()
    process._process.wait()
    with pytest.raises(EngineFault):
        process.answer(1)
    with (big / "a.bin").open("rb") as file, pytest.raises(EngineFault):
        process.request([file.fileno()], [(0, 0, LEAF)])
    process.close()


def test_an_error_in_a_hashing_process_comes_back_as_the_same_error(tmp_path: Path) -> None:
    process = start_process(SMALL)
    assert process is not None
    folder = os.open(tmp_path, os.O_RDONLY)
    process.request([folder], [(0, 0, LEAF)])
    with pytest.raises(IsADirectoryError):
        process.answer(1)
    os.close(folder)
    process.close()


class BadAndGood:
    """Two files as the checkpoint's folder opens them; the first cannot be read."""

    def __init__(self, *paths: Path) -> None:
        self.paths = paths

    @contextmanager
    def open(self, file: int) -> Iterator[OpenFile]:
        path = self.paths[file]
        descriptor = os.open(path, os.O_RDONLY)
        try:
            yield OpenedFile(path.name, descriptor, cpu.WORTH_SENDING_BYTES)
        except OSError as error:
            raise Unreadable(f"{path.name} cannot be read") from error
        finally:
            os.close(descriptor)


def test_an_error_in_a_hashing_process_is_not_told_of_another_file(tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    folders.write(tmp_path, {"good": bytes(cpu.WORTH_SENDING_BYTES)})
    batch = [cpu._Piece(n, 0, n, 0, cpu.WORTH_SENDING_BYTES) for n in range(2)]
    files = BadAndGood(tmp_path / "bad", tmp_path / "good")
    worker = cpu._Worker(files, SMALL, start_process(SMALL), lambda *_: None)
    with pytest.raises(Unreadable, match=r"'bad'.*Is a directory"):
        worker.work(iter([batch]))


def test_without_an_interpreter_to_start_threads_do_the_work(
    big: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = [Span(0, 0, (big / "a.bin").stat().st_size), Span(1, 0, 4 * BLOCK_BYTES)]
    expected = roots(OracleEngine(), big, spans)
    monkeypatch.setattr("sys.executable", "")
    assert roots(CpuEngine(2), big, spans) == expected
    monkeypatch.setattr("sys.executable", "/nonexistent")
    assert roots(CpuEngine(2), big, spans) == expected


def test_short_reads_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = random.Random(2).randbytes(10 * LEAF + 7)  # noqa: S311 - test data
    folders.write(tmp_path, {"a": data})
    real = os.preadv

    def a_little(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        return real(descriptor, [buffers[0][: max(1, len(buffers[0]) // 3)]], offset)

    monkeypatch.setattr("weightlock.engines.subtree.os.preadv", a_little)
    spans = [Span(0, 0, len(data))]
    assert roots(CpuEngine(1), tmp_path, spans) == [segment_root(SMALL, data)]


def test_the_device_says_what_hashes() -> None:
    assert CpuEngine(3).device == "cpu (3 threads)"
