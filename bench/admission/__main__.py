"""`python -m bench.admission`: how fast, in one run; `--help` tells what else it can measure."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import ssl
import sys
import tempfile
from pathlib import Path

import uvloop

from bench.admission import world
from bench.admission.contests import Reviews, Rows, live, throughput
from bench.admission.messages import requests
from bench.admission.processes import OTHERS, PROCESSORS, pin, site
from bench.admission.steady import Site, steady

BODIES = 1_000
EVERYTHING = ("throughput", "live", "steady")


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.admission", description=__doc__)
    parser.add_argument("--checkpoints", type=int, default=10_000)
    parser.add_argument("--policies", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60, help="of a steady rate")
    parser.add_argument(
        "--minutes", type=float, default=0, help="then a steady rate for so long, for the memory"
    )
    parser.add_argument("--saturated-seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--rate", type=float, default=500, help="reviews a second, steadily")
    parser.add_argument("--churn", type=float, default=50, help="changed objects a second")
    parser.add_argument("--only", nargs="*", choices=EVERYTHING, default=EVERYTHING)
    parser.add_argument(
        "--real-apiserver",
        action="store_true",
        help="a steady rate with etcd and kube-apiserver, which e2e/cluster provides, instead",
    )
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    before = os.getloadavg()
    pin(OTHERS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        rows = runner.run(measured_for_real(given) if given.real_apiserver else measured(given))
    machine = described(before)
    for line in (*(f"{key}: {value}" for key, value in machine.items()), *lines(rows)):
        print(line)  # noqa: T201
    if given.json:
        given.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=2) + "\n")


async def measured(given: argparse.Namespace) -> Rows:
    """All rows, with the API server in memory."""
    reviews = reviews_of(given)
    rows: Rows = {}
    with tempfile.TemporaryDirectory() as name, site(Path(name), given) as (kubeconfig, pid):
        behind = Site(kubeconfig, pid)
        if "throughput" in given.only:
            rows |= await throughput(Path(name), kubeconfig, reviews, given)
        if "live" in given.only:
            rows |= await live(kubeconfig, reviews, given)
        if "steady" in given.only:
            for module, word in (("weightlock_webhook", "with"), (INSTANT, "without")):
                row = await steady(behind, module, reviews.governed, given, given.seconds)
                rows[f"{given.rate:g}/s, {word} live reads, churn, one relist"] = row
        if given.minutes:
            seconds = 60 * given.minutes
            row = await steady(behind, "weightlock_webhook", reviews.governed, given, seconds)
            rows[f"the same with live reads for {given.minutes:g} min"] = row
    return rows


async def measured_for_real(given: argparse.Namespace) -> Rows:
    """The row with the real API server."""
    from bench.admission.real import real_apiserver  # noqa: PLC0415 needs what tests need

    async with real_apiserver(given) as behind:
        seconds = 60 * given.minutes or given.seconds
        governed = reviews_of(given).governed
        row = await steady(behind, "weightlock_webhook", governed, given, seconds)
    return {f"{given.rate:g}/s, with live reads of a real API server, churn": row}


INSTANT = "bench.admission.instant"


def reviews_of(given: argparse.Namespace) -> Reviews:
    """Of a thousand different pods of each kind."""
    numbers = range(0, given.checkpoints, max(1, given.checkpoints // BODIES))
    return Reviews(
        requests(world.governed_pod, numbers),
        requests(world.plain_pod, numbers),
        requests(world.writing_pod, numbers),
    )


def described(before: tuple[float, float, float]) -> dict[str, str]:
    """Where and how this was measured."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        "unknown",
    )
    loads = (" ".join(f"{each:.2f}" for each in load) for load in (before, os.getloadavg()))
    return {
        "command": " ".join(["python -m bench.admission", *sys.argv[1:]]),
        "processor": f"{model}, {len(PROCESSORS)} of {os.cpu_count()} used",
        "load average before and after": " | ".join(loads),
        "software": f"Python {platform.python_version()}, {ssl.OPENSSL_VERSION},"
        f" Linux {platform.release()}",
    }


def lines(rows: Rows) -> list[str]:
    """The table."""
    return [
        f"{name:52} " + "  ".join(f"{key} {value}" for key, value in row.items())
        for name, row in rows.items()
    ]


if __name__ == "__main__":
    main()
