"""Documents, doors and lengths that no API server sends cost nothing and allow nothing."""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import secrets
import time

import pytest
from tests.webhook_server.clients import PATH, SOON, run, still_serves
from tests.webhook_server.listeners import Behind, Running, answer_of, running
from tests.webhook_server.requests import pod, review
from tests.webhook_server.standins import DENIED, Judge

from weightlock_webhook.server.limits import (
    MOST_BODY_BYTES,
)


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
