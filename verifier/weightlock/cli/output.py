"""What a person or a program reads: verdicts, errors, sizes; and the exit codes."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

from weightlock.errors import WeightlockError
from weightlock.formats.manifest import Manifest
from weightlock.names import TREE_ID
from weightlock.policy.scalars import visible
from weightlock.reasons import Reason, Verdict, verdict_of

EXIT_OF_VERDICT: Final = {
    Verdict.VERIFIED: 0,
    Verdict.FAILED: 1,
    Verdict.CLASSICAL_ONLY: 3,
    Verdict.ERROR: 4,
}
EXIT_DONE: Final = 0
EXIT_USAGE: Final = 2
EXIT_ERROR: Final = 4
EXIT_INTERRUPTED: Final = 130

_COLOUR: Final = {
    Verdict.VERIFIED: "bold green",
    Verdict.CLASSICAL_ONLY: "bold yellow",
    Verdict.FAILED: "bold red",
    Verdict.ERROR: "bold magenta",
}


def exit_code(verdict: Verdict) -> int:
    """The exit code of a verdict; whatever is not decided is an error."""
    return EXIT_OF_VERDICT.get(verdict, EXIT_ERROR)


def print_json(document: Mapping[str, object]) -> None:
    """Write the one JSON document of a command to standard output."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=True) + "\n")


Rows = Mapping[str, str | Sequence[str]]
"""Labels with a line each, or several. Whoever wrote them, they are escaped when they are printed:
a signature file's words must neither obey a terminal nor look like a row of ours (D03)."""


def print_lines(title: str, verdict: Verdict, rows: Rows) -> None:
    """Write a verdict's title and its rows to standard output."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text(visible(title), style=_COLOUR.get(verdict, "bold")))
    print_rows(rows, console)


def print_rows(rows: Rows, console: Console | None = None) -> None:
    """Write labelled rows to standard output; rows without text are left out."""
    console = console or Console(highlight=False, soft_wrap=True)
    for label, said in rows.items():
        lines = [said] if isinstance(said, str) else said
        text = f"\n{'':14}".join(map(visible, lines))
        if text:
            # Text objects, not markup: a file name must not be able to colour or hide anything.
            console.print(Text(f"  {label:<11} ", style="dim") + Text(text))


def report_error(error: WeightlockError, *, as_json: bool) -> int:
    """Say what went wrong and what to do; returns the exit code."""
    verdict = verdict_of(error.reason)
    if as_json:
        print_json(error_document(error))
    else:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        heading = Text(f"{verdict}: {error.reason}", style=_COLOUR.get(verdict, "bold"))
        console.print(heading + Text(f": {visible(error.message)}", style="default not bold"))
        if error.hint:
            console.print(Text(f"  {visible(error.hint)}"))
    return exit_code(verdict)


def error_document(error: WeightlockError) -> dict[str, object]:
    """An error as JSON."""
    return {
        "verdict": verdict_of(error.reason).value,
        "reason": error.reason.value,
        "message": error.message,
        "hint": error.hint,
    }


def internal_error(error: BaseException) -> WeightlockError:
    """An exception that nobody expected, as one line (never a traceback, never content)."""
    wrapped = WeightlockError(
        f"internal error: {type(error).__name__}",
        hint="this is a bug; run again with --traceback before the command and report it",
    )
    wrapped.reason = Reason.INTERNAL_ERROR
    return wrapped


def digest_document(manifest: Manifest) -> dict[str, object]:
    """The digest of a manifest as JSON."""
    return {
        "tree": TREE_ID,
        "hash": manifest.parameters.algorithm.value,
        "leafSize": manifest.parameters.leaf_bytes,
        "root": manifest.root.hex(),
    }


def size(count: int) -> str:
    """A number of bytes for people."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:  # noqa: PLR2004 - decimal units, as GB/s is
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.2f} TB"


def rate(count: int, seconds: float) -> float:
    """Gigabytes each second."""
    return round(count / seconds / 1e9, 3) if seconds > 0 else 0.0
