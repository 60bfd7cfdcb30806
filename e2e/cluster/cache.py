"""Things that are slow to make, made once: folders named after the recipe that made them."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from e2e.cluster.progress import Progress


def recipe_key(*ingredients: str) -> str:
    """A name that changes whenever an ingredient does."""
    return hashlib.sha256("\0".join(ingredients).encode()).hexdigest()[:16]


def cached(shelf: Path, key: str, make: Callable[[Path], None], progress: Progress) -> Path:
    """`shelf/key`, made first if it is not there.

    It appears in one piece: what was interrupted is never taken for finished, and is thrown away by
    the next who makes it. Several processes may ask at once; one makes it, the others wait.
    """
    wanted = shelf / key
    if wanted.is_dir():
        return wanted
    shelf.mkdir(parents=True, exist_ok=True)
    lock = os.open(shelf / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _take(lock, progress, shelf)
        if not wanted.is_dir():
            unfinished = shelf / f"{key}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            make(unfinished)
            unfinished.rename(wanted)
    finally:
        os.close(lock)
    return wanted


def _take(lock: int, progress: Progress, shelf: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        progress.say(f"waiting for another process that fills {shelf}")
        fcntl.flock(lock, fcntl.LOCK_EX)
