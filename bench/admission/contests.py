"""As fast as they can, by turns, so that a noisy minute is everybody's."""

from __future__ import annotations

import argparse
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.admission.load import Result, callers, once, saturated
from bench.admission.processes import Server, nothing, webhook

CROWD = 16
ALLOW, DENY = b'"allowed":true', b'"allowed":false'

Rows = dict[str, dict[str, float | int | str]]


@dataclass(frozen=True)
class Reviews:
    """Requests by kind."""

    governed: list[bytes]
    plain: list[bytes]
    writing: list[bytes]


async def throughput(
    folder: Path, kubeconfig: Path, reviews: Reviews, given: argparse.Namespace
) -> Rows:
    """What is answered from memory."""
    with nothing(folder) as base, webhook(kubeconfig, "bench.admission.instant") as instant:
        contests: dict[str, tuple[Server, Sequence[bytes], bytes]] = {
            "do-nothing responder": (base, reviews.governed, ALLOW),
            "governed, cached": (instant, reviews.governed, ALLOW),
            "governed, refused by what the pod says": (instant, reviews.writing, DENY),
            "no governed volume": (instant, reviews.plain, ALLOW),
        }
        return await by_turns(contests, given)


async def live(kubeconfig: Path, reviews: Reviews, given: argparse.Namespace) -> Rows:
    """The process as it is shipped."""
    with webhook(kubeconfig, "weightlock_webhook") as real:
        contests = {"governed, with live reads, saturated": (real, reviews.governed, ALLOW)}
        return await by_turns(contests, given)


async def by_turns(
    contests: Mapping[str, tuple[Server, Sequence[bytes], bytes]], given: argparse.Namespace
) -> Rows:
    """Everybody once in every round, after everybody is warm."""
    for server, bodies, expected in contests.values():
        await warmed(server, bodies, expected)
    found: dict[str, list[Contest]] = {each: [] for each in contests}
    for _ in range(given.rounds):
        for each, (server, bodies, expected) in contests.items():
            found[each].append(await contest(server, bodies, expected, given.saturated_seconds))
    return table(found)


@dataclass(frozen=True)
class Contest:
    """One turn: reviews a second, and microseconds of processor for each."""

    rate: float
    cost: float
    result: Result


async def contest(
    server: Server, bodies: Sequence[bytes], expected: bytes, seconds: float
) -> Contest:
    """One turn."""
    crowd = await callers(server.port, trusting(), CROWD, expected)
    before = server.cpu_seconds
    result = await saturated(crowd, bodies, seconds)
    used = server.cpu_seconds - before
    for caller in crowd:
        caller.close()
    return Contest(result.per_second, used / max(1, len(result.latencies)) * 1e6, result)


async def warmed(server: Server, bodies: Sequence[bytes], expected: bytes) -> None:
    """Every body twice, so that what is remembered is remembered."""
    crowd = await callers(server.port, trusting(), CROWD, expected)
    result = await once(crowd, [*bodies, *bodies])
    for caller in crowd:
        caller.close()
    if result.errors:
        raise SystemExit(f"{result.errors} answers were not as expected: {result.surprise!r}")


def table(found: dict[str, list[Contest]]) -> Rows:
    """The best of all rounds, and ratios to the first: noise only ever makes a round worse."""
    rates = {name: max(each.rate for each in entries) for name, entries in found.items()}
    costs = {name: min(each.cost for each in entries) for name, entries in found.items()}
    base_rate, base_cost = next(iter(rates.values())), next(iter(costs.values()))
    return {
        name: {
            "per second": round(rates[name]),
            "ratio": round(rates[name] / base_rate, 3),
            "us of CPU": round(costs[name], 1),
            "CPU ratio": round(base_cost / costs[name], 3),
            **latencies(max(entries, key=lambda entry: entry.rate).result),
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


def trusting() -> ssl.SSLContext:
    """Real TLS to a server that needs no introduction."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
