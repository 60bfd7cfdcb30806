"""The parent of a cluster's processes.

One supervisor per cluster starts, stops and reaps them on request, one JSON object per line. It
runs in two ways: owned (`python -m e2e.cluster.supervisor`), where it ends everything and removes
the cluster's folder as soon as its owner closes the connection or dies in any way; and as the first
process of a node's namespaces (native/inside.py).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STOP_GRACE_SECONDS = 5.0
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Whatever happens to the supervisor, the kernel then ends what it started.
DIE_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL", "--")


@dataclass(slots=True)
class Process:
    """One that was started, and how it ended."""

    pid: int
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    status: int | None = None


class Supervisor:
    """Starts processes with their output in `logs`, behind a fixed command `prefix`."""

    def __init__(self, logs: Path, prefix: Sequence[str]) -> None:
        self._logs = logs
        self._prefix = tuple(prefix)
        self._processes: dict[str, Process] = {}

    async def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what one request asks."""
        match request:
            case {"start": str(name), "argv": [*argv]}:
                return {"pid": self.start(name, argv)}
            case {"stop": str(name)}:
                await self.stop(name)
                return {}
            case {"status": True}:
                return {"processes": self.status()}
        return {"error": f"unknown request {request!r}"}

    def start(self, name: str, argv: Sequence[str]) -> int:
        """Start one in a session of its own; its pid as this process sees it."""
        command = [*self._prefix, *argv]
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        pid = os.posix_spawnp(
            command[0],
            command,
            {
                "PATH": PATH,
                "HOME": "/root",
                "LANG": "C.UTF-8",
            },  # no proxy, no KUBECONFIG of the user
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self._logs / f"{name}.log"), flags, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigdef=[signal.SIGPIPE],
        )
        self._processes[name] = Process(pid)
        return pid

    async def stop(self, name: str) -> None:
        """Ask it to end, and end it when it does not."""
        process = self._processes[name]
        if process.status is not None:
            return
        os.kill(process.pid, signal.SIGTERM)
        try:
            await asyncio.wait_for(process.ended.wait(), STOP_GRACE_SECONDS)
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
            await process.ended.wait()

    def status(self) -> dict[str, dict[str, int | None]]:
        """What runs, and how the rest ended: a negative number is the signal."""
        return {
            name: {"pid": process.pid, "exit": process.status}
            for name, process in self._processes.items()
        }

    def reap(self) -> None:
        """Collect every child that has ended, adopted orphans too."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for process in self._processes.values():
                if process.pid == pid:
                    process.status = os.waitstatus_to_exitcode(status)
                    process.ended.set()

    def end_all(self) -> None:
        """End everything at once and wait for it."""
        running = [process for process in self._processes.values() if process.status is None]
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for process in running:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process.pid, 0)

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until the other side closes it."""
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                try:
                    reply = await self.answer(json.loads(line))
                except (OSError, KeyError) as error:
                    reply = {"error": f"{type(error).__name__}: {error}"}
                writer.write(json.dumps(reply).encode() + b"\n")
                await writer.drain()
        writer.close()


async def serve_owner(folder: Path, control: socket.socket) -> None:
    """Serve until the owner is gone; then leave nothing."""
    supervisor = Supervisor(folder, DIE_WITH_PARENT)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGCHLD, supervisor.reap)
    reader, writer = await asyncio.open_connection(sock=control)
    conversation = asyncio.ensure_future(supervisor.converse(reader, writer))
    loop.add_signal_handler(signal.SIGTERM, conversation.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await conversation
    loop.remove_signal_handler(signal.SIGCHLD)
    supervisor.end_all()
    shutil.rmtree(folder, ignore_errors=True)


def main(arguments: Sequence[str]) -> None:
    """Run owned: `--control` is the inherited end of the owner's socket pair."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--control", type=int, required=True)
    options = parser.parse_args(arguments)
    asyncio.run(serve_owner(options.folder, socket.socket(fileno=options.control)))


if __name__ == "__main__":
    main(sys.argv[1:])
