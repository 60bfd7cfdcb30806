"""So many reviews a second while objects change, and what becomes of latency and memory."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.admission.contests import ALLOW, CROWD, latencies, trusting, warmed
from bench.admission.load import Result, callers, paced
from bench.admission.processes import Server, webhook

CONNECTIONS = 4 * CROWD
SAMPLES = 20
"""Of the memory, over the whole run."""


class Behind(Protocol):
    """An API server with all objects in it, some of which change all the while."""

    @property
    def kubeconfig(self) -> Path:
        """How to reach it."""
        ...

    def relist(self) -> None:
        """Make the webhook list a resource anew."""
        ...

    async def addressed(self, requests: Sequence[bytes]) -> Sequence[bytes]:
        """The requests by the path that the API server is told to call."""
        ...


@dataclass(frozen=True)
class Site:
    """The one in memory."""

    kubeconfig: Path
    pid: int

    def relist(self) -> None:
        """The checkpoints'."""
        os.kill(self.pid, signal.SIGUSR1)

    async def addressed(self, requests: Sequence[bytes]) -> Sequence[bytes]:
        """It holds no configurations, so every path counts as it was shipped."""
        return requests


async def steady(
    behind: Behind,
    module: str,
    bodies: Sequence[bytes],
    given: argparse.Namespace,
    seconds: float,
) -> dict[str, float | int | str]:
    """One row, with one relist in the middle."""
    with webhook(behind.kubeconfig, module) as server:
        ready, memory = server.ready_seconds, server.memory_mib
        bodies = await behind.addressed(bodies)
        await warmed(server, bodies, ALLOW)
        seen: list[float] = []
        watching = asyncio.create_task(watched(server, seen, seconds / SAMPLES))
        relist = asyncio.get_running_loop().call_later(seconds / 2, behind.relist)
        begun = server.cpu_seconds
        result = await at_rate(server, bodies, given.rate, seconds)
        used = server.cpu_seconds - begun
        relist.cancel()
        watching.cancel()
        half = len(seen) // 2
        return {
            **latencies(result),
            "us of CPU": round(used / max(1, len(result.latencies)) * 1e6, 1),
            "ready s": round(ready, 2),
            "MiB ready": round(memory),
            "MiB most": round(max(seen)),
            "MiB in the first half": round(max(seen[:half] or [0])),
            "MiB in the second": round(max(seen[half:])),
            "MiB after": round(server.memory_mib),
        }


async def watched(server: Server, seen: list[float], seconds: float) -> None:
    """What the server holds, every so often."""
    while True:
        seen.append(server.memory_mib)
        await asyncio.sleep(seconds)


async def at_rate(
    server: Server, bodies: Sequence[bytes], per_second: float, seconds: float
) -> Result:
    """So many a second."""
    crowd = await callers(server.port, trusting(), CONNECTIONS, ALLOW)
    result = await paced(crowd, bodies, per_second, seconds)
    for caller in crowd:
        caller.close()
    return result
