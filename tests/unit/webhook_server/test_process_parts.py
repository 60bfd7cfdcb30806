"""Settings, metrics, logs, probes, the canary and the way out."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests.webhook_server.listeners import NAME, OWN_TOKEN, Behind, answer_of, running
from tests.webhook_server.requests import pod, review
from tests.webhook_server.standins import ALLOWED, DENIED, Judge

from weightlock.errors import Malformed, Unanswerable
from weightlock.reasons import Reason
from weightlock_webhook import documents
from weightlock_webhook.cache.errors import Crowded
from weightlock_webhook.guards.refusals import GuardReason, Refusal
from weightlock_webhook.logs import (
    DecisionLog,
    JsonLines,
    Lines,
    PlainLines,
    configure,
    described,
    json_line,
    plain_line,
)
from weightlock_webhook.metrics import Metrics, resource_of
from weightlock_webhook.responses import (
    Response,
    allowed,
    denied,
    judged,
    refused,
    shortened,
    unanswerable,
)
from weightlock_webhook.server.canary import Canary, new_uid
from weightlock_webhook.server.gate import GRACE_SECONDS, Sightings
from weightlock_webhook.server.health import Health
from weightlock_webhook.server.heartbeat import Heartbeat
from weightlock_webhook.server.listening import drain, http
from weightlock_webhook.settings import Address, LogFormat, Settings, TlsMode
from weightlock_webhook.settings import described as described_settings

DIGEST = "registry.example/verifier@sha256:" + "a" * 64


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


# --- settings ---------------------------------------------------------------------------------


def test_the_defaults_are_for_a_pod_of_the_chart() -> None:
    found = Settings.from_environ({})
    assert (found.listen.port, found.http_address.port) == (8443, 8080)
    assert found.exempt_namespaces == {"kube-system", "weightlock-system"}
    assert found.operator_user == "system:serviceaccount:weightlock-system:weightlock-operator"
    assert found.tls_mode is TlsMode.SELF
    assert found.deadline_seconds < 5
    assert found.client_ca is None
    assert not found.verifier_images


def test_everything_can_be_said() -> None:
    found = Settings.from_environ(
        {
            "WEIGHTLOCK_LISTEN": "127.0.0.1:9",
            "WEIGHTLOCK_TLS_MODE": "files",
            "WEIGHTLOCK_TLS_DIR": "/x",
            "WEIGHTLOCK_CLIENT_CA": "/ca.crt",
            "WEIGHTLOCK_EXEMPT_NAMESPACES": "kube-system, other,",
            "WEIGHTLOCK_VERIFIER_IMAGE": DIGEST,
            "WEIGHTLOCK_LOG_FORMAT": "text",
            "WEIGHTLOCK_WITHOUT_POLICY": "true",
            "WEIGHTLOCK_FORBIDDEN_HOST_PATHS": "/data/kubelet, /data/containerd,",
            "WEIGHTLOCK_NAMESPACE": "",
            "OTHER": "x",
        }
    )
    assert found.listen == Address("127.0.0.1", 9)
    assert found.tls_dir == Path("/x")
    # Its own namespace is exempt whatever is said, or nobody could start it again.
    assert found.exempt_namespaces == {"kube-system", "other", "weightlock-system"}
    assert found.verifier_images == {DIGEST}
    assert found.log_format is LogFormat.TEXT
    assert found.without_policy
    assert [*map(str, found.forbidden_host_paths)] == ["/data/kubelet", "/data/containerd"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("LISTEN", "8443"),
        ("LISTEN", "host:99999"),
        ("LISTEN", "host:x"),
        ("TLS_MODE", "none"),
        ("DEADLINE_SECONDS", "0"),
        ("DEADLINE_SECONDS", "soon"),
        ("DEADLINE_SECONDS", "nan"),
        ("MOST_IN_FLIGHT", "0"),
        ("WITHOUT_POLICY", "yes"),
        ("FORBIDDEN_HOST_PATHS", "/data/../etc"),
        ("FORBIDDEN_HOST_PATHS", "data"),
        ("VERIFIER_IMAGE", "registry.example/verifier:latest"),
    ],
)
def test_what_cannot_be_meant_is_refused(name: str, text: str) -> None:
    with pytest.raises(Malformed):
        Settings.from_environ({f"WEIGHTLOCK_{name}": text})


def test_tags_are_for_test_clusters() -> None:
    tagged = {"WEIGHTLOCK_VERIFIER_IMAGE": "v:1", "WEIGHTLOCK_ALLOW_TAGS": "true"}
    assert Settings.from_environ(tagged).verifier_images == {"v:1"}


def test_help_tells_every_setting() -> None:
    text = described_settings()
    for name in Settings.__dataclass_fields__:
        assert f"WEIGHTLOCK_{name.upper()}" in text
    assert "WEIGHTLOCK_ALLOW_TAGS=false" in text


# --- responses --------------------------------------------------------------------------------


def test_a_response_says_what_policies_do() -> None:
    assert judged(ALLOWED).mode == "None"
    assert denied(DENIED).mode == "Enforce"
    assert denied(DENIED).audit["policy"] == "ClusterModelPolicy strict"
    assert refused(Refusal("R", "m")).code == 403


def test_warnings_are_single_lines() -> None:
    assert shortened(("a\nb   c", "x" * 300)) == ("a b c", "x" * 253 + "...")


def test_long_messages_are_cut() -> None:
    response = Response(False, "Deny", "R", message="x" * 9000)
    from weightlock_webhook.responses import document_of  # noqa: PLC0415

    status = document_of("u", response).status
    assert status
    assert len(status.message) == 4096


# --- metrics and logs -------------------------------------------------------------------------


def request(resource: str = "pods", **more: Any) -> documents.Request:
    return documents.request_of(review(resource, new=pod(), **more))


class Readiness:
    is_synced = True

    def staleness_seconds(self) -> dict[str, float]:
        return {"pods": 1.5}

    def counts(self) -> dict[str, int]:
        return {"pods": 3}


def test_series_are_bounded_whatever_comes() -> None:
    metrics = Metrics()
    metrics.watch_cache(Readiness())
    for number in range(200):
        metrics.count(request(f"kind{number}", group="x"), allowed(), 0.001)
    metrics.count(None, refused(Refusal("Malformed", "x")), 0.001)
    metrics.count(request("pods/exec"), allowed(), 0.001)
    text = metrics.exposition().decode()
    series = [
        line for line in text.splitlines() if line.startswith("weightlock_admission_requests_total")
    ]
    assert len([line for line in series if not line.endswith(" 0.0")]) == 3
    assert len(series) < 500
    assert 'weightlock_cache_staleness_seconds{resource="pods"} 1.5' in text
    assert 'weightlock_build_info{component="webhook"' in text
    assert resource_of(request("pods/exec")) == "pods/exec"


def labelled(decision: str, reason: str, resource: str, mode: str = "Enforce") -> str:
    labels = f'decision="{decision}",mode="{mode}",reason="{reason}",resource="{resource}"'
    return f"weightlock_admission_requests_total{{{labels}}}"


FIRST = [
    pytest.param(
        labelled("Error", "InternalError", "pods"),
        lambda metrics: metrics.count(request(), unanswerable(TimeoutError()), 0.001),
        id="an error",
    ),
    pytest.param(
        labelled("Error", "LimitExceeded", "pods"),
        lambda metrics: metrics.count(request(), unanswerable(Crowded("x")), 0.001),
        id="a crowd",
    ),
    pytest.param(
        labelled("Deny", "ContentMismatch", "pods/binding"),
        lambda metrics: metrics.count(
            request("pods/binding"), refused(Refusal(Reason.CONTENT_MISMATCH, "x")), 0.001
        ),
        id="a refusal",
    ),
    pytest.param(
        labelled("Deny", "ProtectedObject", "pods/exec"),
        lambda metrics: metrics.count(
            request("pods/exec"), refused(Refusal(GuardReason.PROTECTED_OBJECT, "x")), 0.001
        ),
        id="a guard's refusal",
    ),
    pytest.param(
        'weightlock_admission_duration_seconds_count{resource="pods"}',
        lambda metrics: metrics.count(request(), allowed(), 0.001),
        id="a duration",
    ),
    pytest.param(
        'weightlock_live_reads_total{resource="persistentvolumes",result="missing"}',
        lambda metrics: metrics.live_read("persistentvolumes", "missing"),
        id="a live read",
    ),
    pytest.param(
        "weightlock_certificate_reload_failures_total",
        lambda metrics: metrics.certificate_refused(),
        id="a certificate",
    ),
]


@pytest.mark.parametrize(("series", "happens"), FIRST)
def test_what_happens_first_is_an_increase_that_an_alert_sees(
    series: str, happens: Callable[[Metrics], object]
) -> None:
    metrics = Metrics()
    assert f"{series} 0.0" in metrics.exposition().decode()
    happens(metrics)
    assert f"{series} 1.0" in metrics.exposition().decode()


GOOD = {Reason.VERIFIED, Reason.NOT_GOVERNED}


def test_every_word_of_every_guard_is_there_from_the_start() -> None:
    text = Metrics().exposition().decode()
    assert all(f'reason="{reason}"' in text for reason in (*GuardReason, *set(Reason) - GOOD))
    assert not any(f'"Deny",mode="Enforce",reason="{reason}"' in text for reason in GOOD)


def test_open_paths_are_told_for_as_long_as_they_are_answered() -> None:
    now = 0.0
    sightings = Sightings(lambda: now)
    metrics = Metrics()
    metrics.paths_open.set_function(lambda: sightings.are_open)

    def shown() -> bool:
        return "weightlock_admission_paths_open 1.0" in metrics.exposition().decode()

    assert not shown(), "nothing was looked at, and nobody is answered"
    sightings.saw(["some-token"])
    assert not shown()
    sightings.saw(["", "some-token"])
    assert shown(), "one configuration is enough"
    sightings.saw(["some-token"])
    assert shown()
    now = GRACE_SECONDS
    assert not shown()


def test_a_decision_is_one_line_of_json_that_no_name_can_break() -> None:
    written: list[bytes] = []

    async def test() -> None:
        lines = Lines(written.append)
        recorder = DecisionLog(Metrics(), lines, json_line, "canary")
        evil = request(name='x"\n\x1b[31m\u202e' + "y" * 900, user="Zoë")
        recorder.record(evil, denied(DENIED), 0.25)
        recorder.record(request(), allowed(), 0.1)
        recorder.record(None, refused(Refusal("Malformed", "x")), 0.1)
        assert not written
        lines.flush()
        lines.flush()

    run(test())
    (batch,) = written
    lines = batch.splitlines()
    assert len(lines) == 2  # what nobody minds is counted, not written
    assert batch.isascii()
    first = json.loads(lines[0])["admission"]
    assert first["reason"] == "NotVerified"
    assert first["policy"] == "ClusterModelPolicy strict"
    assert len(first["name"]) == 512
    assert first["seconds"] == 0.25


def test_lines_are_written_soon_by_themselves() -> None:
    written: list[bytes] = []

    async def test() -> None:
        lines = Lines(written.append, 0.0)
        recorder = DecisionLog(Metrics(), lines, plain_line, "canary")
        recorder.record(None, refused(Refusal("Malformed", "x")), 0.1)
        while not written:
            await asyncio.sleep(0)

    run(test())
    assert b'"reason":"Malformed"' in written[0]


def test_warnings_are_written_too() -> None:
    response = Response(True, "Allow", "R", warnings=("w" * 600,))
    assert len(described(None, response, 0.1)["warnings"][0]) == 512  # type: ignore[index]
    plain = logging.LogRecord("n", logging.INFO, "f", 1, "x %s", ("y",), None)
    assert PlainLines().format(plain).endswith("x y")


def test_exceptions_are_written_in_json() -> None:
    try:
        raise ValueError("boom")
    except ValueError as error:
        info = (ValueError, error, error.__traceback__)
    record = logging.LogRecord("n", logging.ERROR, "f", 1, "failed", None, info)
    assert "boom" in json.loads(JsonLines().format(record))["exception"]


def test_logging_is_configured_once() -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        configure(JsonLines())
        configure(PlainLines())
        assert len(root.handlers) == 1
    finally:
        root.handlers[:], root.level = before, level


# --- probes -----------------------------------------------------------------------------------


async def got(port: int, path: str, method: str = "GET") -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    try:
        return await answer_of(reader)
    finally:
        writer.close()


def test_probes_are_told_why() -> None:
    troubles = ["not synced", "no certificate"]

    async def test() -> None:
        health = Health(lambda: troubles, tuple, lambda: b"metric 1\n")
        async with http(Address("127.0.0.1", 0), health) as listener:
            assert await got(listener.port, "/readyz") == (503, b"not synced\nno certificate\n")
            assert (await got(listener.port, "/healthz"))[0] == 200
            assert await got(listener.port, "/metrics") == (200, b"metric 1\n")
            assert (await got(listener.port, "/debug"))[0] == 404
            assert (await got(listener.port, "/readyz", "POST"))[0] == 405
            troubles.clear()
            assert (await got(listener.port, "/readyz"))[0] == 200

    run(test())


def test_a_heart_that_stops_is_noticed() -> None:
    heartbeat = Heartbeat()
    assert heartbeat.troubles() == ()
    heartbeat._latest = 11.0
    assert "blocked" in heartbeat.troubles()[0]


# --- the canary -------------------------------------------------------------------------------


def canary(port: int, context: ssl.SSLContext) -> Canary:
    return Canary(port, NAME, context, new_uid(), OWN_TOKEN)


def malformed() -> Behind:
    return Behind(judge=Judge(Malformed("two volumes of the pod have the same name")))


def test_a_canary_that_is_refused_for_the_right_reason_sings() -> None:
    async def test() -> None:
        async with running(malformed()) as server:
            await canary(server.port, server.client()).sing()

    run(test())


@pytest.mark.parametrize(
    "behind",
    [
        pytest.param(Behind(judge=Judge(ALLOWED)), id="allowed"),
        pytest.param(Behind(judge=Judge(DENIED)), id="refused for another reason"),
        pytest.param(Behind(judge=Judge(Unanswerable("down"))), id="not answered"),
    ],
)
def test_any_other_answer_is_no_readiness(behind: Behind) -> None:
    async def test() -> None:
        async with running(behind) as server:
            with pytest.raises(Unanswerable):
                await canary(server.port, server.client()).sing()

    run(test())


def test_it_is_neither_counted_nor_logged_and_everybody_else_is() -> None:
    written: list[bytes] = []
    metrics = Metrics()

    async def test() -> None:
        lines, uid = Lines(written.append), new_uid()
        behind = malformed()
        behind.recorder = DecisionLog(metrics, lines, json_line, uid)
        async with running(behind) as server:
            await Canary(server.port, NAME, server.client(), uid, OWN_TOKEN).sing()
            lines.flush()
            assert not written
            assert set(
                re.findall('decision="Deny".*(\\d+[.]0)', metrics.exposition().decode())
            ) == {"0.0"}
            # The same review by somebody who does not know the uid.
            await canary(server.port, server.client()).sing()
            lines.flush()

    run(test())
    assert b"Malformed" in written[0]
    assert (
        'weightlock_admission_requests_total{decision="Deny",mode="Enforce",reason="Malformed",'
        'resource="pods"} 1.0'
    ) in metrics.exposition().decode()


def test_a_canary_is_a_uid_that_nobody_can_guess() -> None:
    assert new_uid() != new_uid()
    assert documents.is_uid(new_uid())


def test_nor_is_none_or_a_stranger() -> None:
    async def test() -> None:
        async with running(malformed()) as server, running() as stranger:
            with pytest.raises(Unanswerable):
                await canary(server.port, stranger.client()).sing()
            context = server.client()
            port = server.port
        with pytest.raises(Unanswerable):
            await canary(port, context).sing()

    run(test())


def test_another_server_on_the_port_is_none_either() -> None:
    async def answer(_: web.BaseRequest) -> web.Response:
        return web.Response(status=404)

    async def test() -> None:
        async with running() as server:
            loop = asyncio.get_running_loop()
            other = await loop.create_server(web.Server(answer), "127.0.0.1", 0, ssl=server.context)
            with pytest.raises(Unanswerable, match="404"):
                await canary(other.sockets[0].getsockname()[1], server.client()).sing()
            other.close()

    run(test())


# --- the way out ------------------------------------------------------------------------------


def test_while_draining_everybody_is_served_and_asked_to_leave() -> None:
    async def test() -> None:
        async with running() as server:
            body = review(new=pod())
            head = "POST /validate/pods HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
            request_bytes = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
            old_reader, old_writer = await server.connect()
            old_writer.write(request_bytes)
            assert (await answer_of(old_reader))[0] == 200
            draining = asyncio.ensure_future(drain(server.door, 0.3))
            await asyncio.sleep(0)
            assert server.door.is_draining
            old_writer.write(request_bytes)
            answer = await old_reader.read()
            assert b"200 OK" in answer
            assert b"connection: close" in answer.lower()
            new_reader, new_writer = await server.connect()
            new_writer.write(request_bytes)
            assert (await answer_of(new_reader))[0] == 200
            await draining
            for writer in (old_writer, new_writer):
                writer.close()

    run(test())


def test_what_is_being_answered_is_finished() -> None:
    class Slow(Judge):
        begun = asyncio.Event()

        async def answer(self, question: Any, deadline: float) -> Any:
            Slow.begun.set()
            loop = asyncio.get_running_loop()
            waiter = loop.create_future()
            loop.call_later(0.3, waiter.set_result, None)
            await waiter
            return DENIED

    async def test() -> None:
        Slow.begun = asyncio.Event()
        async with running(Behind(judge=Slow())) as server:
            port, context = server.port, server.client()
            asked = asyncio.ensure_future(server.post("/validate/pods", review(new=pod())))
            await Slow.begun.wait()
            await server.listener.close()
            status, body = await asked
            assert (status, json.loads(body)["response"]["allowed"]) == (200, False)
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port, ssl=context)

    run(test())
