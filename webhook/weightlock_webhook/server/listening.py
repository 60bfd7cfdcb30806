"""Both listeners of the process, from the first socket to the last answer.

The end is slow on purpose: endpoints and load balancers take seconds to hear that a replica goes,
and a connection that is refused meanwhile is a pod that is refused. So on SIGTERM:

1. /readyz says no, and every answer asks its client to come back by another connection
2. requests, new connections too, are answered for as long as that takes to be known
3. the listener closes, and what is being answered is finished
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from weightlock_webhook.server.accepting import Accepting, listening_on
from weightlock_webhook.server.connections import Server
from weightlock_webhook.server.door import Door
from weightlock_webhook.server.health import Health
from weightlock_webhook.server.limits import Limits
from weightlock_webhook.settings import Address

FINISH_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound socket and what answers on it."""

    socket: Accepting | asyncio.Server
    server: web.Server

    @property
    def port(self) -> int:
        """Where it really listens."""
        port: int = self.socket.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        """Take no more connections, finish what is being answered, and close the rest."""
        self.socket.close()
        self.server.pre_shutdown()
        await self.server.shutdown(FINISH_SECONDS)


@asynccontextmanager
async def https(
    address: Address, door: Door, limits: Limits, context: ssl.SSLContext
) -> AsyncIterator[Listener]:
    """Reviews, over TLS, for the length of an `async with` block."""
    server = Server(door.handle, limits)
    socket = Accepting(listening_on(address.host, address.port), server, context)
    listener = Listener(socket, server)
    try:
        yield listener
    finally:
        await listener.close()


@asynccontextmanager
async def http(address: Address, health: Health) -> AsyncIterator[Listener]:
    """Probes and metrics, for the length of an `async with` block."""
    server = web.Server(health.handle, access_log=None)
    socket = await asyncio.get_running_loop().create_server(server, address.host, address.port)
    listener = Listener(socket, server)
    try:
        yield listener
    finally:
        await listener.close()


async def drain(door: Door, seconds: float) -> None:
    """Steps 1 and 2; readiness looks at the door."""
    door.is_draining = True
    await asyncio.sleep(seconds)
