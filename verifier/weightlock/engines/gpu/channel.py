"""What the engine and the process of a further GPU say to each other.

Packets on a socket pair, between two processes of one program: a byte that says what it is, then
its content, at times with an open file. Files are opened, and compared with what was listed, on the
engine's side only; the other side gets descriptors.

    engine                              process of a GPU
                                    <-  READY name, or FAILED
    JOB, then PIECES until all are said ->
                                    <-  OPEN number
    OPENED name and size, with the file ->
                                    <-  ROOTS, PROGRESS, CLOSE number
    STOP, if the engine has failed      ->
                                    <-  DONE, or FAILED

Whoever finds the channel closed ends what it does.
"""

import json
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple

from weightlock.engines.gpu.plan import Piece
from weightlock.errors import (
    ChangedWhileReading,
    EngineFault,
    EngineUnavailable,
    Unreadable,
    UnsafeEntry,
    WeightlockError,
)

PACKET_BYTES: Final = 64 * 1024
"""A fraction of what a socket takes at once on any machine."""
NUMBER: Final = struct.Struct("!Q")
_PIECE: Final = struct.Struct("!QQQQQQ")
_ERRORS: Final = {
    kind.__name__: kind
    for kind in (Unreadable, ChangedWhileReading, UnsafeEntry, EngineFault, EngineUnavailable)
}


class Kind(IntEnum):
    """What a packet is."""

    READY = 1
    JOB = 2
    PIECES = 3
    OPEN = 4
    OPENED = 5
    CLOSE = 6
    ROOTS = 7
    PROGRESS = 8
    DONE = 9
    FAILED = 10
    STOP = 11


class Message(NamedTuple):
    """A packet that was received; its file, if any, belongs to the receiver."""

    kind: Kind
    body: bytes
    descriptor: int | None

    def drop(self) -> None:
        """Nobody wants it."""
        if self.descriptor is not None:
            os.close(self.descriptor)


class ChannelClosed(Exception):
    """The other side has gone."""


class Channel:
    """One end."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def send(self, kind: Kind, body: bytes = b"", descriptor: int | None = None) -> None:
        """Say something.

        Raises:
            ChannelClosed: if nobody is there.
        """
        packet = bytes([kind]) + body
        try:
            if descriptor is None:
                self._end.send(packet)
            else:
                socket.send_fds(self._end, [packet], [descriptor])
        except ConnectionError as error:
            raise ChannelClosed from error

    def receive(self) -> Message:
        """Wait for the next packet.

        Raises:
            ChannelClosed: if there will be none.
        """
        try:
            packet, descriptors, _, _ = socket.recv_fds(self._end, 1 + PACKET_BYTES, 1)
        except ConnectionError as error:
            raise ChannelClosed from error
        if not packet:
            raise ChannelClosed
        return Message(Kind(packet[0]), packet[1:], descriptors[0] if descriptors else None)

    def is_silent(self) -> bool:
        """Whether there is nothing to receive, not even the end."""
        try:
            self._end.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        return False

    def close(self) -> None:
        """Leave."""
        self._end.close()


def document(**values: object) -> bytes:
    """Values as the body of a packet."""
    return json.dumps(values).encode()


def values(body: bytes) -> dict[str, Any]:
    """`values(document(**v)) == v`."""
    found: dict[str, Any] = json.loads(body)
    return found


def failure(error: Exception) -> bytes:
    """The body of FAILED for an error."""
    message = error.message if isinstance(error, WeightlockError) else repr(error)
    hint = error.hint if isinstance(error, WeightlockError) else ""
    return document(error=type(error).__name__, message=message, hint=hint)


def error_of(body: bytes) -> WeightlockError:
    """The error that the other side had; one that nobody foresaw is a fault of the engine."""
    said = values(body)
    kind = _ERRORS.get(said["error"], EngineFault)
    return kind(said["message"], hint=said["hint"])


def packed_pieces(pieces: Sequence[Piece]) -> Iterator[bytes]:
    """The bodies of PIECES for all of them, in their order."""
    most = PACKET_BYTES // _PIECE.size
    for start in range(0, len(pieces), most):
        yield b"".join(_PIECE.pack(*piece) for piece in pieces[start : start + most])


def pieces_in(body: bytes) -> list[Piece]:
    """The pieces of one packet."""
    return [Piece(*fields) for fields in _PIECE.iter_unpack(body)]


def packed_roots(roots: Sequence[tuple[int, bytes]]) -> Iterator[bytes]:
    """The bodies of ROOTS: numbers of pieces in the job, each with the root, all of one length."""
    if not roots:
        return
    size = NUMBER.size + len(roots[0][1])
    most = PACKET_BYTES // size
    for start in range(0, len(roots), most):
        some = roots[start : start + most]
        yield NUMBER.pack(size) + b"".join(NUMBER.pack(number) + root for number, root in some)


def roots_in(body: bytes) -> Iterator[tuple[int, bytes]]:
    """The roots of one packet."""
    (size,) = NUMBER.unpack_from(body)
    for start in range(NUMBER.size, len(body), size):
        (number,) = NUMBER.unpack_from(body, start)
        yield number, body[start + NUMBER.size : start + size]
