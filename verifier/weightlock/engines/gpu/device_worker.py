"""The program of a process that owns a further GPU; device_process.py starts it and speaks with it.

Nothing here decides: it hashes the pieces that it is told, in files that it is handed, and its
memory is zeroed after each run, failed or not, and when the channel closes, whoever closed it.
"""

import importlib
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass

from weightlock.digests import HashAlgorithm
from weightlock.engines.gpu.channel import (
    NUMBER,
    Channel,
    ChannelClosed,
    Kind,
    document,
    failure,
    packed_roots,
    pieces_in,
    values,
)
from weightlock.engines.gpu.computation import LatticeParameters, Parameters
from weightlock.engines.gpu.device import Device
from weightlock.engines.gpu.lane import GpuOptions, LocalLane, Stopped
from weightlock.engines.gpu.plan import Geometry, Piece
from weightlock.engines.gpu.recheck import Recheck
from weightlock.formats.tree import TreeParameters
from weightlock.names import LTHASH_ID


@dataclass(frozen=True, slots=True)
class Assignment:
    """Which device a process owns, and how it works."""

    factory: str
    """MODULE:FUNCTION, which gives the device of a number."""
    number: int
    options: GpuOptions

    def __str__(self) -> str:
        options = self.options
        return document(
            factory=self.factory,
            number=self.number,
            geometry=asdict(options.geometry),
            recheck=asdict(options.recheck),
            readers=options.readers,
        ).decode()

    @staticmethod
    def parse(text: str) -> "Assignment":
        """Of what str() says, all but a source of random numbers, which a process has itself."""
        said = values(text.encode())
        geometry, recheck = Geometry(**said["geometry"]), Recheck(**said["recheck"])
        return Assignment(
            said["factory"], said["number"], GpuOptions(geometry, recheck, said["readers"])
        )

    def device(self) -> Device:
        """The device."""
        module, function = self.factory.split(":")
        factory: Callable[[int], Device] = getattr(importlib.import_module(module), function)
        return factory(self.number)


def main(descriptor: int, assignment: str) -> None:
    """Serve until the channel closes."""
    # A key that interrupts the command reaches us too, but it is the engine that ends us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = Channel(socket.socket(fileno=descriptor))
    with suppress(ChannelClosed):
        wanted = Assignment.parse(assignment)
        try:
            lane = LocalLane(wanted.device(), wanted.options)
        except Exception as error:
            channel.send(Kind.FAILED, failure(error))
            return
        with closing(lane):
            channel.send(Kind.READY, lane.name.encode())
            while True:
                _serve_next(channel, lane)


def _serve_next(channel: Channel, lane: LocalLane) -> None:
    message = channel.receive()
    if message.kind is not Kind.JOB:
        message.drop()  # it was meant for a job that has failed since
        return
    job = values(message.body)
    pieces: list[Piece] = []
    while len(pieces) < job["pieces"]:
        pieces += pieces_in(channel.receive().body)
    parameters = _parameters(job["hash"], job["leaf"])
    results = _Results(channel, pieces)
    try:
        lane.hash(_Files(channel), pieces, parameters, results.record, results.progress)
    except ChannelClosed:
        raise
    except Exception as error:
        channel.send(Kind.FAILED, failure(error))
    else:
        channel.send(Kind.DONE)


def _parameters(name: str, leaf_bytes: int) -> Parameters:
    if name == LTHASH_ID:
        return LatticeParameters(leaf_bytes)
    return TreeParameters(HashAlgorithm(name), leaf_bytes)


class _Results:
    """Roots on their way to the engine, once for each batch."""

    def __init__(self, channel: Channel, pieces: Sequence[Piece]) -> None:
        self._channel = channel
        self._numbers = {piece: number for number, piece in enumerate(pieces)}
        self._roots: list[tuple[int, bytes]] = []

    def record(self, piece: Piece, root: bytes) -> None:
        """Keep a root."""
        self._roots.append((self._numbers[piece], root))

    def progress(self, size: int) -> None:
        """Send what there is; raises Stopped if the engine wants no more."""
        if not self._channel.is_silent():
            self._channel.receive().drop()
            raise Stopped
        for body in packed_roots(self._roots):
            self._channel.send(Kind.ROOTS, body)
        self._roots.clear()
        self._channel.send(Kind.PROGRESS, NUMBER.pack(size))


@dataclass(frozen=True, slots=True)
class _OpenedFile:
    """A file that the engine opened, and compares when we close it."""

    name: str
    descriptor: int
    size: int


class _Files:
    """Implements Files by asking the engine."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    @contextmanager
    def open(self, file: int) -> Iterator[_OpenedFile]:
        """Open one file; raises Stopped if the engine could not."""
        self._channel.send(Kind.OPEN, NUMBER.pack(file))
        message = self._channel.receive()
        if message.descriptor is None:
            raise Stopped
        said = values(message.body)
        try:
            yield _OpenedFile(said["name"], message.descriptor, said["size"])
        finally:
            os.close(message.descriptor)
            self._channel.send(Kind.CLOSE, NUMBER.pack(file))
