"""What an engine is: spans of files in, segment roots out.

An engine may make an answer faster, never different. It is handed files that are already opened
safely (see weightlock.checkpoint); whatever it cannot read is an exception, never a root.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from weightlock.formats.tree import TreeParameters


@dataclass(frozen=True, slots=True)
class Span:
    """One segment: `length` bytes of file number `file`, from `offset` on."""

    file: int
    offset: int
    length: int


class OpenFile(Protocol):
    """A file opened for reading; its identity is compared again when it is closed."""

    @property
    def name(self) -> str:
        """Its name in the checkpoint, for messages."""
        ...

    @property
    def descriptor(self) -> int:
        """A file descriptor for positioned reads (os.preadv); safe to share between threads."""
        ...

    @property
    def size(self) -> int:
        """The size when it was opened."""
        ...


class Files(Protocol):
    """The files of a checkpoint by number. Safe to use from several threads."""

    def open(self, file: int) -> AbstractContextManager[OpenFile]:
        """Open one file.

        Entering raises Unreadable or UnsafeEntry; leaving raises ChangedWhileReading if the file
        is no longer what it was.
        """
        ...


Progress = Callable[[int], None]
"""Called with a number of bytes that were just hashed; from any thread, often: keep it cheap."""


class Engine(Protocol):
    """Computes segment roots."""

    @property
    def device(self) -> str:
        """What a person would call the hardware, for example `cpu` or `NVIDIA H100`."""
        ...

    def segment_roots(
        self,
        files: Files,
        spans: Sequence[Span],
        parameters: TreeParameters,
        progress: Progress,
    ) -> list[bytes]:
        """The root of each span, in the order of the spans (spans of one file are adjacent).

        Raises:
            Unreadable: if a file is shorter than a span says or cannot be read.
            ChangedWhileReading: if a file changed.
            EngineUnavailable: if the device cannot be used (any more).
            EngineFault: if the device's answer was found to be wrong.
        """
        ...
