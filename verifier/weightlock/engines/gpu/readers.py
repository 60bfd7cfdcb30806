"""The engine's side of its reading processes, and the files that they read."""

import os
import socket
from contextlib import AbstractContextManager, suppress
from typing import Final

from weightlock.engines.engine import Files, OpenFile
from weightlock.engines.gpu import filler
from weightlock.engines.gpu.device import Device, Mark
from weightlock.engines.gpu.plan import Read
from weightlock.engines.gpu.shared import ReadingProcess
from weightlock.errors import ChangedWhileReading, EngineUnavailable, Unreadable, WeightlockError
from weightlock.formats.filenames import printable

BUFFERS: Final = 2
"""While one is copied, the other is filled; more only crowd the caches."""


class SharedFile:
    """A file that several reads use; the last one closes it, which compares its identity."""

    def __init__(self, files: Files, number: int, *, direct: bool) -> None:
        self._context: AbstractContextManager[OpenFile] = files.open(number)
        self._file = self._context.__enter__()
        self._users = 1  # whoever opened it
        self.number = number
        if direct:
            filler.set_direct(self._file.descriptor, wanted=True)

    @property
    def descriptor(self) -> int:
        """The open file."""
        return self._file.descriptor

    def join(self) -> None:
        """One user more."""
        self._users += 1

    def leave(self) -> None:
        """One user less; raises ChangedWhileReading if it was the last and the file changed."""
        self._users -= 1
        if self._users == 0:
            self._context.__exit__(None, None, None)

    def abandon(self) -> None:
        """Close it whoever uses it, because the run has failed for another reason."""
        if self._users > 0:
            self._users = 0
            with suppress(WeightlockError):
                self._context.__exit__(None, None, None)

    def too_short(self) -> ChangedWhileReading:
        """It ended before a span."""
        return ChangedWhileReading(
            f"{printable(self._file.name)} ends before its segments do",
            hint="stop whatever writes to the checkpoint, then try again",
        )

    def unreadable(self, number: int) -> Unreadable:
        """Reading it failed with this error."""
        return Unreadable(
            f"{printable(self._file.name)} cannot be read: {os.strerror(number)}",
            hint="the verifier must be able to read every file of the checkpoint",
        )


class Reader:
    """One reading process, with its buffers and, for each, a mark behind its last copy."""

    def __init__(self, device: Device, process: ReadingProcess) -> None:
        self.memory = process.memory
        self._buffer_bytes = process.memory.size // BUFFERS
        self._file: SharedFile | None = None
        self._channel = process.channel
        self._device = device
        device.register(self.memory.address, self.memory.size)
        self.marks: list[Mark] = [device.mark() for _ in range(BUFFERS)]

    def fileno(self) -> int:
        """Readable when an answer has come."""
        return self._channel.fileno()

    def ask(self, buffer: int, read: Read, file: SharedFile) -> None:
        """Have a buffer filled once its last copy is through; answers come in this order."""
        self.marks[buffer].wait()
        position = buffer * self._buffer_bytes
        request = filler.REQUEST.pack(position, read.offset, read.length, read.needed)
        try:
            if file is self._file:
                self._channel.send(request)
            else:
                socket.send_fds(self._channel, [request], [file.descriptor])
        except ConnectionError as error:
            raise _ended() from error
        self._file = file

    def answer(self, file: SharedFile) -> None:
        """What came of the oldest request.

        Raises:
            ChangedWhileReading, Unreadable: if the file could not be read as it should.
        """
        status, number = self._receive()
        if status == filler.TOO_SHORT:
            raise file.too_short()
        if status != filler.DONE:
            raise file.unreadable(number)

    def address(self, buffer: int) -> int:
        """Where a buffer lies."""
        return self.memory.address + buffer * self._buffer_bytes

    def content(self, buffer: int, start: int, length: int) -> bytes:
        """Bytes of a filled buffer."""
        begin = buffer * self._buffer_bytes + start
        return bytes(self.memory.view[begin : begin + length])

    def wait(self) -> None:
        """Until the device has done with all buffers."""
        for mark in self.marks:
            mark.wait()

    def begin_clearing(self) -> None:
        """Have all buffers zeroed; the device must have done with them."""
        self._file = None
        try:
            self._channel.send(filler.REQUEST.pack(0, 0, self.memory.size, 0))
        except ConnectionError as error:
            raise _ended() from error

    def finish_clearing(self, unanswered: int) -> None:
        """Wait for that, and for requests whose answers nobody wants any more."""
        for _ in range(unanswered + 1):
            self._receive()

    def release(self) -> None:
        """Unpin the memory; the process is ended by whoever started it."""
        self._device.unregister(self.memory.address)

    def _receive(self) -> tuple[int, int]:
        try:
            message = self._channel.recv(filler.ANSWER.size)
        except ConnectionError as error:
            raise _ended() from error
        if not message:
            raise _ended()
        status, number = filler.ANSWER.unpack(message)
        return status, number


def _ended() -> EngineUnavailable:
    return EngineUnavailable(
        "a reading process ended unexpectedly",
        hint="try again; if it was killed for memory, give the verifier more",
    )
