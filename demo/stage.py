"""What the audience sees: headings, sentences, commands with their output, pauses."""

from __future__ import annotations

import os
import shlex
import subprocess
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TextIO

WIDTH = 96
MOST_LINES = 30
BOLD, DIM, PLAIN = "\033[1m", "\033[2m", "\033[0m"
POLL_SECONDS = 1.0


class NotAsTold(Exception):
    """Something else happened than what the story says."""


class Audience(Protocol):
    """Whoever watches."""

    def wants_more(self) -> None:
        """Wait until they want to go on."""
        ...


@dataclass(frozen=True, slots=True)
class Done:
    """A command that was run."""

    command: str
    code: int
    output: str

    def ended(self, code: int = 0) -> Done:
        """Check how it ended.

        Raises:
            NotAsTold: otherwise; with what it says.
        """
        if self.code != code:
            told = f"{self.command}\n  should exit {code}, and exits {self.code}"
            raise NotAsTold(f"{told}\n{self.output}")
        return self

    def expect(self, *words: str) -> Done:
        """Check that the output says this.

        Raises:
            NotAsTold: with what it says instead.
        """
        for each in words:
            if each not in self.output:
                raise NotAsTold(f"{self.command}\n  should say {each!r}, and says\n{self.output}")
        return self


@dataclass(slots=True)
class Stage:
    """Runs and shows. `programs` is the folder whose programs come first on the PATH."""

    out: TextIO
    audience: Audience
    folder: Path
    environ: Mapping[str, str]
    colours: bool
    _chapter: int = field(default=0)

    def chapter(self, title: str) -> None:
        """Begin the next part."""
        if self._chapter:
            self.audience.wants_more()
        self._chapter += 1
        self._write(f"\n{self._in(BOLD, f'{self._chapter}. {title}')}\n")

    def say(self, text: str) -> None:
        """A few sentences."""
        self._write("\n" + textwrap.fill(" ".join(text.split()), WIDTH) + "\n")

    def show(self, name: str, text: str) -> Path:
        """Write a file, and show it."""
        path = self.folder / name
        path.write_text(text)
        self._write(f"\n{self._in(BOLD, f'  $ cat {name}')}\n")
        self._quote(text)
        return path

    def run(self, *words: str, code: int = 0) -> Done:
        """Show a command, run it, show what it prints, and check how it ends.

        Raises:
            NotAsTold: it ended differently.
        """
        self._write(f"\n{self._in(BOLD, f'  $ {shlex.join(words)}')}\n")
        done = self.quietly(*words)
        self._quote(done.output)
        return done.ended(code)

    def quietly(self, *words: str) -> Done:
        """Run a command that is not worth showing."""
        ended = subprocess.run(
            words,
            cwd=self.folder,
            env=dict(self.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Done(shlex.join(words), ended.returncode, ended.stdout)

    def until(
        self, what: str, happened: Callable[[], bool], *, seconds: float, so_far: Callable[[], str]
    ) -> None:
        """Wait for what the story says comes next.

        Raises:
            NotAsTold: it does not come; with how far it got.
        """
        started = time.monotonic()
        while not happened():
            if time.monotonic() - started > seconds:
                raise NotAsTold(f"{what}: not within {seconds:.0f} s\n{so_far()}")
            time.sleep(POLL_SECONDS)
        self._write(f"\n  {what}, after {time.monotonic() - started:.0f} s\n")

    def _quote(self, text: str) -> None:
        lines = text.rstrip().splitlines()
        for line in lines[:MOST_LINES]:
            self._write(f"    {self._in(DIM, line)}\n")
        if len(lines) > MOST_LINES:
            self._write(f"    {self._in(DIM, f'... {len(lines) - MOST_LINES} more lines')}\n")

    def _in(self, colour: str, text: str) -> str:
        return f"{colour}{text}{PLAIN}" if self.colours else text

    def _write(self, text: str) -> None:
        self.out.write(text)
        self.out.flush()


def with_programs(environ: Mapping[str, str], folders: Sequence[Path]) -> dict[str, str]:
    """The environment with these folders first on the PATH, and nothing that leads elsewhere."""
    kept = {name: environ[name] for name in ("HOME", "LANG", "TERM", "TMPDIR") if name in environ}
    return {**kept, "PATH": os.pathsep.join([*map(str, folders), environ.get("PATH", os.defpath)])}
