"""Starts hashing processes and speaks with them; their program is subtree.py."""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from weightlock.engines import subtree
from weightlock.errors import EngineFault
from weightlock.formats.tree import TreeParameters


class HashingProcess:
    """One process, asked by one thread. Answers come in the order of the requests."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", channel: socket.socket, digest_bytes: int
    ) -> None:
        self._process = process
        self._channel = channel
        self._digest_bytes = digest_bytes

    def request(self, descriptors: Sequence[int], pieces: Sequence[tuple[int, int, int]]) -> None:
        """Ask for the roots of pieces: (number of the descriptor, offset, length) each.

        Raises:
            EngineFault: if the process ended.
        """
        body = b"".join(subtree.PIECE.pack(*piece) for piece in pieces)
        try:
            header = subtree.REQUEST.pack(len(pieces))
            socket.send_fds(self._channel, [header], list(descriptors))
            self._channel.sendall(body)
        except OSError as error:
            raise self._ended() from error

    def answer(self, count: int) -> list[bytes]:
        """The roots of the oldest request that was not answered yet.

        Raises:
            subtree.TooShort: if a file ended before the bytes that were asked for.
            OSError: if a file could not be read.
            EngineFault: if the process ended.
        """
        try:
            header = subtree.receive(self._channel, subtree.ANSWER.size)
            status, number = subtree.ANSWER.unpack(header)
            if status == subtree.TOO_SHORT:
                raise subtree.TooShort
            if status == subtree.DONE:
                size = self._digest_bytes
                data = subtree.receive(self._channel, count * size)
                return [data[i : i + size] for i in range(0, count * size, size)]
        except (EOFError, ConnectionError) as error:
            raise self._ended() from error
        raise OSError(number, os.strerror(number))

    def close(self) -> None:
        """End the process; it has nothing to lose."""
        self._channel.close()
        self._process.kill()
        self._process.wait()

    def _ended(self) -> EngineFault:
        return EngineFault(
            f"a hashing process ended unexpectedly (exit code {self._process.poll()})",
            hint="try again; if it was killed for memory, give the verifier more",
        )


def start_process(parameters: TreeParameters) -> HashingProcess | None:
    """A new process; None where none can be started, and threads have to do."""
    if not sys.executable:
        return None
    ours, theirs = socket.socketpair()
    with theirs:
        command = [
            sys.executable,
            "-ISE",  # nothing of the environment or of site-packages: faster, and nobody's hooks
            str(Path(subtree.__file__)),
            str(theirs.fileno()),
            parameters.algorithm.constructor_name,
            str(parameters.leaf_bytes),
        ]
        try:
            process = subprocess.Popen(  # noqa: S603 - this interpreter and a file of this package
                command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env={}
            )
        except OSError:
            ours.close()
            return None
    return HashingProcess(process, ours, parameters.algorithm.digest_bytes)
