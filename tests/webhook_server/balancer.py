"""What a Service does: new connections go to replicas that say they are ready."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from dataclasses import dataclass, field

from tests.webhook_server.real import Webhook

from e2e.cluster.ports import LOOPBACK, ReservedPort

PROBE_SECONDS = 0.1


@dataclass
class Balancer:
    """Passes bytes. A replica that is not ready gets no new connection, and keeps its old ones."""

    port: ReservedPort = field(default_factory=ReservedPort)
    replicas: list[Webhook] = field(default_factory=list)
    ready: list[Webhook] = field(default_factory=list)
    _next: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(started)), daemon=True)
        self._thread.start()
        started.wait(5)

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5)
        self.port.close()

    async def _run(self, started: threading.Event) -> None:
        server = await asyncio.start_server(
            self._accept, LOOPBACK, self.port.number, reuse_address=True
        )
        started.set()
        while not self._stop.is_set():
            found = []
            for replica in list(self.replicas):
                status, _ = await asyncio.to_thread(replica.probe, "/readyz")
                if status == 200:
                    found.append(replica)
            self.ready = found
            await asyncio.sleep(PROBE_SECONDS)
        server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._passed(reader, writer)
        except asyncio.CancelledError:
            pass  # the end of the test
        finally:
            writer.transport.abort()

    async def _passed(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(len(self.ready) or 1):
            if not self.ready:
                break
            self._next += 1
            replica = self.ready[self._next % len(self.ready)]
            with suppress(OSError):
                there = await asyncio.open_connection(LOOPBACK, replica.port.number)
                try:
                    await asyncio.gather(_pump(reader, there[1]), _pump(there[0], writer))
                finally:
                    there[1].transport.abort()
                return
        writer.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    with suppress(OSError):
        sink.close()
