"""Digests of stretches equal those of their bytes, and no short or changing file has one."""

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from weightlock.digests import HashAlgorithm
from weightlock.errors import ChangedWhileReading, Unreadable
from weightlock.oms.hashing import BUFFER_BYTES, Stretch, digests

SHA256 = HashAlgorithm.SHA256


@dataclass(frozen=True)
class Opened:
    name: str
    descriptor: int
    size: int


class PlainFiles:
    """Files of a folder, without the walker's checks."""

    def __init__(self, *paths: Path) -> None:
        self.paths = paths

    @contextmanager
    def open(self, file: int) -> Iterator[Opened]:
        with self.paths[file].open("rb") as stream:
            yield Opened("file", stream.fileno(), self.paths[file].stat().st_size)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


@pytest.mark.parametrize(
    "size", [0, 1, BUFFER_BYTES - 1, BUFFER_BYTES, BUFFER_BYTES + 1, 3 * BUFFER_BYTES + 7]
)
@pytest.mark.parametrize("algorithm", [HashAlgorithm.SHA256, HashAlgorithm.SHA3_512])
def test_a_file_has_the_digest_of_its_bytes(
    path: Path, size: int, algorithm: HashAlgorithm
) -> None:
    content = os.urandom(size)
    path.write_bytes(content)
    seen: list[int] = []
    [found] = digests(PlainFiles(path), [Stretch(0, 0, size, size)], algorithm, seen.append)
    assert found.value == hashlib.new(algorithm.value.replace("sha3-", "sha3_"), content).digest()
    assert sum(seen) == size


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_digests_come_in_the_order_of_the_stretches(path: Path, workers: int) -> None:
    content = os.urandom(1000)
    path.write_bytes(content)
    cuts = [(0, 10), (990, 10), (5, 900), (0, 0), (400, 1)]
    stretches = [Stretch(0, offset, length, 1000) for offset, length in cuts]
    found = digests(PlainFiles(path), stretches, SHA256, lambda _: None, workers=workers)
    assert [digest.value for digest in found] == [
        hashlib.sha256(content[offset : offset + length]).digest() for offset, length in cuts
    ]


def test_nothing_to_hash_gives_nothing() -> None:
    assert digests(PlainFiles(), [], SHA256, lambda _: None) == []


def test_several_threads_work_at_once(path: Path) -> None:
    path.write_bytes(b"x" * 4)
    meeting = threading.Barrier(2, timeout=30)

    def wait_for_the_other(_: int) -> None:
        meeting.wait()

    stretches = [Stretch(0, 0, 4, 4), Stretch(0, 0, 4, 4)]
    found = digests(PlainFiles(path), stretches, SHA256, wait_for_the_other, workers=2)
    assert found[0].matches(found[1])


@pytest.mark.parametrize("listed", [3, 5])
def test_a_file_of_another_size_than_found_is_not_hashed(path: Path, listed: int) -> None:
    path.write_bytes(b"1234")
    with pytest.raises(ChangedWhileReading, match="opened with 4"):
        digests(PlainFiles(path), [Stretch(0, 0, listed, listed)], SHA256, lambda _: None)


def test_a_file_that_ends_early_has_no_digest(path: Path) -> None:
    path.write_bytes(b"1234")
    with pytest.raises(ChangedWhileReading, match="ended early, at byte 4"):
        digests(PlainFiles(path), [Stretch(0, 0, 9, 4)], SHA256, lambda _: None)


def test_a_folder_cannot_be_hashed(tmp_path: Path) -> None:
    class Folder(PlainFiles):
        @contextmanager
        def open(self, file: int) -> Iterator[Opened]:
            descriptor = os.open(self.paths[file], os.O_RDONLY)
            try:
                yield Opened("folder", descriptor, 4)
            finally:
                os.close(descriptor)

    with pytest.raises(Unreadable, match="cannot be read at byte 0"):
        digests(Folder(tmp_path), [Stretch(0, 0, 4, 4)], SHA256, lambda _: None)


def test_after_a_failure_the_other_threads_stop(path: Path) -> None:
    path.write_bytes(b"1234")
    failed = threading.Event()
    seen: list[int] = []

    class Failing(PlainFiles):
        @contextmanager
        def open(self, file: int) -> Iterator[Opened]:
            if file == 1:
                failed.set()
                raise Unreadable("the largest")
            with super().open(file) as opened:
                yield opened

    def wait_for_the_failure(count: int) -> None:
        assert failed.wait(timeout=30)
        seen.append(count)

    stretches = [Stretch(1, 0, 9, 9), *[Stretch(0, 0, 4, 4)] * 50_000]
    with pytest.raises(Unreadable, match="the largest"):
        digests(Failing(path), stretches, SHA256, wait_for_the_failure, workers=2)
    assert len(seen) < 50_000


def test_after_a_failure_nobody_hashes_a_huge_file_to_its_end(tmp_path: Path) -> None:
    # An interrupt too waited for whatever each thread had begun: hours, for a terabyte.
    huge, short = tmp_path / "huge", tmp_path / "short"
    for path in (huge, short):
        path.touch()
    os.truncate(huge, 1 << 40)
    done: list[int] = []
    stretches = [Stretch(0, 0, 1 << 40, 1 << 40), Stretch(1, 0, 1, 1)]
    with pytest.raises(ChangedWhileReading):
        digests(PlainFiles(huge, short), stretches, SHA256, done.append, workers=2)
    assert sum(done) < 1 << 34
