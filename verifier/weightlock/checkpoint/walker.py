"""Lists what lies in a checkpoint's folder, trusting none of it.

Only regular files and folders of one file system are a checkpoint. No symbolic link is followed, no
device or pipe opened; every entry is looked at through the descriptor of the folder that holds it.
Whatever cannot be read is a finding, never skipped (A09): a walk that skipped would call a folder
with hidden files complete.
"""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from weightlock.errors import UnsafeName
from weightlock.formats import filenames
from weightlock.names import UNSIGNED_FILES
from weightlock.reasons import Reason
from weightlock.verdict.evidence import Finding

MAX_FINDINGS: Final = 1000
COPY: Final = "copy the checkpoint to a file system that knows the sizes of its files"
OPEN_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
OPEN_TO_PASS: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""For a folder on the way to another; who may not list it may pass."""
# A pipe that took a file's name would block without O_NONBLOCK.
OPEN_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a checkpoint may be (A26); checked while walking, before anything is read.

    `entries` counts files and folders. The default depth is far above any real checkpoint's.
    """

    entries: int = 1_000_000
    bytes: int = 1 << 50
    depth: int = 64
    name_characters: int = 1 << 28
    """Of all entries' names together, each with the folders on its way. A manifest has room for a
    fifth of that; it bounds what a hostile folder takes of memory."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What is compared to know that a file is still the same (A02)."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Identity":
        """The identity in a stat result."""
        return cls(
            status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
        )


@dataclass(frozen=True, slots=True)
class FileFact:
    """A regular file that was found."""

    name: str
    identity: Identity

    @property
    def size(self) -> int:
        """Its size when it was found."""
        return self.identity.size


@dataclass(frozen=True, slots=True)
class Walk:
    """All files, in the order of the bytes of their names, and all that is wrong."""

    files: tuple[FileFact, ...]
    findings: tuple[Finding, ...]


def walk(root: int, limits: Limits) -> Walk:
    """List the folder behind the descriptor `root`, without the two signature files at its root."""
    walker = _Walker(root, limits)
    walker.run()
    files = tuple(sorted(walker.files, key=lambda file: file.name.encode()))
    findings = list(walker.findings)
    if not findings:
        findings += _collisions(files)
    return Walk(files, tuple(findings[:MAX_FINDINGS]))


def open_below(root: int, name: str, flags: int) -> int:
    """Open a name below a folder, one component at a time, following no link (A19, A20)."""
    *parents, last = name.split("/")
    folder = root
    try:
        for parent in parents:
            inner = os.open(parent, OPEN_TO_PASS, dir_fd=folder)
            if folder != root:
                os.close(folder)
            folder = inner
        return os.open(last, flags, dir_fd=folder)
    finally:
        if folder != root:
            os.close(folder)


def goes_on(descriptor: int, size: int) -> bool:
    """Whether a file has more bytes than its size says: some file systems tell none, as /proc does.

    Loaders read to the end, so whatever is there would be loaded and never hashed (C10).
    """
    return bool(os.pread(descriptor, 1, size))


class _LimitReached(Exception):
    """Stops the walk; its text says which limit."""


class _Walker:
    def __init__(self, root: int, limits: Limits) -> None:
        self.files: list[FileFact] = []
        self.findings: list[Finding] = []
        self._root = root
        self._device = os.fstat(root).st_dev
        self._limits = limits
        self._pending: list[str] = [""]
        self._entries = self._characters = 0
        self._bytes = 0

    def run(self) -> None:
        while self._pending and len(self.findings) < MAX_FINDINGS:
            folder = self._pending.pop()
            try:
                self._list(folder)
            except OSError as error:
                self._find(Reason.UNREADABLE, folder or ".", f"cannot be listed: {_why(error)}")
            except _LimitReached as reached:
                self._find(Reason.LIMIT_EXCEEDED, folder, str(reached))
                return

    def _list(self, folder: str) -> None:
        descriptor = open_below(self._root, folder or ".", OPEN_FOLDER)
        try:
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    self._entry(descriptor, folder, entry)
                    if len(self.findings) >= MAX_FINDINGS:
                        return
        finally:
            os.close(descriptor)

    def _entry(self, descriptor: int, folder: str, entry: "os.DirEntry[str]") -> None:
        name = f"{folder}/{entry.name}" if folder else entry.name
        self._count(name)
        try:
            filenames.check(name)
            status = entry.stat(follow_symlinks=False)
        except UnsafeName as error:
            self._find(Reason.UNSAFE_NAME, name, error.message, error.hint)
            return
        except OSError as error:
            self._find(Reason.UNREADABLE, name, f"cannot be examined: {_why(error)}")
            return
        complaint = _complaint(status, self._device)
        if complaint:
            self._find(Reason.UNSAFE_ENTRY, name, complaint, _way_out(status))
        elif stat.S_ISDIR(status.st_mode):
            self._enter(name)
        elif name not in UNSIGNED_FILES and self._is_read(descriptor, name, status):
            self._keep(name, status)

    def _is_read(self, folder: int, name: str, status: os.stat_result) -> bool:
        """Whether nothing in a file stays unread: one of no bytes is never opened again."""
        if status.st_size:
            return True
        try:
            hides = _hides_content(folder, name.rpartition("/")[2])
        except OSError as error:
            self._find(Reason.UNREADABLE, name, f"cannot be read: {_why(error)}")
            return False
        if hides:
            self._find(Reason.UNREADABLE, name, "has content, and its size is said to be 0", COPY)
        return not hides

    def _enter(self, name: str) -> None:
        if name.count("/") + 1 >= self._limits.depth:
            raise _LimitReached(f"folders are nested deeper than {self._limits.depth}")
        self._pending.append(name)

    def _keep(self, name: str, status: os.stat_result) -> None:
        self._bytes += status.st_size
        if self._bytes > self._limits.bytes:
            raise _LimitReached(f"the files have more than {self._limits.bytes} bytes")
        self.files.append(FileFact(name, Identity.of(status)))

    def _count(self, name: str) -> None:
        self._entries += 1
        self._characters += len(name)
        if self._characters > self._limits.name_characters:
            most = self._limits.name_characters
            raise _LimitReached(f"the names have more than {most} characters together")
        if self._entries > self._limits.entries:
            raise _LimitReached(f"there are more than {self._limits.entries} entries")

    def _find(self, reason: Reason, name: str, message: str, hint: str = "") -> None:
        self.findings.append(Finding(reason, name, message, hint))


def _hides_content(folder: int, name: str) -> bool:
    descriptor = os.open(name, OPEN_FILE, dir_fd=folder)
    try:
        return goes_on(descriptor, 0)
    finally:
        os.close(descriptor)


def _complaint(status: os.stat_result, device: int) -> str:
    """What is wrong with an entry, or nothing."""
    mode = status.st_mode
    if stat.S_ISLNK(mode):
        return "is a symbolic link; a checkpoint has only files and folders"
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        return f"is {_special(mode)}; a checkpoint has only files and folders"
    if status.st_dev != device:
        return "lies on another file system than the checkpoint's folder"
    if stat.S_ISREG(mode) and status.st_nlink > 1:
        return (
            f"has {status.st_nlink} hard links, so it can be changed by a name outside the folder"
        )
    return ""


def _way_out(status: os.stat_result) -> str:
    if stat.S_ISLNK(status.st_mode):
        return (
            "a Hugging Face cache holds links: use `hf download --local-dir DIR`,"
            " or copy the folder with links followed (`cp -rL SOURCE DIR`)"
        )
    if stat.S_ISREG(status.st_mode):
        return "copy the checkpoint into a folder of its own (`cp -r SOURCE DIR`)"
    return "remove it or mount nothing below the checkpoint"


def _special(mode: int) -> str:
    kinds = (
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISBLK, "a block device"),
        (stat.S_ISCHR, "a character device"),
    )
    return next((kind for applies, kind in kinds if applies(mode)), "a special file")


def _why(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _collisions(files: Iterable[FileFact]) -> list[Finding]:
    try:
        filenames.check_all(file.name for file in files)
    except UnsafeName as error:
        return [Finding(Reason.UNSAFE_NAME, "", error.message, error.hint)]
    return []
