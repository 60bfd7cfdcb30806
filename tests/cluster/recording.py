"""Commands that run nothing: they remember what was asked and answer from a script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from e2e.cluster.errors import StepFailed


class Recorded:
    """A working fake of e2e.cluster.commands.Commands."""

    def __init__(self, answers: Mapping[str, str], *, failing: str | None = None) -> None:
        self._answers = answers
        self._failing = failing
        self.lines: list[str] = []

    def read(self, argv: Sequence[str]) -> str:
        self.lines.append(" ".join(argv))
        return next(
            text for start, text in self._answers.items() if self.lines[-1].startswith(start)
        )

    def run(self, argv: Sequence[str], log: Path, stdin: str = "") -> None:
        self.lines.append(" ".join(argv))
        if self._failing and self.lines[-1].startswith(self._failing):
            raise StepFailed(f"{argv[0]} exited 1", log)
