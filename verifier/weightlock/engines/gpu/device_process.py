"""The engine's side of a further GPU: a process that owns the device, and serves it with files.

The process gets pieces and opens files by asking us: only here files are opened below the
checkpoint's folder, and compared when they are closed. It sees descriptors, as reading processes
do. Its program is device_worker.py.
"""

import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Final

from weightlock.engines.engine import Files, OpenFile, Progress
from weightlock.engines.gpu.channel import (
    NUMBER,
    Channel,
    ChannelClosed,
    Kind,
    Message,
    document,
    error_of,
    packed_pieces,
    roots_in,
)
from weightlock.engines.gpu.computation import Parameters
from weightlock.engines.gpu.device_worker import Assignment
from weightlock.engines.gpu.lane import GpuOptions
from weightlock.engines.gpu.pipeline import Record
from weightlock.engines.gpu.plan import Piece
from weightlock.errors import EngineUnavailable, WeightlockError
from weightlock.formats.tree import TreeParameters
from weightlock.names import LTHASH_ID

# The same modules as here: -I leaves out what the environment and the user's folder would add.
_PROGRAM: Final = (
    "import sys; sys.path[:] = sys.argv[3:];"
    "from weightlock.engines.gpu.device_worker import main;"
    "main(int(sys.argv[1]), sys.argv[2])"
)
_ENDING_SECONDS: Final = 20
"""For zeroing and giving back its memory; it takes a fraction of a second."""


class DeviceProcess:
    """Implements Lane on a device of another process. Close it to end the process."""

    def __init__(self, factory: str, number: int, options: GpuOptions) -> None:
        """Start it: `factory` is MODULE:FUNCTION, which gives the device of a number."""
        self.name = ""
        self._number = number
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel = Channel(ours)
        with theirs:
            self._process = _start(theirs.fileno(), Assignment(factory, number, options))

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Until it has its device and memory.

        Raises:
            EngineUnavailable: if it cannot have them.
        """
        try:
            message = self._channel.receive()
        except ChannelClosed as error:
            raise self._ended() from error
        if message.kind is Kind.FAILED:
            said = error_of(message.body)
            raise EngineUnavailable(f"GPU {self._number}: {said.message}", hint=said.hint)
        self.name = message.body.decode()

    def hash(
        self,
        files: Files,
        pieces: Sequence[Piece],
        parameters: Parameters,
        record: Record,
        progress: Progress,
    ) -> None:
        """Hash all pieces."""
        run = _Run(self._channel, files, pieces, record, progress)
        try:
            self._send_job(pieces, parameters)
            run.serve()
        except ChannelClosed as error:
            raise self._ended() from error
        except Exception:
            raise
        except BaseException:
            self._channel.close()  # it is in the middle of a run that nobody serves any more
            raise
        finally:
            run.abandon_files()

    def close(self) -> None:
        """End it; it zeroes its memory when it finds the channel closed."""
        self._channel.close()
        try:
            self._process.wait(_ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _send_job(self, pieces: Sequence[Piece], parameters: Parameters) -> None:
        name = LTHASH_ID
        if isinstance(parameters, TreeParameters):
            name = parameters.algorithm.value
        job = document(hash=name, leaf=parameters.leaf_bytes, pieces=len(pieces))
        self._channel.send(Kind.JOB, job)
        for body in packed_pieces(pieces):
            self._channel.send(Kind.PIECES, body)

    def _ended(self) -> EngineUnavailable:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDING_SECONDS)
        return EngineUnavailable(
            f"the process of GPU {self._number} ended unexpectedly"
            f" (exit code {self._process.poll()})",
            hint="try again; if it was killed for memory, give the verifier more",
        )


class _Run:
    """One job of the process: its files, and what came of it so far."""

    def __init__(
        self,
        channel: Channel,
        files: Files,
        pieces: Sequence[Piece],
        record: Record,
        progress: Progress,
    ) -> None:
        self._channel = channel
        self._files = files
        self._pieces = pieces
        self._record = record
        self._progress = progress
        self._opened: dict[int, list[AbstractContextManager[OpenFile]]] = {}
        self._error: Exception | None = None

    def serve(self) -> None:
        """Until the process has done all or failed; raises its error, or ours that stopped it."""
        while True:
            message = self._channel.receive()
            if message.kind is Kind.DONE and self._error is None:
                return
            if message.kind in {Kind.DONE, Kind.FAILED}:
                raise self._error or error_of(message.body)
            self._answer(message)

    def abandon_files(self) -> None:
        """Close what a run that failed has left open."""
        for contexts in self._opened.values():
            for context in contexts:
                with suppress(WeightlockError):
                    context.__exit__(None, None, None)
        self._opened.clear()

    def _answer(self, message: Message) -> None:
        if self._error is not None:
            if message.kind is Kind.OPEN:
                self._channel.send(Kind.STOP)  # it waits for a file
            return
        try:
            self._take(message)
        except ChannelClosed:
            raise
        except Exception as error:
            self._error = error
            self._channel.send(Kind.STOP)

    def _take(self, message: Message) -> None:
        if message.kind is Kind.OPEN:
            self._open(NUMBER.unpack(message.body)[0])
        elif message.kind is Kind.CLOSE:
            self._opened[NUMBER.unpack(message.body)[0]].pop().__exit__(None, None, None)
        elif message.kind is Kind.ROOTS:
            for number, root in roots_in(message.body):
                self._record(self._pieces[number], root)
        else:
            self._progress(NUMBER.unpack(message.body)[0])

    def _open(self, number: int) -> None:
        context = self._files.open(number)
        file = context.__enter__()
        self._opened.setdefault(number, []).append(context)
        self._channel.send(
            Kind.OPENED, document(name=file.name, size=file.size), descriptor=file.descriptor
        )


def _start(channel: int, assignment: Assignment) -> subprocess.Popen[bytes]:
    path = [entry for entry in sys.path if Path(entry).is_absolute()]
    command = [sys.executable, "-I", "-c", _PROGRAM, str(channel), str(assignment), *path]
    try:
        return subprocess.Popen(  # noqa: S603 - this interpreter and a module of this package
            command, pass_fds=[channel], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
    except OSError as error:
        raise EngineUnavailable(f"the process of a GPU cannot be started: {error}") from error
