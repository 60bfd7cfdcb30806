"""Reviews over TLS, as fast as they are answered or at a fixed rate whatever is answered.

At a fixed rate, latency counts from when a review was due, not from when it was sent: a server
that stops for a moment makes all those late that were due meanwhile.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

NAME = "weightlock-webhook.weightlock-system.svc"


@dataclass
class Result:
    """Latencies in seconds."""

    seconds: float
    latencies: list[float] = field(default_factory=list)
    errors: int = 0
    surprise: bytes = b""

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """In milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000


class Caller(asyncio.Protocol):
    """One connection with at most one review on its way."""

    def __init__(self, expected: bytes) -> None:
        self._expected = expected
        self._answer: asyncio.Future[bool] | None = None
        self._buffer = b""
        self.surprise = b"the connection ended"
        self._transport: asyncio.Transport | None = None
        self._is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, mark, body = self._buffer.partition(b"\r\n\r\n")
        if not mark:
            return
        at = head.lower().index(b"content-length:") + 15
        length = int(head[at:].partition(b"\r\n")[0])
        if len(body) >= length and self._answer is not None:
            self._buffer = b""
            is_good = b" 200 " in head[:20] and self._expected in body
            if not is_good:
                self.surprise = head[:40] + body[:600]
            self._answer.set_result(is_good)

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(False)

    async def ask(self, request: bytes) -> bool:
        """Whether the answer was as expected."""
        assert self._transport is not None
        if self._is_lost:
            return False
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


async def callers(port: int, context: ssl.SSLContext, count: int, expected: bytes) -> list[Caller]:
    loop = asyncio.get_running_loop()
    made = []
    for _ in range(count):
        _, caller = await loop.create_connection(
            lambda: Caller(expected), "127.0.0.1", port, ssl=context, server_hostname=NAME
        )
        made.append(caller)
    return made


async def saturated(crowd: Sequence[Caller], requests: Sequence[bytes], seconds: float) -> Result:
    """As fast as they are answered."""
    result = Result(seconds)
    end = time.perf_counter() + seconds

    async def ask(caller: Caller, number: int) -> None:
        while time.perf_counter() < end:
            number = (number + len(crowd)) % len(requests)
            begun = time.perf_counter()
            if await caller.ask(requests[number]):
                result.latencies.append(time.perf_counter() - begun)
            else:
                result.errors += 1
                result.surprise = caller.surprise

    await asyncio.gather(*(ask(caller, number) for number, caller in enumerate(crowd)))
    return result


async def once(crowd: Sequence[Caller], requests: Sequence[bytes]) -> Result:
    """Each of them."""
    result = Result(1)
    left = iter(requests)

    async def ask(caller: Caller) -> None:
        for request in left:
            if not await caller.ask(request):
                result.errors += 1
                result.surprise = caller.surprise

    await asyncio.gather(*map(ask, crowd))
    return result


async def paced(
    crowd: Sequence[Caller], requests: Sequence[bytes], per_second: float, seconds: float
) -> Result:
    """One every so often."""
    result = Result(seconds)
    due: asyncio.Queue[tuple[int, float]] = asyncio.Queue()
    begun = time.perf_counter()

    async def schedule() -> None:
        for number in range(int(per_second * seconds)):
            at = begun + number / per_second
            wait = at - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            due.put_nowait((number, at))
        for _ in crowd:
            due.put_nowait((-1, 0.0))

    async def ask(caller: Caller) -> None:
        while True:
            number, at = await due.get()
            if number < 0:
                return
            if await caller.ask(requests[number % len(requests)]):
                result.latencies.append(time.perf_counter() - at)
            else:
                result.errors += 1

    await asyncio.gather(schedule(), *(ask(caller) for caller in crowd))
    return result
