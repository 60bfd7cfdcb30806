"""The files of a checkpoint, opened so that what was hashed is what was found.

A file is opened below the checkpoint's folder without following links, compared with what the walk
saw, and compared again when it is closed (A02): device, inode, size, and both times.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from weightlock.checkpoint.walker import (
    COPY,
    OPEN_FILE,
    OPEN_FOLDER,
    OPEN_TO_PASS,
    FileFact,
    Identity,
    Limits,
    Walk,
    goes_on,
    open_below,
    walk,
)
from weightlock.engines.reading import read_exactly
from weightlock.errors import ChangedWhileReading, LimitExceeded, Unreadable, UnsafeEntry
from weightlock.formats.filenames import printable


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file that is open and was what the walk saw."""

    name: str
    descriptor: int
    size: int


class CheckpointFolder:
    """A checkpoint's folder, held open: whatever is renamed above it, it stays the same folder.

    It lies at `path`, or `below` it. No link is followed from there on (A19): one that led to what
    is verified now could lead elsewhere when it is loaded, turned by who cannot write to either.
    """

    def __init__(self, path: Path, below: str = "") -> None:
        self.path = path / below
        try:
            self._descriptor = _opened(path, below)
        except NotADirectoryError as error:
            raise _not_a_folder(path, below) from error
        except OSError as error:
            raise Unreadable(
                f"the folder {printable(str(self.path))} cannot be opened: {error.strerror}",
                hint="name the folder that holds the checkpoint's files",
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    @property
    def descriptor(self) -> int:
        """The descriptor of the folder."""
        return self._descriptor

    def walk(self, limits: Limits) -> Walk:
        """List what lies in the folder."""
        return walk(self._descriptor, limits)

    def files(self, facts: Sequence[FileFact]) -> "FolderFiles":
        """Files of this folder by number, for an engine."""
        return FolderFiles(self._descriptor, facts)

    def read(self, name: str, *, max_bytes: int) -> bytes | None:
        """The whole of a small file at the folder's root; None if there is none.

        Raises:
            UnsafeEntry, LimitExceeded, Unreadable, ChangedWhileReading: if it cannot be trusted.
        """
        try:
            status = os.stat(name, dir_fd=self._descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(name, error) from error
        if not stat.S_ISREG(status.st_mode):
            raise UnsafeEntry(f"{printable(name)} is not a regular file")
        if status.st_size > max_bytes:
            raise LimitExceeded(
                f"{printable(name)} has {status.st_size} bytes; at most {max_bytes} are read"
            )
        with self.files([FileFact(name, Identity.of(status))]).open(0) as file:
            return read_exactly(file, 0, file.size)


class FolderFiles:
    """Implements the engines' Files over what a walk found."""

    def __init__(self, folder: int, facts: Sequence[FileFact]) -> None:
        self._folder = folder
        self._facts = facts

    @contextmanager
    def open(self, file: int) -> Iterator[OpenedFile]:
        """Open one file; leaving compares it with what the walk saw."""
        fact = self._facts[file]
        try:
            descriptor = open_below(self._folder, fact.name, OPEN_FILE)
        except OSError as error:
            raise _unreadable(fact.name, error) from error
        try:
            _check_same(fact, descriptor, "between listing and opening")
            if goes_on(descriptor, fact.size):
                raise Unreadable(
                    f"{printable(fact.name)} has more than the {fact.size} bytes of its size",
                    hint=COPY,
                )
            yield OpenedFile(fact.name, descriptor, fact.size)
            _check_same(fact, descriptor, "while it was read")
        except OSError as error:
            raise _unreadable(fact.name, error) from error
        finally:
            os.close(descriptor)


def _opened(path: Path, below: str) -> int:
    if not below:
        return os.open(path, OPEN_FOLDER)
    outer = os.open(path, OPEN_TO_PASS)
    try:
        return open_below(outer, below, OPEN_FOLDER)
    finally:
        os.close(outer)


def _check_same(fact: FileFact, descriptor: int, moment: str) -> None:
    if Identity.of(os.fstat(descriptor)) != fact.identity:
        raise ChangedWhileReading(
            f"{printable(fact.name)} changed {moment}",
            hint="stop whatever writes to the checkpoint, then try again",
        )


def _unreadable(name: str, error: OSError) -> Unreadable:
    return Unreadable(
        f"{printable(name)} cannot be read: {error.strerror or type(error).__name__}",
        hint="the verifier must be able to read every file of the checkpoint",
    )


def _not_a_folder(path: Path, below: str) -> Unreadable | UnsafeEntry:
    whole = path / below
    for place in (path, *(path / each for each in reversed(Path(below).parents)), whole):
        if place.is_symlink():
            return UnsafeEntry(
                f"{printable(str(place))} is a symbolic link",
                hint=f"name the folder itself: {printable(str(whole.resolve()))}",
            )
    return Unreadable(
        f"{printable(str(whole))} is not a folder",
        hint="name the folder that holds the checkpoint's files",
    )
