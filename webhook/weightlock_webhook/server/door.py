"""From an HTTP request to a body for the desk, and back; everything else gets a 4xx.

0. the path must be one that is served and that only the API server was told of: strangers are
   answered 404 by their head alone
1. the method must be POST, the content JSON and not compressed
2. the length must be told and bounded; a chunked body is refused, the API server sends none
3. the body must arrive in time; when too much is on its way, the slowest makes room, no newcomer
4. there must be a place: reviews at once are bounded. Nobody holds one while it sends
5. the answer; its deadline has been running since the head came
"""

import asyncio
import logging
from time import monotonic
from typing import Final, Protocol, cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict

from weightlock.errors import Malformed
from weightlock_webhook.server.connections import Connection
from weightlock_webhook.server.crowd import Crowd
from weightlock_webhook.server.gate import Gate
from weightlock_webhook.server.limits import (
    LEAST_ARRIVING_BYTES,
    MOST_ARRIVING_BYTES,
    MOST_BODY_BYTES,
    MOST_DOUBTFUL,
    Limits,
)

JSON: Final = "application/json"
_JSON_HEADERS: Final = {"Content-Type": JSON}

log: Final = logging.getLogger(__name__)


class Desk(Protocol):
    """Who answers."""

    async def answer(self, path: str, body: bytes, arrived: float, deadline: float) -> bytes:
        """The AdmissionReview that answers another.

        Raises:
            Malformed: if there is nobody to answer.
        """
        ...


class Door:
    """The handler of every HTTPS request."""

    def __init__(
        self,
        desk: Desk,
        paths: frozenset[str],
        gate: Gate,
        limits: Limits,
    ) -> None:
        self._desk = desk
        self._paths = paths
        self._gate = gate
        self._limits = limits
        self._in_flight = 0
        self._arriving: Crowd[Connection] = Crowd()
        self._doubtful: Crowd[Connection] = Crowd()
        self.is_draining = False

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        arrived = monotonic()  # as the loop's clock is, which is asked by a detour
        # (0) the path
        path, token = self._divided(request.rel_url.raw_path)
        if path not in self._paths:
            return _closing(_text(404, "no such path"))
        if not self._gate.admits(token) and not await self._is_admitted(request, token):
            return _closing(_text(404, "no such path"))
        cast(Connection, request.protocol).is_known = True
        # (1), (2) from the head alone
        refusal = _refusal(request)
        if refusal is not None:
            return _closing(refusal)
        try:
            return await self._answered(request, path, arrived)
        except Exception as error:
            return _closing(_failure(error))

    @property
    def in_flight(self) -> int:
        """How many are being answered."""
        return self._in_flight

    @property
    def arriving_bytes(self) -> int:
        """How much of bodies is on its way, by the lengths that were told."""
        return self._arriving.weight

    def _divided(self, path: str) -> tuple[str, str]:
        if path in self._paths:
            return path, ""
        start, _, end = path.rpartition("/")
        return (start, end) if end else (path, "")

    async def _is_admitted(self, request: web.BaseRequest, token: str) -> bool:
        """Hold it for as long as a look takes; of too many that are held, the oldest goes."""
        connection = cast(Connection, request.protocol)
        self._doubtful.add(connection.client, connection)
        if self._doubtful.weight > MOST_DOUBTFUL:
            self._drop_from(self._doubtful)
        try:
            return await self._gate.admits_after_a_look(token)
        finally:
            self._doubtful.discard(connection.client, connection)

    @staticmethod
    def _drop_from(crowd: Crowd[Connection]) -> None:
        leaving = crowd.next_to_go()
        crowd.discard(leaving.client, leaving)
        leaving.drop()

    async def _answered(self, request: web.BaseRequest, path: str, arrived: float) -> web.Response:
        # (3) the body, in time
        body = await self._arrived(request)
        # (4) a place
        if self._in_flight >= self._limits.most_in_flight:
            return _closing(_text(503, "too many reviews at once, try again"))
        self._in_flight += 1
        try:
            # (5) the answer
            deadline = arrived + self._limits.deadline_seconds
            answer = await self._desk.answer(path, body, arrived, deadline)
        finally:
            self._in_flight -= 1
        response = web.Response(body=answer, headers=_JSON_HEADERS)
        if self.is_draining:
            response.force_close()
        return response

    async def _arrived(self, request: web.BaseRequest) -> bytes:
        length = request.content_length or 0
        if not length:
            raise Malformed("the body is empty")
        connection = cast(Connection, request.protocol)
        if request.content.is_eof():  # all of it came with its head
            body = await request.content.readexactly(length)
        else:
            self._make_room(connection, length)
            try:
                body = await request.content.readexactly(length)
            finally:
                self._arriving.discard(connection.client, connection)
        connection.request_is_whole()
        return body

    def _make_room(self, connection: Connection, length: int) -> None:
        self._arriving.add(connection.client, connection, max(length, LEAST_ARRIVING_BYTES))
        while self._arriving.weight > MOST_ARRIVING_BYTES:
            self._drop_from(self._arriving)


def _refusal(request: web.BaseRequest) -> web.Response | None:
    headers = request.headers
    if request.method != "POST":
        return _text(405, "only POST", Allow="POST")
    if request.content_type != JSON or headers.get("Content-Encoding", "identity") != "identity":
        return _text(415, f"only {JSON}, not compressed")
    length = request.content_length
    if length is None or "Transfer-Encoding" in headers:
        return _text(411, "the length must be told")
    if length > MOST_BODY_BYTES:
        return _text(413, f"at most {MOST_BODY_BYTES} bytes")
    return None


def _failure(error: Exception) -> web.Response:
    match error:
        case TimeoutError() | asyncio.IncompleteReadError() | ConnectionError():
            return _text(408, "the body did not arrive in time")
        case HttpProcessingError():
            return _text(400, "the body is not what its headers say")
        case Malformed(message=message):
            return _text(400, message)
    log.error("a request could not be answered", exc_info=error)
    return _text(500, "unexpected error")


def _text(status: int, what: str, **headers: str) -> web.Response:
    return web.Response(status=status, text=f"{what}\n", headers=CIMultiDict(headers))


def _closing(response: web.Response) -> web.Response:
    # What remains of the request is not read, so the connection cannot be used again.
    response.force_close()
    return response
