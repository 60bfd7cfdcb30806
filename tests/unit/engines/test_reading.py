"""A stretch of a file is read whole, however little the file system gives at a time."""

import os
import time
from dataclasses import dataclass

import pytest

from weightlock.engines.reading import read_exactly
from weightlock.errors import ChangedWhileReading

SIZE = 4 * 1024 * 1024


@dataclass(frozen=True)
class File:
    descriptor: int
    name: str = "model.pqc.sig"
    size: int = SIZE


def test_short_reads_are_joined_in_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    # A FUSE file system may give a few bytes at a time; joining them once copied gigabytes.
    content = os.urandom(SIZE)
    monkeypatch.setattr(os, "pread", lambda _, length, at: content[at : at + min(length, 256)])
    started = time.process_time()
    assert read_exactly(File(-1), 0, SIZE) == content
    assert time.process_time() - started < 1


def test_a_file_that_ends_early_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pread", lambda _, length, at: b"abc"[at : at + length])
    assert read_exactly(File(-1), 1, 2) == b"bc"
    with pytest.raises(ChangedWhileReading, match="ends before its size"):
        read_exactly(File(-1), 1, 3)
