import os
import resource
import stat
from pathlib import Path

import pytest

from weightlock.errors import KeyUnusable
from weightlock.keys import files
from weightlock.keys.passphrases import read_passphrase


def _read(path: Path, *, max_bytes: int = 100) -> bytes:
    return files.read_secret(path, "the key", max_bytes=max_bytes)


def _secret(folder: Path, content: bytes = b"secret", mode: int = 0o600) -> Path:
    path = folder / "key"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_that_only_its_owner_can_read_is_read(tmp_path: Path, mode: int) -> None:
    assert _read(_secret(tmp_path, mode=mode)) == b"secret"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o777])
def test_a_file_that_others_can_use_is_refused_with_the_way_out(tmp_path: Path, mode: int) -> None:
    with pytest.raises(KeyUnusable, match=f"mode {mode:04o}") as caught:
        _read(_secret(tmp_path, mode=mode))
    assert "chmod 600" in caught.value.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    path = _secret(tmp_path)
    os.chown(path, 12345, 12345)
    with pytest.raises(KeyUnusable, match="belongs to another user"):
        _read(path)


def test_a_symbolic_link_is_refused_with_the_way_out(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(_secret(tmp_path))
    with pytest.raises(KeyUnusable, match="symbolic link") as caught:
        _read(link)
    assert "points to" in caught.value.hint


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyUnusable, match="not a regular file"):
        _read(tmp_path)
    with pytest.raises(KeyUnusable, match="not a regular file"):
        files.read_public(tmp_path, "the key", max_bytes=1)


def test_a_fifo_without_a_writer_is_refused_and_holds_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    with pytest.raises(KeyUnusable, match="not a regular file"):
        _read(tmp_path / "fifo")


def test_a_device_is_refused() -> None:
    with pytest.raises(KeyUnusable, match="not a regular file"):
        _read(Path("/dev/zero"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyUnusable, match=r"the key .*/none cannot be opened: No such file"):
        _read(tmp_path / "none")


def test_a_read_that_fails_is_named() -> None:
    with pytest.raises(KeyUnusable, match="cannot be read"):
        files.read_public(Path("/proc/self/mem"), "the key", max_bytes=10)


def test_a_file_of_exactly_the_limit_is_read_and_one_byte_more_is_not(tmp_path: Path) -> None:
    path = _secret(tmp_path, b"x" * 100)
    assert _read(path) == b"x" * 100
    with pytest.raises(KeyUnusable, match="more than the 99 bytes"):
        _read(path, max_bytes=99)


def test_a_public_file_may_be_a_link_and_readable_by_all(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(_secret(tmp_path, b"public", 0o644))
    assert files.read_public(link, "the key", max_bytes=10) == b"public"


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
@pytest.mark.parametrize("mode", [files.PRIVATE_MODE, files.PUBLIC_MODE])
def test_a_new_file_has_exactly_its_mode_whatever_the_umask(
    tmp_path: Path, umask: int, mode: int
) -> None:
    before = os.umask(umask)
    try:
        files.create(tmp_path / "new", b"content", mode=mode)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == mode
    assert (tmp_path / "new").read_bytes() == b"content"
    assert _names(tmp_path) == ["new"]


@pytest.mark.parametrize("kind", ["file", "link", "dangling", "folder"])
def test_a_name_that_is_taken_is_never_replaced(tmp_path: Path, kind: str) -> None:
    path, other = tmp_path / "new", tmp_path / "other"
    if kind == "file":
        path.write_bytes(b"old")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(other)
        if kind == "link":
            other.write_bytes(b"old")
    before = _names(tmp_path)
    with pytest.raises(KeyUnusable, match="exists already"):
        files.create(path, b"content", mode=0o600)
    assert _names(tmp_path) == before
    assert kind != "file" or path.read_bytes() == b"old"
    assert kind != "link" or other.read_bytes() == b"old"


@pytest.mark.parametrize("name", ["", "missing/new", "/proc/new", "a" * 300])
def test_a_place_where_nothing_can_be_created_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(KeyUnusable, match=r"cannot be created|exists already"):
        files.create(tmp_path / name, b"content", mode=0o600)
    assert _names(tmp_path) == []


def test_a_write_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(KeyUnusable, match="cannot be created: File too large"):
            files.create(tmp_path / "new", b"x" * 100, mode=0o600)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert _names(tmp_path) == []


def test_a_mode_that_the_file_system_does_not_keep_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyUnusable, match="does not keep permissions"):
        files.create(tmp_path / "new", b"x", mode=0o10_600)  # no file system keeps this bit
    assert _names(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"a b c\n", b"a b c", id="one line"),
        pytest.param(b"a b c", b"a b c", id="no line ending"),
        pytest.param(b"a b c\r\n", b"a b c", id="carriage return"),
        pytest.param(b" a \n", b" a ", id="spaces belong to it"),
        pytest.param("\u00fc\n".encode(), "\u00fc".encode(), id="any bytes"),
    ],
)
def test_a_passphrase_is_the_one_line_of_its_file(
    tmp_path: Path, content: bytes, expected: bytes
) -> None:
    assert read_passphrase(_secret(tmp_path, content)) == expected


@pytest.mark.parametrize("content", [b"", b"\n", b"a\nb\n", b"a\n\n", b"a\0b", b"x" * 1025])
def test_a_file_that_is_not_one_line_is_no_passphrase(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(KeyUnusable, match="the passphrase file"):
        read_passphrase(_secret(tmp_path, content))


def test_a_passphrase_that_others_can_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyUnusable, match="mode 0644"):
        read_passphrase(_secret(tmp_path, b"secret\n", 0o644))


def test_a_passphrase_comes_through_a_pipe_as_the_shell_makes_one() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"secret\n")
    os.close(writing)
    try:
        assert read_passphrase(Path(f"/dev/fd/{reading}")) == b"secret"
    finally:
        os.close(reading)


def test_a_pipe_without_a_writer_is_an_empty_passphrase(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    with pytest.raises(KeyUnusable, match="is empty"):
        read_passphrase(tmp_path / "fifo")
