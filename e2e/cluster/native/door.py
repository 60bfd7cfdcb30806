"""The one way into the node's network: a loopback port of the machine that leads to the API server.

The listening socket was opened before the supervisor left the machine's network and still belongs
to it, while the connections it opens belong to the node's.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

BUFFER_BYTES = 65536

Accept = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def lead_to(host: str, port: int) -> Accept:
    """A connection handler that passes everything on."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection(host, port)
        except OSError:  # the API server is not up: to the caller that is a closed connection
            writer.close()
            return
        await asyncio.gather(_pass_on(reader, inner_writer), _pass_on(inner_reader, writer))
        for end in (inner_writer, writer):
            end.close()

    return accept


def open_door() -> socket.socket:
    """A loopback socket on a free port, to be served later."""
    door = socket.socket()
    door.bind(("127.0.0.1", 0))
    door.listen()
    return door


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(BUFFER_BYTES):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()
