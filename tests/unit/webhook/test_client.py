"""Calls and streams over real TLS on loopback."""

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from e2e.cluster.pki import Authority
from weightlock_webhook.cache.access import Access, InlineToken
from weightlock_webhook.cache.client import Bounds, Client, connected
from weightlock_webhook.cache.errors import Gone, TooLarge, Unreachable

SECONDS = 5.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    now = datetime.datetime.now(tz=datetime.UTC)  # noqa: TID251 certificates need the time
    return Authority(tmp_path_factory.mktemp("pki"), now)


@pytest.fixture(scope="module")
def contexts(authority: Authority) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    pair = authority.server("server", "127.0.0.1")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pair.certificate, pair.key)
    return server, ssl.create_default_context(cafile=str(authority.certificate))


@asynccontextmanager
async def serving(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], bounds: Bounds | None = None
) -> AsyncIterator[tuple[Client, list[web.Request]]]:
    seen: list[web.Request] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append(request)
        return await ANSWERS.get(request.path, _unknown)(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=contexts[0]).start()
    port = runner.addresses[0][1]
    access = Access(f"https://127.0.0.1:{port}", contexts[1], InlineToken("secret"))
    try:
        async with connected(access, bounds) as client:
            yield client, seen
    finally:
        await runner.cleanup()


async def _unknown(request: web.Request) -> web.StreamResponse:
    return web.Response(status=404)


async def _echo(request: web.Request) -> web.StreamResponse:
    return web.Response(status=201, body=await request.read())


async def _slow(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60)
    return web.Response()


async def _elsewhere(request: web.Request) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": "/echo"})


async def _large(request: web.Request) -> web.StreamResponse:
    return web.Response(body=b"x" * 2000)


async def _gone(request: web.Request) -> web.StreamResponse:
    return web.Response(status=410)


async def _line(request: web.Request) -> web.StreamResponse:
    return await _streamed(request, [b'{"a"', b':1}\n{"b":2}\n\n{"c"', b":3}\n"])


async def _long(request: web.Request) -> web.StreamResponse:
    return await _streamed(request, [b"x" * 600, b"x" * 600, b"\n"])


async def _broken(request: web.Request) -> web.StreamResponse:
    return await _streamed(request, [b"{}\n"], breaks=True)


ANSWERS = {
    "/echo": _echo,
    "/slow": _slow,
    "/elsewhere": _elsewhere,
    "/large": _large,
    "/lines": _line,
    "/broken": _broken,
    "/long": _long,
    "/gone": _gone,
}


async def _streamed(
    request: web.Request, chunks: list[bytes], *, breaks: bool = False
) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for chunk in chunks:
        await response.write(chunk)
        await asyncio.sleep(0.01)
    if breaks:
        assert request.transport is not None
        request.transport.abort()
    return response


def deadline(seconds: float = SECONDS) -> float:
    return asyncio.get_running_loop().time() + seconds


Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


def test_a_call_carries_token_and_body_and_returns_whatever_came(contexts: Contexts) -> None:
    async def story() -> None:
        async with serving(contexts) as (client, seen):
            reply = await client.call(
                "PATCH", "/echo?x=1", {"a": 1}, deadline=deadline(), content_type="application/x"
            )
            assert (reply.status, reply.body) == (201, b'{"a":1}')
            assert seen[0].headers["Authorization"] == "Bearer secret"
            assert seen[0].headers["Content-Type"] == "application/x"
            assert seen[0].headers["Accept"] == "application/json"
            await client.call("GET", "/echo", deadline=deadline(), accept="application/y")
            assert seen[1].headers["Accept"] == "application/y"
            assert seen[0].query_string == "x=1"
            assert (await client.call("GET", "/none", deadline=deadline())).status == 404

    asyncio.run(story())


def test_redirections_are_not_followed(contexts: Contexts) -> None:
    async def story() -> None:
        async with serving(contexts) as (client, _):
            assert (await client.call("GET", "/elsewhere", deadline=deadline())).status == 302

    asyncio.run(story())


def test_a_late_answer_is_none(contexts: Contexts) -> None:
    async def story() -> None:
        async with serving(contexts) as (client, _):
            with pytest.raises(Unreachable, match="TimeoutError"):
                await client.call("GET", "/slow", deadline=deadline(0.1))

    asyncio.run(story())


def test_waiting_for_a_place_counts_as_waiting(contexts: Contexts) -> None:
    async def story() -> None:
        async with serving(contexts, Bounds(calls=1)) as (client, _):
            slow = asyncio.create_task(client.call("GET", "/slow", deadline=deadline(0.5)))
            await asyncio.sleep(0.1)
            with pytest.raises(Unreachable):
                await client.call("GET", "/none", deadline=deadline(0.1))
            with pytest.raises(Unreachable):
                await slow
            assert (await client.call("GET", "/none", deadline=deadline())).status == 404

    asyncio.run(story())


def test_answers_have_a_bound(contexts: Contexts) -> None:
    async def story() -> None:
        async with serving(contexts, Bounds(reply_bytes=1999)) as (client, _):
            with pytest.raises(TooLarge, match="more than 1999"):
                await client.call("GET", "/large", deadline=deadline())
        async with serving(contexts, Bounds(reply_bytes=2000)) as (client, _):
            assert len((await client.call("GET", "/large", deadline=deadline())).body) == 2000

    asyncio.run(story())


def test_nobody_who_listens_is_unreachable(contexts: Contexts) -> None:
    async def story() -> None:
        access = Access("https://127.0.0.1:1", contexts[1], InlineToken())
        async with connected(access) as client:
            with pytest.raises(Unreachable):
                await client.call("GET", "/", deadline=deadline())
            with pytest.raises(Unreachable):
                async with client.stream("/"):
                    pass

    asyncio.run(story())


def test_a_server_that_cannot_prove_itself_is_unreachable(contexts: Contexts) -> None:
    async def story() -> None:
        async with serving(contexts) as (client, _):
            url = client._access.url
            async with connected(
                Access(url, ssl.create_default_context(), InlineToken())
            ) as stranger:
                with pytest.raises(Unreachable):
                    await stranger.call("GET", "/none", deadline=deadline())

    asyncio.run(story())


def test_a_stream_is_cut_into_lines_wherever_it_was_cut_before(contexts: Contexts) -> None:
    async def story() -> None:
        async with serving(contexts) as (client, _), client.stream("/lines") as lines:
            assert [line async for line in lines] == [b'{"a":1}', b'{"b":2}', b'{"c":3}']

    asyncio.run(story())


async def all_of(client: Client, path: str) -> list[bytes]:
    async with client.stream(path) as lines:
        return [line async for line in lines]


@pytest.mark.parametrize(
    ("path", "error"),
    [("/gone", Gone), ("/none", Unreachable), ("/broken", Unreachable), ("/long", TooLarge)],
)
def test_a_stream_that_does_not_go_well_says_so(
    contexts: Contexts, path: str, error: type[Exception]
) -> None:
    async def story() -> None:
        async with serving(contexts, Bounds(line_bytes=1000)) as (client, _):
            with pytest.raises(error):
                await all_of(client, path)

    asyncio.run(story())


def test_a_line_of_the_longest_object_is_taken(contexts: Contexts) -> None:
    async def story() -> None:
        async with serving(contexts, Bounds(line_bytes=1200)) as (client, _):
            assert await all_of(client, "/long") == [b"x" * 1200]

    asyncio.run(story())


def test_no_object_that_etcd_takes_is_too_long() -> None:
    in_etcd, escaped = 1.5 * 2**20, 6
    assert in_etcd * escaped < Bounds().line_bytes < Bounds().reply_bytes


def test_a_stream_that_is_left_early_leaves_nothing_open(contexts: Contexts) -> None:
    async def story() -> None:
        async with serving(contexts) as (client, _):
            async with client.stream("/lines") as lines:
                assert await anext(lines) == b'{"a":1}'
            assert isinstance(client._streams, aiohttp.ClientSession)

    asyncio.run(story())
