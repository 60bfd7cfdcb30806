"""Stands between the operator and an API server: counts, cuts, delays, refuses, and ends clients.

Plain HTTP to the operator, TLS to the server. Every request is written down; a `Fault` says what
happens to it. What is applied and what the operator hears of it are two things, as in a real
network: a cut "after" leaves the write in place and says nothing.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

import aiohttp
from aiohttp import web

from e2e.cluster.apiserver import ApiServer

T = TypeVar("T")
HOP_HEADERS = {"transfer-encoding", "content-length", "connection", "content-encoding"}
LARGEST_BODY = 64 * 1024 * 1024


@dataclass(frozen=True)
class Request:
    """One request, in the order of arrival."""

    number: int
    method: str
    path: str
    query: str

    @property
    def watches(self) -> bool:
        return "watch=true" in self.query

    @property
    def is_lease(self) -> bool:
        return "/leases" in self.path


class Kind(StrEnum):
    """What may happen to a request."""

    PASS = "pass"  # noqa: S105 - a word
    CUT_BEFORE = "cut before"
    CUT_AFTER = "cut after"
    DELAY = "delay"
    ANSWER = "answer"


@dataclass(frozen=True)
class Fault:
    """`ANSWER` never reaches the server; `DELAY` does, later."""

    kind: Kind = Kind.PASS
    seconds: float = 0.0
    status: int = 500
    reason: str = "InternalError"


PASS = Fault()


@dataclass
class ApiProxy:
    """`fault` is asked about each request; `after` is told when its answer is about to go back."""

    server: ApiServer
    fault: Callable[[Request], Fault] = lambda _request: PASS
    after: Callable[[Request], None] = lambda _request: None
    requests: list[Request] = field(default_factory=list)

    def __enter__(self) -> ApiProxy:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._streams: set[asyncio.Task[Any]] = set()
        self._call(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def drop_watches(self) -> None:
        """Cut every open stream."""

        async def drop() -> None:
            for task in list(self._streams):
                task.cancel()

        self._call(drop())

    def _call(self, work: Awaitable[T]) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)  # type: ignore[arg-type]
        return future.result(30)

    async def _start(self) -> None:
        tls = ssl.create_default_context(cafile=str(self.server.ca))
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls, limit=0), auto_decompress=True
        )
        app = web.Application(client_max_size=LARGEST_BODY)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = int(self._runner.addresses[0][1])

    async def _stop(self) -> None:
        for task in list(self._streams):
            task.cancel()
        await self._session.close()
        await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        seen = Request(len(self.requests), request.method, request.path, request.query_string)
        self.requests.append(seen)
        fault = self.fault(seen)
        match fault.kind:
            case Kind.CUT_BEFORE:
                return _cut(request)
            case Kind.ANSWER:
                return web.json_response(status_object(fault), status=fault.status)
            case Kind.DELAY:
                await asyncio.sleep(fault.seconds)
        if seen.watches:
            return await self._stream(request)
        answer = await self._forward(request)
        self.after(seen)
        return _cut(request) if fault.kind is Kind.CUT_AFTER else answer

    async def _forward(self, request: web.Request) -> web.Response:
        body = await request.read()
        async with self._session.request(
            request.method, self._target(request), data=body or None, headers=_headers(request)
        ) as answer:
            content = await answer.read()
            headers = {k: v for k, v in answer.headers.items() if k.lower() not in HOP_HEADERS}
            return web.Response(status=answer.status, body=content, headers=headers)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task)
        try:
            async with self._session.get(
                self._target(request),
                headers=_headers(request),
                timeout=aiohttp.ClientTimeout(total=None),
            ) as answer:
                stream = web.StreamResponse(status=answer.status)
                stream.content_type = "application/json"
                await stream.prepare(request)
                async for piece in answer.content.iter_any():
                    await stream.write(piece)
                return stream
        except (asyncio.CancelledError, ConnectionError):  # dropped by us, or by the client
            return _cut(request)
        finally:
            self._streams.discard(task)

    def _target(self, request: web.Request) -> str:
        return f"{self.server.url}{request.path_qs}"


def _headers(request: web.Request) -> dict[str, str]:
    dropped = {"host", "content-length", "transfer-encoding", "connection", "accept-encoding"}
    return {key: value for key, value in request.headers.items() if key.lower() not in dropped}


def _cut(request: web.Request) -> web.Response:
    """End the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=599)


def status_object(fault: Fault) -> dict[str, object]:
    message = json.dumps(f"the proxy says {fault.status}")
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": fault.status,
        "reason": fault.reason,
        "message": message,
    }
