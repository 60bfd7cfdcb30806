"""The port is open to every pod of the cluster (A06, A40)."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import resource
import secrets
import time
from collections.abc import Coroutine
from typing import Any

import pytest
import uvloop
from tests.webhook_server.listeners import NOW, Behind, Running, answer_of, running
from tests.webhook_server.requests import pod, review
from tests.webhook_server.standins import DENIED, Judge

from weightlock.errors import Unanswerable
from weightlock_webhook.arming.tokens import new_token
from weightlock_webhook.reviews.waiting import WaitingRoom
from weightlock_webhook.server.gate import PAUSE_SECONDS
from weightlock_webhook.server.limits import (
    MOST_ARRIVING_BYTES,
    MOST_BODY_BYTES,
    MOST_DOUBTFUL,
    Limits,
)

PATH = "/validate/pods"
SOON = 3.0
"""Seconds in which a hostile client must have its answer; the machine may be very busy."""


def run(test: Coroutine[Any, Any, None]) -> None:
    """On the loop that the process uses."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test)


async def still_serves(server: Running) -> None:
    status, body = await server.post(PATH, review(new=pod()))
    assert status == 200
    assert json.loads(body)["response"] == {
        "uid": "u-1",
        "allowed": True,
        "auditAnnotations": {
            "reason": "Verified",
            "outcome": "Allow",
            "policy": "ClusterModelPolicy strict",
        },
    }


@pytest.mark.parametrize(
    ("opening", "closing"),
    [pytest.param("[", "]", id="arrays"), pytest.param('{"a":', "}", id="objects")],
)
@pytest.mark.parametrize(
    "around",
    [
        pytest.param("%s", id="the document"),
        pytest.param(
            '{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":'
            '{"uid":"u","object":%s}}',
            id="the object",
        ),
        pytest.param('{"unknown":%s}', id="a field that nobody reads"),
    ],
)
def test_deep_json_is_refused_and_nothing_breaks(opening: str, closing: str, around: str) -> None:
    deep = (around % (opening * 200_000 + "1" + closing * 200_000)).encode()

    async def test() -> None:
        async with running() as server:
            started = time.monotonic()
            status, body = await server.post(PATH, deep)
            assert 400 <= status < 500
            assert b"allowed" not in body
            assert time.monotonic() - started < SOON
            await still_serves(server)

    run(test())


@pytest.mark.parametrize("depth", [900, 1100, 5_000])
def test_no_depth_of_an_object_breaks_anything(depth: int) -> None:
    whole = json.loads(review(new=pod()))
    whole["request"]["object"]["spec"]["volumes"] = "DEEP"
    deep = json.dumps(whole).replace('"DEEP"', "[" * depth + "]" * depth).encode()

    async def test() -> None:
        async with running(Behind(judge=Judge(DENIED))) as server:
            status, body = await server.post(PATH, deep)
            assert status in {200, 400}
            assert b'"allowed":true' not in body

    run(test())


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param("Content-Encoding: gzip\r\n", 415, id="gzip"),
        pytest.param("Content-Encoding: deflate\r\n", 415, id="deflate"),
        pytest.param("Content-Encoding: br\r\n", 415, id="brotli"),
    ],
)
def test_compressed_bodies_are_refused_unread(headers: str, status: int) -> None:
    async def test() -> None:
        async with running() as server:
            assert (await server.post(PATH, b"\x1f\x8b" + bytes(100), headers=headers))[0] == status
            await still_serves(server)

    run(test())


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("POST", "/", 404, id="root"),
        pytest.param("POST", "/validate", 404, id="a prefix"),
        pytest.param("POST", "/validate/pods/", 404, id="a slash more"),
        pytest.param("POST", "//validate/pods", 404, id="a slash before"),
        pytest.param("POST", "/validate/%70ods", 404, id="another spelling"),
        pytest.param("POST", "/validate/../validate/pods", 404, id="a detour"),
        pytest.param("POST", "/Validate/pods", 404, id="capitals"),
        pytest.param("GET", PATH, 405, id="GET"),
        pytest.param("PUT", PATH, 405, id="PUT"),
        pytest.param("OPTIONS", PATH, 405, id="OPTIONS"),
    ],
)
def test_any_other_door_is_closed_and_never_allows(method: str, path: str, status: int) -> None:
    async def test() -> None:
        async with running() as server:
            found, body = await server.post(path, review(new=pod()), method=method)
            assert found == status
            assert b"allowed" not in body

    run(test())


def test_a_query_is_the_api_servers_timeout_and_changes_nothing() -> None:
    async def test() -> None:
        async with running() as server:
            assert (await server.post(f"{PATH}?timeout=5s", review(new=pod())))[0] == 200

    run(test())


@pytest.mark.parametrize(
    ("head", "status"),
    [
        pytest.param(f"Content-Length: {64 << 20}\r\n", 413, id="64 MiB"),
        pytest.param(f"Content-Length: {MOST_BODY_BYTES + 1}\r\n", 413, id="a byte too much"),
        pytest.param("Transfer-Encoding: chunked\r\n", 411, id="chunked"),
        pytest.param("", 411, id="no length"),
        pytest.param("Content-Length: -1\r\n", 400, id="a negative length"),
        pytest.param("Content-Length: 5\r\nContent-Length: 6\r\n", 400, id="two lengths"),
        pytest.param(
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400, id="both kinds of length"
        ),
    ],
)
def test_what_is_too_long_or_tells_no_length_is_refused_before_it_is_sent(
    head: str, status: int
) -> None:
    async def test() -> None:
        async with running() as server:
            reader, writer = await server.connect()
            head_bytes = (
                f"POST {PATH} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n{head}\r\n"
            ).encode()
            writer.write(head_bytes)
            async with asyncio.timeout(SOON):
                found, _ = await answer_of(reader)
            assert found == status
            writer.close()
            await still_serves(server)

    run(test())


def test_64_mib_bodies_leave_no_memory_behind() -> None:
    async def test() -> None:
        async with running() as server:
            chunk = bytes(1 << 20)
            await still_serves(server)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            for _ in range(4):
                _, writer = await server.connect()
                head = f"POST {PATH} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
                writer.write(f"{head}Content-Length: {64 << 20}\r\n\r\n".encode())
                try:
                    for _ in range(64):
                        writer.write(chunk)
                        await writer.drain()
                except ConnectionError:
                    pass
                writer.close()
            after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            assert after - before < 32 << 10  # KiB
            await still_serves(server)

    run(test())


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
            for _, writer in strangers:
                writer.write(begun(1000))
            answers = await asyncio.gather(*(end(reader) for reader, _ in strangers))
            assert sum(b"404 Not Found" in answer for answer in answers) == MOST_DOUBTFUL
            assert answers.count(b"") == 2 * MOST_DOUBTFUL
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


POD, OTHER_POD = "127.0.0.2", "127.0.0.3"


def begun(length: int) -> bytes:
    """The head of a review and the first byte of its body."""
    head = f"POST {PATH} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {length}\r\n\r\n{{".encode()


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


def test_ten_thousand_uids_are_answered_and_forgotten() -> None:
    behind = Behind(judge=Judge(DENIED))

    async def burst(server: Running, count: int) -> None:
        reader, writer = await server.connect()
        head = f"POST {PATH} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
        for _ in range(count):
            uid = secrets.token_hex(18)
            body = review(new=pod(), uid=uid)
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            status, answer = await answer_of(reader)
            assert status == 200
            assert json.loads(answer)["response"]["uid"] == uid
        writer.close()

    async def test() -> None:
        async with running(behind) as server:
            await burst(server, 200)
            _forget(behind)
            before = _objects()
            await asyncio.gather(*(burst(server, 1250) for _ in range(8)))
            _forget(behind)
            assert _objects() - before < 2_000

    run(test())


async def the_end(reader: asyncio.StreamReader) -> bytes:
    """What comes before the connection ends, however it ends."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


def _forget(behind: Behind) -> None:
    # The stand-ins keep what they saw; the webhook must not.
    behind.judge.asked.clear()
    behind.records.responses.clear()


def _objects() -> int:
    gc.collect()
    return len(gc.get_objects())


@pytest.mark.parametrize(
    "uid",
    [
        pytest.param("", id="none"),
        pytest.param("u" * 129, id="long"),
        pytest.param("a\nb", id="two lines"),
        pytest.param("\x1b[31m", id="colours"),
    ],
)
def test_a_uid_that_cannot_be_echoed_is_a_bad_request(uid: str) -> None:
    async def test() -> None:
        async with running() as server:
            status, body = await server.post(PATH, review(new=pod(), uid=uid))
            assert status == 400
            assert b"allowed" not in body

    run(test())


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"{}", id="an empty object"),
        pytest.param(b"\xff\xfe{}", id="no UTF-8"),
        pytest.param(b'{"request": {"uid": 5}}', id="a number for a uid"),
    ],
)
def test_what_is_no_review_is_a_bad_request(body: bytes) -> None:
    async def test() -> None:
        async with running() as server:
            assert (await server.post(PATH, body))[0] == 400

    run(test())


def test_too_many_reviews_at_once_are_told_to_come_back() -> None:
    limits = Limits(most_in_flight=4)

    async def test() -> None:
        waiting = asyncio.Event()

        class Slow(Judge):
            async def answer(self, question: Any, deadline: float) -> Any:
                await waiting.wait()
                return await super().answer(question, deadline)

        async with running(Behind(judge=Slow()), limits) as server:
            body = review(new=pod())
            asked = [asyncio.ensure_future(server.post(PATH, body)) for _ in range(12)]
            done: set[Any] = set()
            while len(done) < 8:
                done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            waiting.set()
            statuses = sorted([(await each)[0] for each in asked])
            assert statuses == [200] * 4 + [503] * 8

    run(test())


def test_one_namespaces_pods_that_wait_stop_no_other_namespaces() -> None:
    async def test() -> None:
        waiting = asyncio.Event()

        class Slow(Judge):
            async def answer(self, question: Any, deadline: float) -> Any:
                if question.namespace == "crowd":
                    await waiting.wait()
                return await super().answer(question, deadline)

        limits = Limits(most_in_flight=64, deadline_seconds=60, read_seconds=60)
        async with running(Behind(judge=Slow(), room=WaitingRoom(48)), limits) as server:
            body = review(new=pod(), namespace="crowd")
            asked = [asyncio.ensure_future(server.post(PATH, body)) for _ in range(100)]
            done: set[Any] = set()
            while len(done) < 52:
                done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            for _ in range(20):
                await still_serves(server)
            waiting.set()
            answers = [json.loads((await each)[1])["response"] for each in asked]
            allowed = [each["allowed"] for each in answers]
            assert allowed.count(True) == 48
            sent_away = next(each for each in answers if not each["allowed"])
            assert sent_away["status"]["code"] == 503
            assert "too many requests of the namespace" in sent_away["status"]["message"]

    run(test())


def test_a_judge_that_is_late_is_a_denial() -> None:
    limits = Limits(deadline_seconds=0.1)

    async def test() -> None:
        class Late(Judge):
            async def answer(self, question: Any, deadline: float) -> Any:
                await asyncio.Event().wait()

        async with running(Behind(judge=Late()), limits) as server:
            status, body = await server.post(PATH, review(new=pod()))
            answer = json.loads(body)["response"]
            assert (status, answer["allowed"], answer["uid"]) == (200, False, "u-1")
            assert answer["status"]["code"] == 504

    run(test())


def test_a_judge_that_breaks_is_a_denial_that_tells_no_secrets() -> None:
    behind = Behind(judge=Judge(RuntimeError("the key is hunter2")))

    async def test() -> None:
        async with running(behind) as server:
            status, body = await server.post(PATH, review(new=pod()))
            answer = json.loads(body)["response"]
            assert (status, answer["allowed"]) == (200, False)
            assert b"hunter2" not in body

    run(test())
