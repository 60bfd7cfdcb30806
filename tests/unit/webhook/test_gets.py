"""GETs over kept connections, to a server that does as each test says."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import pytest

from weightlock_webhook.cache.access import Access, InlineToken
from weightlock_webhook.cache.errors import Unreachable
from weightlock_webhook.cache.gets import Gets

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
LAST = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"

Answer = Callable[["Server", asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """Hears requests, and answers each with what is next."""

    answers: list[bytes]
    port: int = 0
    heads: list[bytes] = field(default_factory=list)
    connections: int = 0
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                self.heard.set()
                answer = self.answers.pop(0)
                writer.write(answer)
                if answer in {b"", LAST}:
                    break
        except asyncio.IncompleteReadError:
            self.left.set()
        finally:
            writer.close()


@asynccontextmanager
async def serving(
    *answers: bytes, prefix: str = "", bearer: str = "secret"
) -> AsyncIterator[tuple[Server, Gets]]:
    found = Server(list(answers))
    listener = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = listener.sockets[0].getsockname()[1]
    url = f"https://127.0.0.1:{found.port}{prefix}"
    gets = Gets(Access(url, cast(ssl.SSLContext, None), InlineToken(bearer)), 1000)
    try:
        yield found, gets
    finally:
        await gets.close()
        listener.close()
        await listener.wait_closed()


def test_a_request_says_who_asks_for_what() -> None:
    async def story() -> None:
        async with serving(GOOD, prefix="/clusters/a") as (server, gets):
            reply = await gets.get("/api/v1/x?limit=1")
            assert (reply.status, reply.body) == (200, b"{}")
            head = server.heads[0].decode().split("\r\n")
            assert head[0] == "GET /clusters/a/api/v1/x?limit=1 HTTP/1.1"
            assert f"Host: 127.0.0.1:{server.port}" in head
            assert "Authorization: Bearer secret" in head

    asyncio.run(story())


def test_without_a_bearer_nothing_is_said_of_one() -> None:
    async def story() -> None:
        async with serving(GOOD, bearer="") as (server, gets):
            await gets.get("/x")
            assert b"Authorization" not in server.heads[0]

    asyncio.run(story())


def test_a_connection_is_kept_for_the_next() -> None:
    async def story() -> None:
        async with serving(GOOD, GOOD, GOOD) as (server, gets):
            for _ in range(3):
                await gets.get("/x")
            assert server.connections == 1

    asyncio.run(story())


def test_those_who_ask_at_once_have_one_each() -> None:
    async def story() -> None:
        async with serving(GOOD, GOOD) as (server, gets):
            await asyncio.gather(gets.get("/a"), gets.get("/b"))
            assert server.connections == 2

    asyncio.run(story())


def test_a_kept_connection_that_the_server_closed_is_replaced() -> None:
    async def story() -> None:
        async with serving(GOOD, b"", GOOD) as (server, gets):
            await gets.get("/x")
            assert (await gets.get("/y")).status == 200
            assert server.connections == 2
            assert [head.split()[1] for head in server.heads] == [b"/x", b"/y", b"/y"]

    asyncio.run(story())


def test_a_connection_that_the_server_will_close_is_not_kept() -> None:
    async def story() -> None:
        async with serving(LAST, GOOD) as (server, gets):
            await gets.get("/x")
            await gets.get("/x")
            assert server.connections == 2

    asyncio.run(story())


def test_a_new_connection_that_ends_is_no_answer() -> None:
    async def story() -> None:
        async with serving(b"") as (server, gets):
            with pytest.raises(ConnectionError):
                await gets.get("/x")
            assert server.connections == 1

    asyncio.run(story())


@pytest.mark.parametrize("answer", [b"nonsense\r\n\r\n", GOOD + b"x"])
def test_what_cannot_be_understood_is_no_answer_and_ends_the_connection(answer: bytes) -> None:
    async def story() -> None:
        async with serving(answer, GOOD) as (server, gets):
            with pytest.raises(Unreachable):
                await gets.get("/x")
            await server.left.wait()
            assert (await gets.get("/x")).status == 200

    asyncio.run(story())


def test_half_an_answer_is_none_and_is_not_asked_for_again() -> None:
    async def story() -> None:
        async with serving(GOOD, GOOD[:-1], b"") as (server, gets):
            await gets.get("/x")
            server.heard.clear()
            asking = asyncio.ensure_future(gets.get("/y"))
            await server.heard.wait()
            await asyncio.sleep(0)
            await gets.close()
            with pytest.raises(ConnectionError):
                await asking
            assert len(server.heads) == 2

    asyncio.run(story())


def test_whoever_gives_up_leaves_no_answer_for_the_next() -> None:
    """A reply that comes late must never be taken for the reply to another question."""

    async def story() -> None:
        late = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"
        async with serving(late, GOOD) as (server, gets):
            asking = asyncio.ensure_future(gets.get("/slow"))
            await server.heard.wait()
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            await server.left.wait()
            assert (await gets.get("/x")).body == b"{}"
            assert server.connections == 2

    asyncio.run(story())


def test_words_that_nobody_asked_for_end_a_connection() -> None:
    async def story() -> None:
        async with serving(GOOD, GOOD) as (server, gets):
            await gets.get("/x")
            (kept,) = gets._idle
            kept.data_received(GOOD)
            await server.left.wait()
            assert not gets._idle
            await gets.get("/x")
            assert server.connections == 2

    asyncio.run(story())


@pytest.mark.parametrize("path", ["x", "", "/a b", "/a\r\nX: y", "/a\n", "/ä", "/\x00"], ids=ascii)
def test_no_path_can_end_the_line_that_it_stands_in(path: str) -> None:
    async def story() -> None:
        async with serving() as (server, gets):
            with pytest.raises(Unreachable):
                await gets.get(path)
            assert not server.connections

    asyncio.run(story())


def test_nor_can_a_bearer() -> None:
    async def story() -> None:
        async with serving(bearer="a\r\nX: y") as (server, gets):
            with pytest.raises(Unreachable):
                await gets.get("/x")
            assert not server.connections

    asyncio.run(story())
