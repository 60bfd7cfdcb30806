"""The webhook's only connection to the API server.

Watches, reads and writes use separate connections, so that a burst of live reads never waits for a
place that a watch holds; and only so many calls run at once, however many pods are being created
(A06).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
import msgspec

from weightlock_webhook.cache.access import Access
from weightlock_webhook.cache.errors import Gone, Unreachable
from weightlock_webhook.cache.gets import Gets
from weightlock_webhook.reviews.collaborators import Reply

MOST_CALLS: Final = 32
"""Calls at the same time; a live read takes about a millisecond, so this is thousands a second."""

MOST_REPLY_BYTES: Final = 64 << 20
"""A page of 500 of the largest objects stays below; nothing of ours asks for more."""

MOST_LINE_BYTES: Final = 4 << 20
"""A watch event; etcd refuses objects of more than 1.5 MiB."""

CONNECT_SECONDS: Final = 5.0
_GONE: Final = 410
_OK: Final = 200


class Client:
    """Calls and streams over TLS."""

    def __init__(
        self,
        access: Access,
        gets: Gets,
        calls: aiohttp.ClientSession,
        streams: aiohttp.ClientSession,
    ) -> None:
        self._access = access
        self._gets = gets
        self._calls = calls
        self._streams = streams
        self._places = asyncio.Semaphore(MOST_CALLS)

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        deadline: float,
        content_type: str = "application/json",
    ) -> Reply:
        """One request; `path` with its query, `body` to be written as JSON.

        Raises:
            Unreachable: if there was no answer by the deadline.
        """
        try:
            async with asyncio.timeout_at(deadline), self._places:
                if method == "GET":
                    return await self._gets.get(path)
                return await self._called(method, path, body, content_type)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"the API server did not answer: {type(error).__name__}") from error

    async def _called(self, method: str, path: str, body: object, content_type: str) -> Reply:
        async with self._calls.request(
            method,
            self._access.url + path,
            data=None if body is None else msgspec.json.encode(body),
            headers=self._headers(content_type),
            allow_redirects=False,
        ) as response:
            return Reply(response.status, await _body(response.content))

    @asynccontextmanager
    async def stream(self, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """The lines of a watch, for as long as the server keeps it open.

        Raises:
            Unreachable: if it does not start or breaks; Gone if the version is too old.
        """
        try:
            async with self._streams.get(
                self._access.url + path, headers=self._headers(), allow_redirects=False
            ) as response:
                if response.status == _GONE:
                    raise Gone("the API server has forgotten the resource version")
                if response.status != _OK:
                    raise Unreachable(f"the API server answered a watch with {response.status}")
                yield _lines(response.content)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"a watch broke: {type(error).__name__}") from error

    def _headers(self, content_type: str = "application/json") -> dict[str, str]:
        # Compressing costs both sides more time than a local network saves.
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Content-Type": content_type,
            "User-Agent": "weightlock-webhook",
        }
        token = self._access.token.current(asyncio.get_running_loop().time())
        return headers | ({"Authorization": f"Bearer {token}"} if token else {})


@asynccontextmanager
async def connected(access: Access) -> AsyncIterator[Client]:
    """A client for the length of an `async with` block."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
    # No proxy and no .netrc from the environment: the way to the API server is what `access` says.
    async with (
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=access.tls, limit=MOST_CALLS), timeout=timeout
        ) as calls,
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=access.tls, limit=0), timeout=timeout
        ) as streams,
    ):
        gets = Gets(access, MOST_REPLY_BYTES)
        try:
            yield Client(access, gets, calls, streams)
        finally:
            await gets.close()


async def _body(content: aiohttp.StreamReader) -> bytes:
    found = bytearray()
    async for chunk in content.iter_any():
        found += chunk
        if len(found) > MOST_REPLY_BYTES:
            raise Unreachable(f"the API server sent more than {MOST_REPLY_BYTES} bytes")
    return bytes(found)


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    rest = bytearray()
    async for chunk in content.iter_any():
        rest += chunk
        if b"\n" not in chunk:
            if len(rest) > MOST_LINE_BYTES:
                raise Unreachable(f"a watch event of more than {MOST_LINE_BYTES} bytes")
            continue
        *lines, last = bytes(rest).split(b"\n")
        rest = bytearray(last)
        for line in lines:
            if line:
                yield line
