"""GETs of single objects over connections of their own, at a tenth of the cost of a whole client.

Every pod that is let in costs a few of them, so here is what they need and no more: connections
that are kept, one request at a time on each, and one more try where the server closed a kept one
before it said anything.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Final, cast
from urllib.parse import urlsplit

from weightlock_webhook.cache.access import Access
from weightlock_webhook.cache.errors import Unreachable
from weightlock_webhook.cache.incoming import Incoming
from weightlock_webhook.reviews.collaborators import Reply

_IS_TARGET: Final = re.compile(r"/[!-~]*").fullmatch
"""What may stand in the first line of a request: nothing that could end it (A34)."""


class Left(ConnectionError):
    """The server closed a connection before it answered."""


class Gets:
    """Asks one server, by as many connections as there are GETs at the same time."""

    def __init__(self, access: Access, most_bytes: int) -> None:
        self._access = access
        self._most_bytes = most_bytes
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()
        self._headers_of = "", b""
        server = urlsplit(access.url)
        self._host, self._port = server.hostname or "", server.port or 443
        self._authority, self._prefix = server.netloc, server.path

    async def get(self, path: str) -> Reply:
        """The reply to one GET; `path` with its query.

        Raises:
            Unreachable, OSError: if there is none.
        """
        target = f"{self._prefix}{path}"
        if _IS_TARGET(target) is None:
            raise Unreachable("this is no path of the API server")
        request = b"GET %s%s" % (target.encode("ascii"), self._headers())
        while self._idle:
            try:
                return await self._asked(self._idle.pop(), request)
            except Left:
                continue
        return await self._asked(await self._connected(), request)

    async def close(self) -> None:
        """Hang up, and wait until that has happened."""
        leaving = tuple(self._open)
        for connection in leaving:
            connection.abort()
        await asyncio.gather(*(connection.ended for connection in leaving))

    async def _asked(self, connection: "_Connection", request: bytes) -> Reply:
        try:
            reply = await connection.ask(request, Incoming(self._most_bytes))
        except BaseException:
            # Whatever still comes on it would be taken for the answer to somebody else.
            connection.abort()
            raise
        if connection.is_usable:
            self._idle.append(connection)
        else:
            connection.abort()
        return reply

    async def _connected(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_connection(
            lambda: _Connection(self._lost),
            self._host,
            self._port,
            ssl=self._access.tls,
        )
        if protocol.is_usable:
            self._open.add(protocol)
        return protocol

    def _lost(self, connection: "_Connection") -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def _headers(self) -> bytes:
        token = self._access.token.current(asyncio.get_running_loop().time())
        known, headers = self._headers_of
        if known == token and headers:
            return headers
        lines = [
            " HTTP/1.1",
            f"Host: {self._authority}",
            "Accept: application/json",
            # Compressing costs both sides more time than a local network saves.
            "Accept-Encoding: identity",
            "User-Agent: weightlock-webhook",
            *([f"Authorization: Bearer {token}"] if token else []),
        ]
        found = "\r\n".join([*lines, "", ""]).encode("ascii")
        if found.count(b"\r\n") != len(lines) + 1:
            raise Unreachable("the token is not a single line")
        self._headers_of = token, found
        return found


class _Connection(asyncio.Protocol):
    """One connection with at most one GET on its way."""

    def __init__(self, lost: Callable[["_Connection"], None]) -> None:
        self._tell_lost = lost
        self._transport: asyncio.Transport | None = None
        self._incoming: Incoming | None = None
        self._answer: asyncio.Future[Reply] | None = None
        self._is_last = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def is_usable(self) -> bool:
        """Whether another GET may follow."""
        return self._transport is not None and not self._is_last

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake is through."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """A part of the reply, or something that nobody asked for."""
        incoming, answer = self._incoming, self._answer
        if incoming is None or answer is None or answer.done():
            self.abort()
            return
        try:
            reply = incoming.feed(data)
        except Unreachable as error:
            answer.set_exception(error)
            return
        if reply is not None:
            self._is_last = incoming.is_last
            self._incoming = self._answer = None
            answer.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        """The server left, or was left."""
        del exc
        self._transport = None
        self.ended.set_result(None)
        self._tell_lost(self)
        if self._answer is not None and not self._answer.done():
            begun = self._incoming is None or not self._incoming.is_untouched
            error = ConnectionResetError if begun else Left
            self._answer.set_exception(error("the connection ended"))

    def abort(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    async def ask(self, request: bytes, incoming: Incoming) -> Reply:
        """The reply to a request.

        Raises:
            Unreachable: for a reply that cannot be understood.
            ConnectionError: for none; Left if the server may not even have seen the request.
        """
        if self._transport is None:
            raise Left("the connection has ended")
        self._incoming = incoming
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer
