"""The operator as a process of its own, as its own account, on a real API server."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from e2e.cluster.waiting import wait_until

ROOT = Path(__file__).parents[2]
IMAGE = "registry.example/weightlock-verifier@sha256:" + "1d" * 32
START_SECONDS = 60.0


@dataclass
class RunningOperator:
    """`with RunningOperator(kubeconfig, folder):`; ends by its process id."""

    kubeconfig: Path
    folder: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    name: str = "operator"
    module: str = "weightlock_operator"
    wait_ready: bool = True

    def __enter__(self) -> RunningOperator:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def log(self) -> str:
        return self._path.read_text(errors="replace")

    @property
    def pid(self) -> int:
        return self.process.pid

    def start(self) -> None:
        self._path = self.folder / f"{self.name}.log"
        environ = {
            "PATH": os.environ["PATH"],  # noqa: TID251 - for the child
            "WEIGHTLOCK_VERIFIER_IMAGE": IMAGE,
            "WEIGHTLOCK_KUBECONFIG": str(self.kubeconfig),
            "WEIGHTLOCK_HTTP_ADDRESS": "127.0.0.1:0",
            "WEIGHTLOCK_IDENTITY": self.name,
            **self.environ,
        }
        with self._path.open("a") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own words
                [sys.executable, "-m", self.module],
                cwd=ROOT,
                env=environ,
                stderr=log,
                stdout=log,
            )
        if self.wait_ready:
            wait_until(f"{self.name} is ready", self.is_ready, timeout_seconds=START_SECONDS)

    @property
    def port(self) -> int:
        found = re.findall(r"listening on port (\d+)", self.log)
        return int(found[-1]) if found else 0

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.log
        return bool(self.port) and self.get("/readyz")[0] == 200

    def leads(self) -> bool:
        """Whether it decides: ready, and the Lease is its own."""
        # In this order: a replica that waits for the Lease is ready too.
        return "weightlock_leader 1.0" in self.get("/metrics")[1] and self.is_ready()

    def get(self, path: str) -> tuple[int, str]:
        try:
            url = f"http://127.0.0.1:{self.port}{path}"
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
