"""kopf's connection to the API server: the operator's credentials, and answers that kopf survives.

kopf parses with a parser that gives up at what is nested too deeply, and ends. Any tenant can make
such an object, so what cannot be meant is cut out before kopf sees it.
"""

import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final, cast

import aiohttp
import kopf
from aiohttp.connector import Connection
from kubernetes.client import ApiClient, Configuration

from weightlock.formats.nesting import shallow
from weightlock_operator.api.parsing import lightened, parsed

MOST_BRACKETS: Final = 500
"""A parser gives up at about a thousand; a line with fewer cannot hold so many."""

_REFUSED: Final = 400


@dataclass(frozen=True, kw_only=True)
class Session(kopf.AiohttpSession):
    """A session of which kopf can tell whether its credentials were refused already."""

    authorization: str = field(default="", repr=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Session) and self._who == other._who

    def __hash__(self) -> int:
        return hash(self._who)

    @property
    def _who(self) -> tuple[str, str]:
        return self.server, self.authorization


def kopf_session(api: ApiClient) -> Session:
    """The operator's credentials, read anew: projected tokens expire. Needs a running loop."""
    headers: dict[str, str] = {}
    api.update_params_for_auth(headers, [], ["BearerToken"], "", "", None)
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=_tls(api.configuration)),
        headers=headers,
        response_class=Answer,
    )
    return Session(
        server=api.configuration.host,
        aiohttp_session=session,
        authorization=headers.get("authorization", ""),
    )


class Answer(aiohttp.ClientResponse):
    """A response without what is nested too deeply."""

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        """Begin to read; a watch goes line by line."""
        await super().start(connection)
        if "watch" in self.url.query:
            self.content = cast(aiohttp.StreamReader, Lines(self.content))
        return self

    async def json(self, **options: Any) -> Any:
        """The whole document."""
        if self.status >= _REFUSED:
            return await super().json(**options)
        document = parsed(await self.read())
        if "items" in document:
            document["items"] = list(map(lightened, document["items"] or []))
        return document


class Lines:
    """The content of a watch, in whole lines."""

    def __init__(self, content: aiohttp.StreamReader) -> None:
        self._content = content

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """Pieces that end with a line, but for the last."""
        rest = bytearray()
        async for piece in self._content.iter_chunked(size):
            rest += piece
            end = rest.rfind(b"\n") + 1
            if end:
                lines = bytes(rest[:end])
                del rest[:end]
                yield b"".join(map(_light, lines.splitlines(keepends=True)))
        if rest:
            yield bytes(rest)


def _light(line: bytes) -> bytes:
    return shallow(line) if line.count(b"{") + line.count(b"[") > MOST_BRACKETS else line


def _tls(found: Configuration) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=found.ssl_ca_cert)
    if not found.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if found.cert_file:
        context.load_cert_chain(found.cert_file, found.key_file)
    return context
