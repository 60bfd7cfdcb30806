"""The webhook's only connection to the API server.

Watches, reads and writes use separate connections, so that a burst of live reads never waits for a
place that a watch holds; and only so many calls run at once, however many pods are being created
(A06).

What a tenant stores may be longer on the wire than in etcd, which takes 1.5 MiB: Go escapes `<`
and its like with six bytes, and names of fields that take a byte in protobuf are spelled out. The
bounds here are above any single object, so nobody can write one that breaks a watch or a list.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aiohttp
import msgspec

from weightlock_webhook.cache.access import Access
from weightlock_webhook.cache.errors import Gone, TooLarge, Unreachable
from weightlock_webhook.cache.gets import Gets
from weightlock_webhook.reviews.collaborators import Reply

CONNECT_SECONDS: Final = 5.0
JSON: Final = "application/json"
_GONE: Final = 410
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is taken at once."""

    calls: int = 48
    """Calls at the same time; a live read takes about a millisecond: thousands a second. Who may
    have them says weightlock_webhook.live.lanes."""

    reply_bytes: int = 32 << 20
    """An answer; whoever lists asks for shorter pages when one is longer."""

    line_bytes: int = 16 << 20
    """A watch event, which is one object."""


class Client:
    """Calls and streams over TLS."""

    def __init__(
        self,
        access: Access,
        gets: Gets,
        calls: aiohttp.ClientSession,
        streams: aiohttp.ClientSession,
        bounds: Bounds,
    ) -> None:
        self._bounds = bounds
        self._access = access
        self._gets = gets
        self._calls = calls
        self._streams = streams
        self._places = asyncio.Semaphore(bounds.calls)

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        deadline: float,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> Reply:
        """One request; `path` with its query, `body` to be written as JSON.

        Raises:
            Unreachable: if there was no answer by the deadline; TooLarge for one that is too long.
        """
        try:
            async with asyncio.timeout_at(deadline), self._places:
                if method == "GET" and accept == JSON:
                    return await self._gets.get(path)
                headers = self._headers(content_type) | {"Accept": accept}
                return await self._called(method, path, body, headers)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"the API server did not answer: {type(error).__name__}") from error

    async def _called(self, method: str, path: str, body: object, headers: dict[str, str]) -> Reply:
        async with self._calls.request(
            method,
            self._access.url + path,
            data=None if body is None else msgspec.json.encode(body),
            headers=headers,
            allow_redirects=False,
        ) as response:
            return Reply(response.status, await _body(response.content, self._bounds.reply_bytes))

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
                yield _lines(response.content, self._bounds.line_bytes)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"a watch broke: {type(error).__name__}") from error

    def _headers(self, content_type: str = JSON) -> dict[str, str]:
        # Compressing costs both sides more time than a local network saves.
        headers = {
            "Accept": JSON,
            "Accept-Encoding": "identity",
            "Content-Type": content_type,
            "User-Agent": "weightlock-webhook",
        }
        token = self._access.token.current(asyncio.get_running_loop().time())
        return headers | ({"Authorization": f"Bearer {token}"} if token else {})


@asynccontextmanager
async def connected(access: Access, bounds: Bounds | None = None) -> AsyncIterator[Client]:
    """A client for the length of an `async with` block."""
    bounds = bounds or Bounds()
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
    # No proxy and no .netrc from the environment: the way to the API server is what `access` says.
    async with (
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=access.tls, limit=bounds.calls), timeout=timeout
        ) as calls,
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=access.tls, limit=0), timeout=timeout
        ) as streams,
    ):
        gets = Gets(access, bounds.reply_bytes)
        try:
            yield Client(access, gets, calls, streams, bounds)
        finally:
            await gets.close()


async def _body(content: aiohttp.StreamReader, most: int) -> bytes:
    found = bytearray()
    async for chunk in content.iter_any():
        found += chunk
        if len(found) > most:
            raise TooLarge(f"the API server sent more than {most} bytes")
    return bytes(found)


async def _lines(content: aiohttp.StreamReader, most: int) -> AsyncIterator[bytes]:
    rest = bytearray()
    async for chunk in content.iter_any():
        rest += chunk
        if b"\n" not in chunk:
            if len(rest) > most:
                raise TooLarge(f"a watch event of more than {most} bytes")
            continue
        *lines, last = bytes(rest).split(b"\n")
        rest = bytearray(last)
        for line in lines:
            if line:
                yield line
