"""Standard streams that were closed, or cannot take what is written to them.

A process that is started without one of them gives its number to the next file that it opens. So
whatever a library prints there would end up in a key or a signature.
"""

import os
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Final, TextIO

from weightlock.policy.scalars import visible

_LAST: Final = 2
"""Descriptors 0 to 2 are the standard streams."""


def hold() -> None:
    """Let nothing lie where a stream should be that was closed."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _LAST:
        pass
    os.close(descriptor)
    sys.stdout = _or_nowhere(sys.stdout)
    sys.stderr = _or_nowhere(sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A name for which a terminal has no letters must not end a verification.
            stream.reconfigure(errors="backslashreplace")


def lose_output(error: OSError) -> None:
    """Say that the output could not be written, and keep the interpreter from trying it again."""
    _redirect(sys.stdout)
    if not isinstance(error, BrokenPipeError):  # who read it has gone, and knows
        why = error.strerror or type(error).__name__
        say(f"the output, or what it needs, cannot be written: {why}")


def say(message: str) -> None:
    """Write a line to standard error, if anybody listens; nothing depends on it."""
    try:
        sys.stderr.write(f"weightlock: {visible(message)}\n")
        sys.stderr.flush()
    except OSError:
        # The interpreter tries again at its end, and fails with a code of its own.
        _redirect(sys.stderr)


def _redirect(stream: TextIO) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _or_nowhere(stream: TextIO | None) -> TextIO:
    return Path(os.devnull).open("w") if stream is None else stream
