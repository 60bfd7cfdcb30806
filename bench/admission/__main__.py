"""`python -m bench.admission [--seconds 60] [--json FILE]`: all rows of the table, in one run."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench.admission import world
from bench.admission.load import Result, callers, paced, saturated

ROOT = Path(__file__).parents[2]
CONFIGURATION = ROOT / "manifests" / "base" / "webhook" / "configuration.yaml"
CROWD = 16
BODIES = 1_000
WEBHOOK_CORE, OTHER_CORE = 0, 1
ALLOW, DENY = b'"allowed":true', b'"allowed":false'
START_SECONDS = 60


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


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoints", type=int, default=10_000)
    parser.add_argument("--policies", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--saturated-seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--churn", type=float, default=50)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    pin(OTHER_CORE)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        rows = runner.run(measured(given))
    for name, row in rows.items():
        print(f"{name:52} " + "  ".join(f"{key} {value}" for key, value in row.items()))  # noqa: T201
    if given.json:
        given.json.write_text(json.dumps(rows, indent=2) + "\n")


Rows = dict[str, dict[str, float | int | str]]


@dataclass(frozen=True)
class Reviews:
    """Requests by kind."""

    governed: list[bytes]
    plain: list[bytes]
    writing: list[bytes]


async def measured(given: argparse.Namespace) -> Rows:
    """All rows."""
    numbers = range(0, given.checkpoints, max(1, given.checkpoints // BODIES))
    reviews = Reviews(
        requests(world.governed_pod, numbers),
        requests(world.plain_pod, numbers),
        requests(world.writing_pod, numbers),
    )
    with tempfile.TemporaryDirectory() as name, site(Path(name), given) as kubeconfig:
        return {
            **await throughput(Path(name), kubeconfig, reviews, given),
            **await whole_product(kubeconfig, reviews, given),
            **await steady(kubeconfig, "bench.admission.instant", "without", reviews, given),
        }


async def throughput(
    folder: Path, kubeconfig: Path, reviews: Reviews, given: argparse.Namespace
) -> Rows:
    """As fast as they can, by turns, so that a noisy minute is everybody's."""
    with nothing(folder) as base, webhook(kubeconfig, "bench.admission.instant") as instant:
        await warmed(base, reviews.governed, ALLOW)
        await warmed(instant, reviews.governed, ALLOW)
        await warmed(instant, reviews.writing, DENY)
        contests: dict[str, tuple[Server, Sequence[bytes], bytes]] = {
            "do-nothing responder": (base, reviews.governed, ALLOW),
            "governed, cached": (instant, reviews.governed, ALLOW),
            "governed, refused by what the pod says": (instant, reviews.writing, DENY),
            "no governed volume": (instant, reviews.plain, ALLOW),
        }
        found: dict[str, list[tuple[float, float, Result]]] = {each: [] for each in contests}
        for _ in range(given.rounds):
            for each, (server, bodies, expected) in contests.items():
                found[each].append(await contest(server, bodies, expected, given.saturated_seconds))
        return table(found)


async def whole_product(kubeconfig: Path, reviews: Reviews, given: argparse.Namespace) -> Rows:
    """The process as it is shipped, live reads included."""
    rows = await steady(kubeconfig, "weightlock_webhook", "with", reviews, given)
    with webhook(kubeconfig, "weightlock_webhook") as real:
        await warmed(real, reviews.governed, ALLOW)
        live = await contest(real, reviews.governed, ALLOW, given.saturated_seconds)
        rows["governed, with live reads, saturated"] = table({"x": [live]})["x"]
    return rows


async def steady(
    kubeconfig: Path, module: str, word: str, reviews: Reviews, given: argparse.Namespace
) -> Rows:
    """500 a second while objects change, with one relist in the middle."""
    with webhook(kubeconfig, module) as server:
        ready, memory = server.ready_seconds, server.memory_mib
        await warmed(server, reviews.governed, ALLOW)
        warm = server.memory_mib
        relist = asyncio.get_running_loop().call_later(
            given.seconds / 2, os.kill, SITE[0], signal.SIGUSR1
        )
        result = await at_rate(server, reviews.governed, ALLOW, given.seconds)
        relist.cancel()
        return {
            f"500/s, {word} live reads, churn, one relist": {
                **latencies(result),
                "ready s": round(ready, 2),
                "MiB ready": round(memory),
                "MiB before": round(warm),
                "MiB after": round(server.memory_mib),
            }
        }


async def contest(
    server: Server, bodies: Sequence[bytes], expected: bytes, seconds: float
) -> tuple[float, float, Result]:
    """Requests a second, and microseconds of processor for each."""
    crowd = await callers(server.port, trusting(), CROWD, expected)
    before = server.cpu_seconds
    result = await saturated(crowd, bodies, seconds)
    used = server.cpu_seconds - before
    for caller in crowd:
        caller.close()
    return result.per_second, used / max(1, len(result.latencies)) * 1e6, result


async def at_rate(
    server: Server, bodies: Sequence[bytes], expected: bytes, seconds: float
) -> Result:
    """500 a second."""
    crowd = await callers(server.port, trusting(), 4 * CROWD, expected)
    result = await paced(crowd, bodies, 500, seconds)
    for caller in crowd:
        caller.close()
    return result


async def warmed(server: Server, bodies: Sequence[bytes], expected: bytes) -> None:
    """Every body a few times, so that what is remembered is remembered."""
    result = (await contest(server, bodies, expected, 6))[2]
    if result.errors:
        raise SystemExit(f"{result.errors} answers were not as expected: {result.surprise!r}")


def table(found: dict[str, list[tuple[float, float, Result]]]) -> Rows:
    """The best of all rounds, and ratios to the first: noise only ever makes a round worse."""
    rates = {name: max(rate for rate, _, _ in entries) for name, entries in found.items()}
    costs = {name: min(cost for _, cost, _ in entries) for name, entries in found.items()}
    base_rate, base_cost = next(iter(rates.values())), next(iter(costs.values()))
    return {
        name: {
            "per second": round(rates[name]),
            "ratio": round(rates[name] / base_rate, 3),
            "us of CPU": round(costs[name], 1),
            "CPU ratio": round(base_cost / costs[name], 3),
            **latencies(max(entries, key=lambda entry: entry[0])[2]),
        }
        for name, entries in found.items()
    }


def latencies(result: Result) -> dict[str, float | int | str]:
    """Milliseconds."""
    return {
        "p50 ms": round(result.percentile(0.5), 2),
        "p99 ms": round(result.percentile(0.99), 2),
        "p99.9 ms": round(result.percentile(0.999), 2),
        "max ms": round(result.percentile(1), 1),
        "answers": len(result.latencies),
        "errors": result.errors,
    }


def requests(pod: Callable[[int], world.Json], numbers: range) -> list[bytes]:
    """Whole HTTP requests."""
    found = []
    for number in numbers:
        document = pod(number)
        body = json.dumps(
            {
                "apiVersion": "admission.k8s.io/v1",
                "kind": "AdmissionReview",
                "request": {
                    "uid": f"00000000-0000-0000-0000-{number:012d}",
                    "kind": {"group": "", "version": "v1", "kind": "Pod"},
                    "resource": {"group": "", "version": "v1", "resource": "pods"},
                    "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
                    "requestResource": {"group": "", "version": "v1", "resource": "pods"},
                    "namespace": document["metadata"]["namespace"],
                    "operation": "CREATE",
                    "userInfo": {
                        "username": "system:serviceaccount:kube-system:job-controller",
                        "groups": ["system:serviceaccounts", "system:authenticated"],
                    },
                    "object": document,
                    "oldObject": None,
                    "dryRun": False,
                    "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
                },
            },
            separators=(",", ":"),
        ).encode()
        head = (
            "POST /validate/pods?timeout=5s HTTP/1.1\r\n"
            "Host: weightlock-webhook.weightlock-system.svc:443\r\n"
            "User-Agent: kube-apiserver-admission\r\n"
            "Accept: application/json, */*\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        found.append(head.encode() + body)
    return found


SITE: list[int] = []


@contextmanager
def site(folder: Path, given: argparse.Namespace) -> Iterator[Path]:
    """The API server in memory."""
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
        preexec_fn=lambda: pin(OTHER_CORE),  # noqa: PLW1509 nothing else runs yet
    )
    SITE[:] = [process.pid]
    try:
        path = folder / "kubeconfig"
        while not path.exists():
            if process.poll() is not None:
                raise SystemExit("the site did not start")
            time.sleep(0.1)
        yield path
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
        preexec_fn=lambda: pin(WEBHOOK_CORE),  # noqa: PLW1509 nothing else runs yet
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
        "WEIGHTLOCK_SHIPPED": str(CONFIGURATION),
        "WEIGHTLOCK_DRAIN_SECONDS": "0.1",
    }
    begun = time.monotonic()
    log = (kubeconfig.parent / f"{module}.log").open("ab")
    process = subprocess.Popen(
        [sys.executable, "-m", module],
        cwd=ROOT,
        env=environment,
        stderr=log,
        preexec_fn=lambda: pin(WEBHOOK_CORE),  # noqa: PLW1509 nothing else runs yet
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


def is_ready(port: int) -> bool:
    """By its own word."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
            return True
    except OSError:
        return False


def trusting() -> ssl.SSLContext:
    """Real TLS to a server that needs no introduction."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def free_port() -> int:
    """One that was free a moment ago."""
    import socket  # noqa: PLC0415 here only

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def pin(core: int) -> None:
    """Stay on one processor, where there are two."""
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {core})


if __name__ == "__main__":
    main()
