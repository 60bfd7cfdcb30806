"""The other end of a supervisor: what the tool and the tests hold."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from e2e.cluster.errors import StepFailed

TAIL_LINES = 15
ROOT = Path(__file__).resolve().parents[2]
REPLY_SECONDS = 60.0


class Supervised:
    """Asks a supervisor over a connected socket."""

    def __init__(self, connection: socket.socket, logs: Path) -> None:
        connection.settimeout(REPLY_SECONDS)
        self._connection = connection
        self._replies = connection.makefile("rb")
        self._logs = logs

    def start(self, name: str, argv: Sequence[str | Path]) -> int:
        """Start a process; its pid."""
        pid: int = self._ask({"start": name, "argv": [str(word) for word in argv]})["pid"]
        return pid

    def stop(self, name: str) -> None:
        """End a process and wait until it is gone."""
        self._ask({"stop": name})

    def status(self) -> dict[str, dict[str, int | None]]:
        """Each process by name: its pid and how it ended."""
        processes: dict[str, dict[str, int | None]] = self._ask({"status": True})["processes"]
        return processes

    def expect_running(self, name: str) -> None:
        """Complain when a process has ended.

        Raises:
            StepFailed: with the log that says why.
        """
        status = self.status()[name]["exit"]
        if status is not None:
            log = self._logs / f"{name}.log"
            failure = StepFailed(f"{name} exited {status}", log)
            failure.add_note(tail(log))  # the folder may be gone by the time somebody reads this
            raise failure

    def close(self) -> None:
        """Hang up. An owned supervisor ends with it."""
        self._replies.close()
        self._connection.close()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self._connection.sendall(json.dumps(request).encode() + b"\n")
        line = self._replies.readline()
        if not line:
            raise StepFailed("the supervisor hung up", self._logs / "supervisor.log")
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise StepFailed(f"the supervisor answers: {reply['error']}")
        return reply


class Owned:
    """A supervisor of our own: all it started ends with `close` or with this process."""

    def __init__(self, folder: Path) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "e2e.cluster.supervisor",
                    "--folder",
                    str(folder),
                    "--control",
                    str(theirs.fileno()),
                ],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for the owner, who then closes us in order
            )
        self.supervised = Supervised(ours, folder)

    def close(self) -> None:
        """End everything and wait for it."""
        self.supervised.close()
        self.process.wait()


def tail(log: Path) -> str:
    """The end of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-TAIL_LINES:])
