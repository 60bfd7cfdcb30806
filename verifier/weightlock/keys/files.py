"""Reading and creating key files: what may be read, and what others could read.

A private key that someone else can read or replace is no key (F05). So its file is opened once
without following a link, and judged by its open descriptor; a new one gets its name only when it is
complete, with permissions that no umask widens.
"""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from weightlock.errors import KeyUnusable

PRIVATE_MODE: Final = 0o600
PUBLIC_MODE: Final = 0o644
_OTHERS: Final = 0o077


def read_secret(path: Path, what: str, *, max_bytes: int, pipe_allowed: bool = False) -> bytes:
    """The content of a file that only its owner can read.

    With `pipe_allowed` the name may also lead to a pipe, as the shell's <(command) does.

    Raises:
        KeyUnusable: if it is missing, a link, no regular file (or pipe, where one is allowed),
            another user's, readable by others, or larger than `max_bytes`.
    """
    with _opened(path, what, 0 if pipe_allowed else os.O_NOFOLLOW) as descriptor:
        found = os.fstat(descriptor)
        if stat.S_ISFIFO(found.st_mode) and pipe_allowed:
            os.set_blocking(descriptor, True)
        else:
            _refuse_exposed(found, path, what)
        return _read(descriptor, path, what, max_bytes)


def read_public(path: Path, what: str, *, max_bytes: int) -> bytes:
    """The content of a regular file that anybody may read.

    Raises:
        KeyUnusable: if it is missing, no regular file, or larger than `max_bytes`.
    """
    with _opened(path, what, 0) as descriptor:
        _refuse_irregular(os.fstat(descriptor), path, what)
        return _read(descriptor, path, what, max_bytes)


def create(path: Path, content: bytes, *, mode: int) -> None:
    """Create a file with exactly this content and mode; never replace one, never leave half of one.

    Raises:
        KeyUnusable: if the name is taken, or the folder or its file system does not allow it.
    """
    temporary = path.parent / f".{path.name[:64]}.{secrets.token_hex(8)}.tmp"
    try:
        # 1. A new file that is private from its first moment, then complete, then durable.
        _write_new(temporary, content, mode)
        try:
            # 2. The name appears at once and only if it is free; rename would replace a file.
            os.link(temporary, path)
        finally:
            temporary.unlink()
        # 3. The name itself is durable.
        _sync_folder(path.parent)
    except FileExistsError:
        raise _taken(path) from None
    except OSError as error:
        raise KeyUnusable(f"{path} cannot be created: {_words(error)}") from error


def refuse_taken(path: Path) -> None:
    """Refuse a name that `create` would refuse, before something else is made for nothing.

    Raises:
        KeyUnusable: if the name is taken.
    """
    if os.path.lexists(path):
        raise _taken(path)


def _taken(path: Path) -> KeyUnusable:
    return KeyUnusable(
        f"{path} exists already and is not overwritten", hint="choose another name or move it"
    )


def _write_new(path: Path, content: bytes, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, PRIVATE_MODE)
    try:
        os.fchmod(descriptor, mode)
        if stat.S_IMODE(os.fstat(descriptor).st_mode) != mode:
            raise OSError(errno.EPERM, "its file system does not keep permissions")
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(content)
        os.fsync(descriptor)
    except BaseException:
        path.unlink()
        raise
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _opened(path: Path, what: str, flags: int) -> Iterator[int]:
    """The open file; every OSError in the block is one of reading it."""
    try:
        # Without O_NONBLOCK, a fifo that nobody writes to would hold us here for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | flags)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise KeyUnusable(
                f"{what} {path} is a symbolic link", hint="name the file that it points to"
            ) from error
        raise KeyUnusable(f"{what} {path} cannot be opened: {_words(error)}") from error
    try:
        yield descriptor
    except OSError as error:
        raise KeyUnusable(f"{what} {path} cannot be read: {_words(error)}") from error
    finally:
        os.close(descriptor)


def _refuse_irregular(found: os.stat_result, path: Path, what: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise KeyUnusable(f"{what} {path} is not a regular file")


def _refuse_exposed(found: os.stat_result, path: Path, what: str) -> None:
    _refuse_irregular(found, path, what)
    if found.st_mode & _OTHERS:
        raise KeyUnusable(
            f"{what} {path} has mode {stat.S_IMODE(found.st_mode):04o}: others can use it",
            hint=f"chmod 600 {path}; if others may have read it, make a new key",
        )
    if found.st_uid not in (0, os.geteuid()):
        raise KeyUnusable(f"{what} {path} belongs to another user, who can change it")


def _read(descriptor: int, path: Path, what: str, max_bytes: int) -> bytes:
    """At most `max_bytes`, judged by what was read: a size can change after it was asked for."""
    content = bytearray()
    while len(content) <= max_bytes:
        block = os.read(descriptor, max_bytes + 1 - len(content))
        if not block:
            return bytes(content)
        content += block
    raise KeyUnusable(f"{what} {path} has more than the {max_bytes} bytes that it may have")


def _words(error: OSError) -> str:
    return error.strerror or type(error).__name__
