"""The processes that are measured, and those that they need, each on its processor."""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
CONFIGURATION = ROOT / "manifests" / "base" / "webhook" / "configuration.yaml"
START_SECONDS = 60
PROCESSORS = sorted(os.sched_getaffinity(0))
"""Those that this was started on: `taskset -c 0,1` makes it two."""

WEBHOOK, OTHERS = 0, 1


@dataclass
class Server:
    """A process that answers reviews."""

    process: subprocess.Popen[bytes]
    port: int
    ready_seconds: float = 0.0

    @property
    def memory_mib(self) -> float:
        """What it holds now."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        return 0.0

    @property
    def cpu_seconds(self) -> float:
        """What it has used so far, on all its threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def site(folder: Path, given: argparse.Namespace) -> Iterator[tuple[Path, int]]:
    """The API server in memory: its kubeconfig and its process."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "bench.admission.site",
            str(folder),
            str(given.checkpoints),
            str(given.policies),
            str(given.churn),
        ],
        cwd=ROOT,
        preexec_fn=lambda: pin(OTHERS),  # noqa: PLW1509 nothing else runs yet
    )
    try:
        path = folder / "kubeconfig"
        while not path.exists():
            if process.poll() is not None:
                raise SystemExit("the site did not start")
            time.sleep(0.1)
        yield path, process.pid
    finally:
        process.kill()
        process.wait()


@contextmanager
def nothing(folder: Path) -> Iterator[Server]:
    """The responder that does nothing."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.admission.nothing", str(port), str(folder)],
        cwd=ROOT,
        preexec_fn=lambda: pin(WEBHOOK),  # noqa: PLW1509 nothing else runs yet
    )
    try:
        while not (folder / "nothing.crt").exists():
            time.sleep(0.05)
        yield Server(process, port)
    finally:
        process.kill()
        process.wait()


@contextmanager
def webhook(kubeconfig: Path, module: str) -> Iterator[Server]:
    """The webhook, until it is ready."""
    port, probes = free_port(), free_port()
    environment = {
        "PATH": os.defpath,
        "WEIGHTLOCK_KUBECONFIG": str(kubeconfig),
        "WEIGHTLOCK_LISTEN": f"127.0.0.1:{port}",
        "WEIGHTLOCK_HTTP_ADDRESS": f"127.0.0.1:{probes}",
        "WEIGHTLOCK_SHIPPED": str(shipped(kubeconfig.parent, port)),
        "WEIGHTLOCK_EXTRA_NAMES": "localhost",
        "WEIGHTLOCK_DRAIN_SECONDS": "0.1",
    }
    begun = time.monotonic()
    log = (kubeconfig.parent / f"{module}.log").open("ab")
    process = subprocess.Popen(
        [sys.executable, "-m", module],
        cwd=ROOT,
        env=environment,
        stderr=log,
        preexec_fn=lambda: pin(WEBHOOK),  # noqa: PLW1509 nothing else runs yet
    )
    try:
        while not is_ready(probes):
            if process.poll() is not None or time.monotonic() - begun > START_SECONDS:
                raise SystemExit((kubeconfig.parent / f"{module}.log").read_text()[-3000:])
            time.sleep(0.02)
        yield Server(process, port, time.monotonic() - begun)
    finally:
        process.kill()
        process.wait()
        log.close()


def shipped(folder: Path, port: int) -> Path:
    """The configurations as shipped, but for where the webhook is."""
    documents = list(yaml.safe_load_all(CONFIGURATION.read_text()))
    for document in documents:
        for each in document["webhooks"]:
            path = each["clientConfig"]["service"]["path"]
            each["clientConfig"] = {"url": f"https://localhost:{port}{path}"}
    found = folder / f"shipped-{port}.yaml"
    found.write_text(yaml.safe_dump_all(documents))
    return found


def is_ready(port: int) -> bool:
    """By its own word."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
            return True
    except OSError:
        return False


def free_port() -> int:
    """One that was free a moment ago."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def pin(place: int) -> None:
    """Stay on one processor, where there are two."""
    if len(PROCESSORS) > 1:
        os.sched_setaffinity(0, {PROCESSORS[place]})


def unpin() -> None:
    """Run on all of them."""
    os.sched_setaffinity(0, PROCESSORS)
