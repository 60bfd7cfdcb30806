"""Tells a person what is going on: steps, signs of life, and the time each step took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


class Progress:
    """Writes steps and their times to a stream."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def say(self, text: str) -> None:
        """Write one line at once, also into a pipe."""
        self._out.write(f"{text}\n")
        self._out.flush()

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Announce a step and print its duration when it succeeded."""
        started = time.monotonic()
        self.say(f"{title} ...")
        yield
        self.say(f"{title}: {time.monotonic() - started:.1f} s")
