"""Connections from the first packet to the end of the TLS handshake.

Whoever connects and then says nothing costs memory for as long as a handshake may take, and is no
connection yet that the server could count. So unfinished handshakes are counted here: when there
are too many, of the address that has the most the oldest goes (see `crowd`), and those of addresses
by which the API server has called go last. No newcomer is refused.
"""

import asyncio
import logging
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from weightlock_webhook.server.crowd import Crowd
from weightlock_webhook.server.limits import HANDSHAKE_SECONDS, MOST_HANDSHAKES

BACKLOG: Final = 512
AT_ONCE: Final = 8
"""Connections that are taken before anything else has its turn."""

PAUSE_SECONDS: Final = 0.1
"""When no more can be taken: the process is out of descriptors, until some are closed."""

log: Final = logging.getLogger(__name__)


class Server(Protocol):
    """Makes a protocol for each connection, and knows who has called before."""

    def __call__(self) -> asyncio.BaseProtocol:
        """A protocol for the next client."""
        ...

    def knows(self, client: str) -> bool:
        """Whether the API server has called from this address."""
        ...


@dataclass(slots=True, eq=False)
class _Handshake:
    """One that is not finished."""

    client: str
    task: asyncio.Task[None]


class Accepting:
    """Takes the connections of one listening socket."""

    def __init__(self, listening: socket.socket, server: Server, context: ssl.SSLContext) -> None:
        self._listening = listening
        self._server = server
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._crowds: dict[bool, Crowd[_Handshake]] = {False: Crowd(), True: Crowd()}
        self._pause: asyncio.TimerHandle | None = None
        self._resume()

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """Where it listens."""
        return (self._listening,)

    @property
    def unfinished(self) -> int:
        """How many handshakes there are."""
        return sum(crowd.weight for crowd in self._crowds.values())

    def close(self) -> None:
        """Take no more connections, and end those that are not there yet; again does nothing."""
        if self._listening.fileno() < 0:
            return
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listening)
        self._listening.close()
        for crowd in self._crowds.values():
            while crowd.weight:
                self._end(crowd)

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                connected, address = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                log.error("no connection can be taken: %s", error)
                self._loop.remove_reader(self._listening)
                self._pause = self._loop.call_later(PAUSE_SECONDS, self._resume)
                return
            self._begin(connected, address[0])

    def _begin(self, connected: socket.socket, client: str) -> None:
        connected.setblocking(False)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        crowd = self._crowds[self._server.knows(client)]
        task = self._loop.create_task(self._handshake(connected))
        handshake = _Handshake(client, task)
        crowd.add(client, handshake)
        task.add_done_callback(lambda _: crowd.discard(client, handshake))
        if self.unfinished > MOST_HANDSHAKES:
            strangers = self._crowds[False]
            self._end(strangers if strangers.weight else self._crowds[True])

    def _end(self, crowd: Crowd[_Handshake]) -> None:
        leaving = crowd.next_to_go()
        crowd.discard(leaving.client, leaving)  # the next newcomer's is another
        leaving.task.cancel()

    async def _handshake(self, connected: socket.socket) -> None:
        with suppress(OSError):
            try:
                await self._loop.connect_accepted_socket(
                    self._server,
                    connected,
                    ssl=self._context,
                    ssl_handshake_timeout=HANDSHAKE_SECONDS,
                )
            except BaseException:
                connected.close()
                raise


def listening_on(host: str, port: int) -> socket.socket:
    """A socket that listens there."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    found = socket.socket(family, kind, protocol)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.setblocking(False)
        found.bind(address)
        found.listen(BACKLOG)
    except OSError:
        found.close()
        raise
    return found
