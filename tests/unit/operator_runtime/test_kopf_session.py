"""What kopf is shown of the API server's answers."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from kubernetes.client import ApiClient, Configuration

from weightlock_operator.api.kopf_session import Session, kopf_session

DEEP = b'{"f:x":' * 3000 + b"{}" + b"}" * 3000
ITEM = b'{"metadata": {"name": "%s", "annotations": {"a": "b"}, "managedFields": [%s]}}'


def api(url: str = "http://127.0.0.1:1", token: str = "") -> ApiClient:
    found = Configuration(host=url)
    if token:
        found.api_key = {"authorization": f"Bearer {token}"}
    return ApiClient(found)


async def listed(_request: web.Request) -> web.Response:
    body = b'{"metadata": {}, "items": [%s, %s]}' % (ITEM % (b"a", DEEP), ITEM % (b"b", b""))
    return web.Response(body=body, content_type="application/json")


async def watched(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    lines = [b'{"object": %s}' % (ITEM % (name, DEEP)) for name in (b"a", b"b")]
    whole = b"\n".join(lines)
    for start in range(0, len(whole), 10_000):
        await response.write(whole[start : start + 10_000])
    return response


async def refused(_request: web.Request) -> web.Response:
    return web.json_response({"kind": "Status", "code": 403}, status=403)


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    app = web.Application()
    app.router.add_get("/list", listed)
    app.router.add_get("/watch", watched)
    app.router.add_get("/refused", refused)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    session = kopf_session(api(url)).aiohttp_session
    try:
        yield session, url
    finally:
        await session.close()
        await runner.cleanup()


def test_a_list_comes_light_and_whole() -> None:
    async def story() -> None:
        async with connected() as (session, url), session.get(f"{url}/list") as answer:
            document = await answer.json()
        assert [each["metadata"] for each in document["items"]] == [{"name": "a"}, {"name": "b"}]

    asyncio.run(story())


def test_a_watch_comes_in_lines_that_can_be_read() -> None:
    async def story() -> None:
        async with connected() as (session, url), session.get(f"{url}/watch?watch=true") as answer:
            pieces = [piece async for piece in answer.content.iter_chunked(1024)]
        lines = b"".join(pieces).split(b"\n")
        names = [json.loads(line)["object"]["metadata"]["name"] for line in lines[:1]]
        assert (names, len(lines)) == (["a"], 2)

    asyncio.run(story())


def test_a_refusal_comes_as_it_is() -> None:
    async def story() -> None:
        async with connected() as (session, url), session.get(f"{url}/refused") as answer:
            assert (await answer.json())["code"] == 403

    asyncio.run(story())


def test_credentials_that_were_refused_are_known_again() -> None:
    """Or kopf would try the same ones for ever, without a pause."""

    async def story() -> None:
        made = [kopf_session(api(token=token)) for token in ("one", "one", "two")]
        assert made[0] == made[1] != made[2]
        assert len({*made}) == 2
        assert made[0] != "one"
        assert "one" not in repr(made[0]).replace("None", "")
        for each in made:
            await each.aiohttp_session.close()

    asyncio.run(story())


@pytest.mark.parametrize("verify", [True, False])
def test_the_server_is_verified_unless_told_not_to(verify: bool) -> None:
    async def story() -> None:
        client = api()
        client.configuration.verify_ssl = verify
        session = kopf_session(client)
        assert isinstance(session, Session)
        connector = session.aiohttp_session.connector
        assert isinstance(connector, aiohttp.TCPConnector)
        tls = connector._ssl
        assert isinstance(tls, ssl.SSLContext)
        assert (tls.verify_mode is ssl.CERT_REQUIRED) is verify
        await session.aiohttp_session.close()

    asyncio.run(story())
