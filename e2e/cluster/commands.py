"""The seam to other programs: everything runs through it, so tests can record instead."""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from e2e.cluster.errors import CannotRun, StepFailed
from e2e.cluster.progress import Progress

SIGN_OF_LIFE_SECONDS = 20.0


class Commands(Protocol):
    """Runs programs to their end."""

    def read(self, argv: Sequence[str]) -> str:
        """Run quickly and quietly; what it printed.

        Raises:
            StepFailed: it exited non-zero; the message carries its words.
        """
        ...

    def run(self, argv: Sequence[str], log: Path, stdin: str = "") -> None:
        """Run for as long as it takes, with its output in `log`.

        Raises:
            StepFailed: it exited non-zero; names the log.
        """
        ...


class Programs:
    """The real thing."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def read(self, argv: Sequence[str]) -> str:
        try:
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            raise CannotRun(f"{argv[0]} is not installed") from error
        if done.returncode:
            raise StepFailed(f"{shlex.join(argv)} exited {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def run(self, argv: Sequence[str], log: Path, stdin: str = "") -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out:
            try:
                child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=out, stderr=out)
            except FileNotFoundError as error:
                raise CannotRun(f"{argv[0]} is not installed") from error
        try:
            status = self._attend(child, log, stdin.encode())
        except BaseException:
            child.kill()  # also on Ctrl-C: nothing of ours may outlive the tool
            child.wait()
            raise
        if status:
            raise StepFailed(f"{argv[0]} exited {status}", log)

    def _attend(self, child: subprocess.Popen[bytes], log: Path, stdin: bytes) -> int:
        started = time.monotonic()
        if child.stdin:
            child.stdin.write(stdin)
            child.stdin.close()
        while True:
            try:
                return child.wait(SIGN_OF_LIFE_SECONDS)
            except subprocess.TimeoutExpired:
                spent = time.monotonic() - started
                self._progress.say(f"  {spent:4.0f} s  {last_line(log)}")


def last_line(log: Path) -> str:
    """The newest line of a log, short enough for a terminal."""
    lines = log.read_text(errors="replace").splitlines()
    return lines[-1][:100] if lines else ""
