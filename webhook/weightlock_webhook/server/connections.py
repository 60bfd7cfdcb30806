"""Connections that cannot be held open for nothing.

aiohttp bounds the size of a request's head but not the time that it may take, nor how many
connections there are. Here a request must be whole some seconds after its first byte, and a
connection's first request after it was opened. When there are too many connections, or too much of
bodies is on its way, one makes room (see `crowd`), so that a crowd cannot shut out the API server;
connections by which it has called before go last.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from weightlock_webhook.recent import Recent
from weightlock_webhook.server.crowd import Crowd
from weightlock_webhook.server.limits import (
    KEEP_ALIVE_SECONDS,
    LINGERING_SECONDS,
    Limits,
)

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_ADDITIONAL: Final = ("_timer", "_server", "client", "_is_known")

MOST_KNOWN: Final = 256
"""Addresses by which the API server has called; a cluster has a few."""


class Connection(RequestHandler):
    """One client."""

    __slots__ = _ADDITIONAL

    def __init__(self, server: "Server", *, loop: asyncio.AbstractEventLoop, **more: Any) -> None:
        super().__init__(server, loop=loop, **more)
        self._server = server
        self._timer: asyncio.TimerHandle | None = None
        self.client = ""
        self._is_known = False

    @property
    def is_known(self) -> bool:
        """Whether a request came by it that only the API server sends."""
        return self._is_known

    @is_known.setter
    def is_known(self, is_known: bool) -> None:
        if is_known and not self._is_known:
            self._server.recognized(self)
        self._is_known = is_known

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A handshake is through: expect a request."""
        super().connection_made(transport)
        self.client = (transport.get_extra_info("peername") or ("",))[0]
        self._server.opened(self)
        self._expect_request()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The client left, or was made to."""
        self._stop_timer()
        self._server.closed(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of a request: from the first on, the clock runs."""
        if self._timer is None:
            self._expect_request()
        super().data_received(data)

    def request_is_whole(self) -> None:
        """The handler has read all of it."""
        self._stop_timer()

    def drop(self) -> None:
        """End the connection at once."""
        self._stop_timer()
        if self.transport is not None:
            self.transport.abort()

    def _expect_request(self) -> None:
        self._timer = self._loop.call_later(self._server.read_seconds, self.drop)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Server(web.Server):
    """Makes connections, and knows which of them wait for their next request."""

    def __init__(self, handler: Handler, limits: Limits) -> None:
        # A body is never inflated: compressed ones are refused, and what is refused is not read.
        self._options = {
            "access_log": None,
            "auto_decompress": False,
            "keepalive_timeout": KEEP_ALIVE_SECONDS,
            "lingering_time": LINGERING_SECONDS,
        }
        super().__init__(self._counted(handler), **self._options)  # type: ignore[arg-type]  # as RequestHandler takes them
        self.read_seconds = limits.read_seconds
        self._most = limits.most_connections
        self._idle: dict[bool, Crowd[Connection]] = {False: Crowd(), True: Crowd()}
        self._open: set[Connection] = set()
        self._known: Recent[str, bool] = Recent(MOST_KNOWN, MOST_KNOWN)

    def __call__(self) -> RequestHandler:
        """A protocol for the next client; the event loop asks."""
        return Connection(self, loop=self._loop, **self._options)

    def opened(self, connection: Connection) -> None:
        """One more; if that is one too many, one that is idle goes, strangers first."""
        self._open.add(connection)
        strangers, known = self._idle[False], self._idle[True]
        strangers.add(connection.client, connection)
        if len(self._open) > self._most:
            # The newcomer is a stranger too, and goes only if there is nobody else.
            crowd = known if known.weight and strangers.weight == 1 else strangers
            leaving = crowd.next_to_go()
            crowd.discard(leaving.client, leaving)  # the next newcomer's is another
            leaving.drop()

    def closed(self, connection: Connection) -> None:
        """One less."""
        self._open.discard(connection)
        self._idle[connection.is_known].discard(connection.client, connection)

    def recognized(self, connection: Connection) -> None:
        """The API server calls by this one."""
        self._known.put(connection.client, True, 1)

    def knows(self, client: str) -> bool:
        """Whether the API server has called from this address."""
        return self._known.get(client) is not None

    @property
    def count(self) -> int:
        """How many are open."""
        return len(self._open)

    def _counted(self, handler: Handler) -> Handler:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            connection = cast(Connection, request.protocol)
            self._idle[connection.is_known].discard(connection.client, connection)
            try:
                return await handler(request)
            finally:
                connection.request_is_whole()
                if connection in self._open:
                    self._idle[connection.is_known].add(connection.client, connection)

        return handle
