"""Whoever does not know the path is refused by its head."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest
from tests.webhook_server.clients import OTHER_POD, PATH, SOON, begun, run, the_end
from tests.webhook_server.listeners import NOW, answer_of, running
from tests.webhook_server.requests import pod, review

from weightlock.errors import Unanswerable
from weightlock_webhook.arming.tokens import new_token
from weightlock_webhook.server.gate import PAUSE_SECONDS
from weightlock_webhook.server.limits import (
    MOST_DOUBTFUL,
    Limits,
)

TOKEN = new_token(NOW)
CLOSED = f"{PATH}/{TOKEN}"


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(PATH, id="no token"),
        pytest.param(f"{PATH}/", id="an empty one"),
        pytest.param(f"{PATH}/{new_token(NOW)}", id="another one"),
        pytest.param(f"{PATH}/{TOKEN[:-1]}", id="a part of it"),
        pytest.param(f"{PATH}/{TOKEN}0", id="more than it"),
        pytest.param(f"{PATH}/{TOKEN.upper()}", id="capitals"),
        pytest.param(f"{PATH}/{TOKEN}/", id="a slash more"),
        pytest.param(f"/{TOKEN}", id="no path"),
        pytest.param(f"/validate/nothing/{TOKEN}", id="another path"),
        pytest.param(f"{PATH}/\udcff", id="no UTF-8"),
        pytest.param(f"{PATH}/{'a' * 4000}", id="a long one"),
    ],
)
def test_a_stranger_is_refused_by_its_head_and_the_api_server_is_not(path: str) -> None:
    async def test() -> None:
        async with running(named={TOKEN}) as server:
            reader, writer = await server.connect()
            head = (
                f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
                "Content-Length: 1000\r\n\r\n"
            )
            writer.write(head.encode(errors="surrogateescape"))
            async with asyncio.timeout(SOON):
                status, body = await answer_of(reader)
            assert status in {400, 404}
            assert b"allowed" not in body
            assert server.behind.judge.asked == []
            writer.close()
            assert (await server.post(CLOSED, review(new=pod())))[0] == 200
            assert (await server.post(f"{CLOSED}?timeout=5s", review(new=pod())))[0] == 200

    run(test())


def test_strangers_cause_one_look_a_second_together_and_hold_nobody_up() -> None:
    async def test() -> None:
        async with running(named={TOKEN}) as server:
            assert (await server.post(CLOSED, review(new=pod())))[0] == 200
            body = review(new=pod())
            # Some make room for others, and hear nothing.
            asked = [asyncio.ensure_future(server.post(PATH, body)) for _ in range(200)]
            for _ in range(10):
                started = time.monotonic()
                assert (await server.post(CLOSED, body))[0] == 200
                assert time.monotonic() - started < SOON
            answers = await asyncio.gather(*asked, return_exceptions=True)
            assert {each[0] for each in answers if isinstance(each, tuple)} == {404}
            gaps = [after - before for before, after in itertools.pairwise(server.looks)]
            assert all(gap > PAUSE_SECONDS * 0.9 for gap in gaps)

    run(test())


def test_few_strangers_wait_for_a_look() -> None:
    async def end(reader: asyncio.StreamReader) -> bytes:
        async with asyncio.timeout(10):
            return await the_end(reader)

    async def test() -> None:
        async with running(named={TOKEN}) as server:
            strangers = [await server.connect() for _ in range(3 * MOST_DOUBTFUL)]
            # After this look, the next one is a second away.
            assert (await server.post(PATH, review(new=pod())))[0] == 404
            before = len(server.looks)
            for _, writer in strangers:
                writer.write(begun(1000))
            answers = await asyncio.gather(*(end(reader) for reader, _ in strangers))
            looks = len(server.looks) - before  # more than one where this machine is slow
            answered = sum(b"404 Not Found" in answer for answer in answers)
            assert MOST_DOUBTFUL <= answered <= looks * MOST_DOUBTFUL
            assert answers.count(b"") == len(strangers) - answered
            for _, writer in strangers:
                writer.close()

    run(test())


def test_what_the_configurations_name_by_now_is_seen_by_one_look() -> None:
    live = {TOKEN}

    async def test() -> None:
        async with running(named=live) as server:
            body = review(new=pod())
            assert (await server.post(PATH, body))[0] == 404
            live.clear()
            live.add("")
            assert (await server.post(PATH, body))[0] == 200
            other = new_token(NOW)
            assert (await server.post(f"{PATH}/{other}", body))[0] == 404
            live.clear()
            live.add(other)
            assert (await server.post(f"{PATH}/{other}", body))[0] == 200
            looks = len(server.looks)
            for path in (PATH, CLOSED, f"{PATH}/{other}"):  # some API servers hear of it later
                assert (await server.post(path, body))[0] == 200
            assert len(server.looks) == looks

    run(test())


def test_a_look_that_fails_refuses_strangers_and_nobody_else() -> None:
    async def test() -> None:
        async with running(named={TOKEN}) as server:
            body = review(new=pod())
            assert (await server.post(CLOSED, body))[0] == 200
            server.fails.append(Unanswerable("down"))
            assert (await server.post(PATH, body))[0] == 404
            assert (await server.post(CLOSED, body))[0] == 200

    run(test())


def test_a_crowd_of_strangers_takes_neither_places_nor_connections_of_the_api_server() -> None:
    limits = Limits(read_seconds=30, most_connections=100, most_in_flight=2)

    async def test() -> None:
        async with running(limits=limits, named={TOKEN}) as server:
            body = review(new=pod())
            request = (begun(len(body)) + body[1:]).replace(PATH.encode(), CLOSED.encode())
            old = [await server.connect(OTHER_POD) for _ in range(4)]
            for reader, writer in old:
                writer.write(request)
                assert (await answer_of(reader))[0] == 200
            # One connection of each of many pods: none holds more than the API server.
            crowd = []
            for number in range(200):
                crowd.append(await server.connect(f"127.0.1.{number + 1}"))
                if number % 2:
                    crowd[-1][1].write(begun(1000))
            for reader, writer in old:
                writer.write(request)
                assert (await answer_of(reader))[0] == 200
            assert (await server.post(CLOSED, body))[0] == 200
            assert server.door.arriving_bytes == 0
            for _, other in crowd + old:
                other.close()

    run(test())
