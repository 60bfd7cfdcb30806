"""Writes a signature so that a crash leaves either the whole new file or what was there before."""

import errno
import os
import re
import secrets
from typing import Final

from weightlock.errors import SignatureExists, Unreadable
from weightlock.formats.filenames import printable

_MODE: Final = 0o644
_LEFTOVER: Final = re.compile(r"\.model(?:\.pqc)?\.sig\.[0-9a-f]{16}\.tmp", re.ASCII)


def write(folder: int, name: str, data: bytes, *, replace: bool) -> None:
    """Write a file at the root of the folder behind a descriptor.

    Raises:
        SignatureExists: if it exists and must not be replaced.
        Unreadable: if it cannot be written.
    """
    try:
        _write(folder, name, data, replace=replace)
    except FileExistsError as error:
        raise already_there(name) from error
    except OSError as error:
        raise Unreadable(
            f"{printable(name)} cannot be written: {error.strerror}",
            hint="the checkpoint's folder must be writable to sign it",
        ) from error


def exists(folder: int, name: str) -> bool:
    """Whether anything has this name at the folder's root, even a link to nowhere."""
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def is_leftover(name: str) -> bool:
    """Whether a name is one that a crash in the middle of replacing a signature can leave."""
    return _LEFTOVER.fullmatch(name) is not None


def already_there(name: str) -> SignatureExists:
    """The refusal to overwrite a signature."""
    return SignatureExists(
        f"{printable(name)} is there already",
        hint="verify it first; --force replaces it",
    )


def _write(folder: int, name: str, data: bytes, *, replace: bool) -> None:
    # A file without a name vanishes with a crash; not every file system has such files.
    try:
        descriptor = os.open(".", os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC, _MODE, dir_fd=folder)
    except OSError as error:
        if error.errno not in {errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL}:
            raise
        _write_named(folder, name, data, replace=replace)
        return
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
        target = _temporary(name) if replace else name
        os.link(f"/proc/self/fd/{descriptor}", target, dst_dir_fd=folder, follow_symlinks=True)
    if replace:
        try:
            os.replace(target, name, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError:
            os.unlink(target, dir_fd=folder)
            raise
    os.fsync(folder)


def _write_named(folder: int, name: str, data: bytes, *, replace: bool) -> None:
    temporary = _temporary(name)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, _MODE, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        if not replace and exists(folder, name):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        os.unlink(temporary, dir_fd=folder)
        raise
    os.fsync(folder)


def _temporary(name: str) -> str:
    return f".{name}.{secrets.token_hex(8)}.tmp"
