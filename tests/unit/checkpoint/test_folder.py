"""What was hashed is what was found, or nothing was (A02, A19, A20)."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support import folders

from weightlock.checkpoint.folder import CheckpointFolder
from weightlock.checkpoint.walker import FileFact, Identity, Limits
from weightlock.errors import (
    ChangedWhileReading,
    LimitExceeded,
    Unreadable,
    UnsafeEntry,
    WeightlockError,
)


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


def overwrite(path: Path) -> None:
    data = path.read_bytes()
    os.utime(path, ns=(0, 0))
    path.write_bytes(data[:-1] + b"x")


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.replace(path)


def link(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.symlink_to("moved")


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def link_above(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))
    path.parent.symlink_to("elsewhere")


CHANGES = [
    pytest.param(grow, ChangedWhileReading, id="it grew"),
    pytest.param(overwrite, ChangedWhileReading, id="a byte was overwritten"),
    pytest.param(replace, ChangedWhileReading, id="another file took its name"),
    pytest.param(link, Unreadable, id="a link took its name"),
    pytest.param(pipe, ChangedWhileReading, id="a pipe took its name"),
    pytest.param(link_above, Unreadable, id="a link took its folder's name"),
    pytest.param(Path.unlink, Unreadable, id="it went away"),
]


@pytest.mark.parametrize(("change", "expected"), CHANGES)
def test_a_file_that_changed_after_it_was_listed_is_not_opened(
    change: Callable[[Path], None], expected: type[WeightlockError], tmp_path: Path
) -> None:
    folders.write(tmp_path, {"sub/weights.bin": b"x" * 1000})
    with CheckpointFolder(tmp_path) as folder:
        files = folder.files(folder.walk(Limits()).files)
        change(tmp_path / "sub/weights.bin")
        with pytest.raises(expected), files.open(0):
            pass


@pytest.mark.parametrize("change", [grow, overwrite])
def test_a_file_that_changes_while_it_is_read_is_noticed(
    change: Callable[[Path], None], tmp_path: Path
) -> None:
    folders.write(tmp_path, {"sub/weights.bin": b"x" * 1000})
    with CheckpointFolder(tmp_path) as folder:
        files = folder.files(folder.walk(Limits()).files)
        with pytest.raises(ChangedWhileReading, match="while it was read"), files.open(0):
            change(tmp_path / "sub/weights.bin")


def test_a_file_that_stays_the_same_opens_again_and_again(tmp_path: Path) -> None:
    folders.write(tmp_path, {"sub/weights.bin": b"x" * 1000})
    with CheckpointFolder(tmp_path) as folder:
        files = folder.files(folder.walk(Limits()).files)
        for _ in range(2):
            with files.open(0) as file:
                assert (file.name, file.size) == ("sub/weights.bin", 1000)
                assert os.pread(file.descriptor, 2000, 0) == b"x" * 1000


def test_a_file_that_goes_on_behind_its_size_is_unreadable() -> None:
    # Whoever reads to the end, as loaders do, reads more than what was hashed (C10).
    with CheckpointFolder(Path("/proc/sys/kernel/random")) as folder:
        identity = Identity.of(os.stat("boot_id", dir_fd=folder.descriptor))
        files = folder.files([FileFact("boot_id", identity)])
        with pytest.raises(Unreadable, match="'boot_id' has more than the 0 bytes"), files.open(0):
            pass


def test_an_error_of_the_device_names_the_file(tmp_path: Path) -> None:
    folders.write(tmp_path, {"weights.bin": b"x"})
    with CheckpointFolder(tmp_path) as folder:
        files = folder.files(folder.walk(Limits()).files)
        with pytest.raises(Unreadable, match=r"weights\.bin.*Input/output error"), files.open(0):
            raise OSError(5, "Input/output error")


def test_the_folder_stays_the_same_whatever_is_renamed_above_it(tmp_path: Path) -> None:
    folders.write(tmp_path / "model", {"weights.bin": b"signed"})
    with CheckpointFolder(tmp_path / "model") as folder:
        (tmp_path / "model").rename(tmp_path / "old")
        folders.write(tmp_path / "model", {"weights.bin": b"other"})
        assert folder.read("weights.bin", max_bytes=100) == b"signed"


def test_a_small_file_is_read_whole(tmp_path: Path) -> None:
    folders.write(tmp_path, {"model.sig": b"signature"})
    with CheckpointFolder(tmp_path) as folder:
        assert folder.read("model.sig", max_bytes=9) == b"signature"
        assert folder.read("model.pqc.sig", max_bytes=9) is None
        with pytest.raises(LimitExceeded):
            folder.read("model.sig", max_bytes=8)


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("x")])
def test_what_stands_for_a_small_file_must_be_one(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    make(tmp_path / "model.sig")
    with CheckpointFolder(tmp_path) as folder, pytest.raises(UnsafeEntry):
        folder.read("model.sig", max_bytes=100)


def test_reading_leaves_no_trace(tmp_path: Path) -> None:
    folders.write(tmp_path, folders.SAMPLE)
    before = {path: path.stat() for path in tmp_path.rglob("*")}
    with CheckpointFolder(tmp_path) as folder:
        folder.walk(Limits())
        folder.read("config.json", max_bytes=100)
    after = {path: path.stat() for path in tmp_path.rglob("*")}
    assert {p: (s.st_mtime_ns, s.st_ctime_ns) for p, s in before.items()} == {
        p: (s.st_mtime_ns, s.st_ctime_ns) for p, s in after.items()
    }
