"""Which processes belong to a cluster: asked before one is killed, and until the last has ended."""

from __future__ import annotations

import os
from pathlib import Path


def names(pid: int, word: Path) -> bool:
    """Whether a process was started with this word: numbers are given out again."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return os.fsencode(word) in words


def namespace_of(pid: int) -> str:
    """The process namespace of a process, as the kernel names it."""
    return str(Path(f"/proc/{pid}/ns/pid").readlink())


def any_in(namespace: str) -> bool:
    """Whether a process namespace has members left, dying ones included."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if namespace_of(int(entry.name)) == namespace:
                return True
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it has ended since, or is closed even to root and so none of ours
    return False
