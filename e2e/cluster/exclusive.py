"""One at a time: a lock that leaves no file behind and ends with the process that holds it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.cluster.errors import CannotRun


@contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Hold the lock for a `with` block.

    Raises:
        CannotRun: somebody else holds it; says who, in the words of `what`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock).st_nlink == 0:  # the one before us removed it meanwhile
            raise BlockingIOError
    except BlockingIOError as error:
        os.close(lock)
        raise CannotRun(what) from error
    try:
        yield
    finally:
        path.unlink()
        os.close(lock)
