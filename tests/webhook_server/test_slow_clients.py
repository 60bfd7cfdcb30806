"""Clients that are slow, idle or many take nobody else's place."""

from __future__ import annotations

import asyncio
import time

import pytest
from tests.webhook_server.clients import (
    OTHER_POD,
    PATH,
    POD,
    SOON,
    begun,
    run,
    still_serves,
    the_end,
)
from tests.webhook_server.listeners import answer_of, running
from tests.webhook_server.requests import pod, review

from weightlock_webhook.server.limits import (
    MOST_ARRIVING_BYTES,
    MOST_BODY_BYTES,
    Limits,
)


def test_slow_senders_are_dropped_while_others_are_served() -> None:
    limits = Limits(read_seconds=1.0)

    async def test() -> None:
        async with running(limits=limits) as server:
            heads = [
                b"POST",
                b"POST /validate/pods HTTP/1.1\r\nHost: h\r\n",
                b"POST /validate/pods HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
                b"Content-Length: 100\r\n\r\n{",
                b"",
            ]
            slow = [await server.connect() for _ in range(40)]
            for number, (_, writer) in enumerate(slow):
                writer.write(heads[number % len(heads)])
            await still_serves(server)
            started = time.monotonic()
            for reader, _ in slow:
                async with asyncio.timeout(10):
                    assert await the_end(reader) == b""
            assert time.monotonic() - started < 5
            for _, writer in slow:
                writer.close()
            await still_serves(server)

    run(test())


def test_a_drop_at_a_time_does_not_buy_time() -> None:
    limits = Limits(read_seconds=1.0)

    async def test() -> None:
        async with running(limits=limits) as server:
            reader, writer = await server.connect()
            writer.write(b"POST /validate/pods HTTP/1.1\r\n")
            gone = asyncio.ensure_future(the_end(reader))
            for _ in range(500):
                if gone.done():
                    break
                writer.write(b"X-A: b\r\n")
                await asyncio.wait({gone}, timeout=0.02)
            assert await gone == b""
            writer.close()

    run(test())


def test_a_crowd_of_idle_connections_cannot_shut_out_the_api_server() -> None:
    limits = Limits(read_seconds=30, most_connections=20)

    async def test() -> None:
        async with running(limits=limits) as server:
            crowd = [await server.connect() for _ in range(60)]
            await still_serves(server)
            for _, writer in crowd:
                writer.close()

    run(test())


@pytest.mark.parametrize(
    ("length", "count"),
    [
        pytest.param(1000, 400, id="short bodies"),
        pytest.param(300_000, 400, id="long bodies"),
        pytest.param(MOST_BODY_BYTES, 40, id="the longest bodies"),
    ],
)
@pytest.mark.parametrize(
    "address", [pytest.param(POD, id="a pod"), pytest.param("127.0.0.1", id="the same address")]
)
def test_a_crowd_of_bodies_that_do_not_come_shuts_nobody_out(
    length: int, count: int, address: str
) -> None:
    limits = Limits(read_seconds=30, most_in_flight=4)

    async def test() -> None:
        async with running(limits=limits) as server:
            slow = await asyncio.gather(*(server.connect(address) for _ in range(count)))
            for _, writer in slow:
                writer.write(begun(length))
            for _ in range(20):
                await still_serves(server)
            assert server.door.in_flight == 0
            assert server.door.arriving_bytes <= MOST_ARRIVING_BYTES
            for _, writer in slow:
                writer.close()

    run(test())


def test_a_slow_body_is_served_beside_a_crowd_of_another_client() -> None:
    body = review(new=pod())

    async def test() -> None:
        async with running(limits=Limits(read_seconds=30)) as server:
            reader, writer = await server.connect(OTHER_POD)
            writer.write(begun(len(body)))
            await still_serves(server)  # so the head was read
            crowd = await asyncio.gather(*(server.connect(POD) for _ in range(300)))
            for _, other in crowd:
                other.write(begun(1000))
            await still_serves(server)
            writer.write(body[1:])
            assert (await answer_of(reader))[0] == 200
            # The first of the crowd made room for its last.
            async with asyncio.timeout(SOON):
                assert await the_end(crowd[0][0]) == b""
            for _, other in [*crowd, (reader, writer)]:
                other.close()

    run(test())


def test_bodies_that_do_come_are_all_answered() -> None:
    body = review(new=pod(), uid="u" * 10)
    large = review(new={**pod(), "pad": "x" * 400_000})

    async def test() -> None:
        async with running(limits=Limits(read_seconds=30, deadline_seconds=30)) as server:
            asked = [server.post(PATH, large if each % 4 else body) for each in range(120)]
            assert {status for status, _ in await asyncio.gather(*asked)} == {200}

    run(test())


def test_an_idle_client_keeps_its_connections_beside_a_crowd_of_another() -> None:
    limits = Limits(read_seconds=30, most_connections=20)

    async def test() -> None:
        async with running(limits=limits) as server:
            body = review(new=pod())
            request = begun(len(body)) + body[1:]
            reader, writer = await server.connect(OTHER_POD)
            writer.write(request)
            assert (await answer_of(reader))[0] == 200
            crowd = [await server.connect(POD) for _ in range(60)]
            writer.write(request)
            assert (await answer_of(reader))[0] == 200
            for _, other in [*crowd, (reader, writer)]:
                other.close()

    run(test())


def test_an_idle_connection_is_kept_between_requests() -> None:
    limits = Limits(read_seconds=0.2)

    async def test() -> None:
        async with running(limits=limits) as server:
            reader, writer = await server.connect()
            body = review(new=pod())
            head = f"POST {PATH} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
            for _ in range(3):
                writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                assert (await answer_of(reader))[0] == 200
                waiter = asyncio.get_running_loop().create_future()
                asyncio.get_running_loop().call_later(0.3, waiter.set_result, None)
                await waiter
            writer.close()

    run(test())
