"""A signature appears whole or not at all, and never in place of another by accident."""

import errno
import os
from pathlib import Path

import pytest

from weightlock.checkpoint import writing
from weightlock.errors import SignatureExists, Unreadable


def write(folder: Path, data: bytes, *, replace: bool = False) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        writing.write(descriptor, "model.pqc.sig", data, replace=replace)
    finally:
        os.close(descriptor)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_new_signature_is_written(tmp_path: Path) -> None:
    write(tmp_path, b"signature")
    assert (tmp_path / "model.pqc.sig").read_bytes() == b"signature"
    assert names(tmp_path) == ["model.pqc.sig"]


def test_an_existing_signature_is_kept_unless_it_is_to_be_replaced(tmp_path: Path) -> None:
    write(tmp_path, b"first")
    with pytest.raises(SignatureExists) as refusal:
        write(tmp_path, b"second")
    assert "--force" in refusal.value.hint
    assert (tmp_path / "model.pqc.sig").read_bytes() == b"first"
    write(tmp_path, b"second", replace=True)
    assert (tmp_path / "model.pqc.sig").read_bytes() == b"second"
    assert names(tmp_path) == ["model.pqc.sig"]


def test_a_link_in_the_place_of_a_signature_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"precious")
    (tmp_path / "model.pqc.sig").symlink_to("outside")
    with pytest.raises(SignatureExists):
        write(tmp_path, b"signature")
    write(tmp_path, b"signature", replace=True)
    assert (tmp_path / "outside").read_bytes() == b"precious"
    assert not (tmp_path / "model.pqc.sig").is_symlink()


def test_what_cannot_be_replaced_leaves_no_temporary_file(tmp_path: Path) -> None:
    (tmp_path / "model.pqc.sig").mkdir()
    with pytest.raises(Unreadable):
        write(tmp_path, b"signature", replace=True)
    assert names(tmp_path) == ["model.pqc.sig"]


def test_a_folder_that_vanished_is_reported(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    folder.rmdir()
    with pytest.raises(Unreadable):
        writing.write(descriptor, "model.pqc.sig", b"signature", replace=False)
    os.close(descriptor)


@pytest.mark.parametrize("replace", [False, True])
def test_a_file_system_without_nameless_files_is_served_by_a_temporary_name(
    replace: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refuse_nameless_files(monkeypatch)
    write(tmp_path, b"signature", replace=replace)
    assert (tmp_path / "model.pqc.sig").read_bytes() == b"signature"
    assert names(tmp_path) == ["model.pqc.sig"]
    if not replace:
        with pytest.raises(SignatureExists):
            write(tmp_path, b"second")
        assert names(tmp_path) == ["model.pqc.sig"]


def refuse_nameless_files(monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def without_nameless(path: str, flags: int, *args: int, **kwargs: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return real(path, flags, *args, **kwargs)

    monkeypatch.setattr("weightlock.checkpoint.writing.os.open", without_nameless)


def test_a_crash_in_the_middle_of_writing_leaves_what_was_there(tmp_path: Path) -> None:
    write(tmp_path, b"first")
    child = os.fork()
    if child == 0:
        # Dies after the new content was written and before it gets its name.
        os.fsync = lambda _: os._exit(9)  # type: ignore[assignment]
        write(tmp_path, b"second", replace=True)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert (tmp_path / "model.pqc.sig").read_bytes() == b"first"
    assert names(tmp_path) == ["model.pqc.sig"]
