"""A real Prometheus takes the rules, and every query of a panel or a rule finds data.

It scrapes the simulated cluster over loopback. What the simulation exposes is held equal to what
the processes declare by test_metrics.py.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from bench.simulation.day import DAMAGE, Day
from prometheus_client import generate_latest
from tests.observability.shipped import panel_queries

from e2e.cluster.commands import Programs as Commands
from e2e.cluster.ports import LOOPBACK
from e2e.cluster.progress import Progress
from e2e.cluster.settings import Settings
from e2e.cluster.waiting import wait_until
from e2e.prometheus.programs import Programs, prometheus_programs
from e2e.prometheus.server import Prometheus, Target, configuration, running_prometheus
from e2e.prometheus.shipped import RULES, rules, selectors

pytestmark = pytest.mark.prometheus

SCRAPES = 6
MINUTES_A_SCRAPE = 5
# Selectors of rules that find nothing in a cluster where all is well, and why that is right.
NOTHING_IN_A_HEALTHY_CLUSTER = {
    'weightlock_admission_requests_total{decision="Error"}': (
        "counts what could not be answered; the webhook has it at 0, the simulation not at all"
    ),
}


@pytest.fixture(scope="module")
def commands() -> Commands:
    return Commands(Progress(sys.stderr))


@pytest.fixture(scope="module")
def programs(commands: Commands) -> Programs:
    return prometheus_programs(Settings.from_environ(), commands, Progress(sys.stderr))


@pytest.fixture(scope="module")
def cluster() -> Iterator[ThreadingHTTPServer]:
    """The simulated cluster's processes, each under a path of its own; time passes as they are
    scraped.
    """
    day = Day(start=0)
    while day.minute < DAMAGE.start + 1:
        day.step()
    passing = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            instance = self.path.removeprefix("/")
            with passing:
                for _ in range(MINUTES_A_SCRAPE if instance == "operator-0" else 0):
                    day.step()
                (process,) = [each for each in day.processes if each.instance == instance]
                body = generate_latest(process.registry)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def prometheus(programs: Programs, cluster: ThreadingHTTPServer) -> Iterator[Prometheus]:
    targets = [
        Target(each.job, each.instance, f"{LOOPBACK}:{cluster.server_port}", f"/{each.instance}")
        for each in Day(start=0).processes
    ]
    config = configuration(targets, interval="1s", rules=[RULES])
    with running_prometheus(programs, config) as server:
        wait_until("enough is scraped", lambda: scraped(server), timeout_seconds=60)
        yield server


def scraped(server: Prometheus) -> bool:
    counts = server.query("count_over_time(up[1m])")
    return bool(counts) and all(float(each["value"][1]) >= SCRAPES for each in counts)


def numbers(series: list[dict[str, Any]]) -> list[float]:
    return [float(each["value"][1]) for each in series]


def test_promtool_accepts_the_rules(programs: Programs, commands: Commands) -> None:
    commands.read([str(programs.promtool), "check", "rules", str(RULES)])


def test_every_alert_fires_when_it_should_and_only_then(
    programs: Programs, commands: Commands
) -> None:
    cases = [str(path) for path in sorted((RULES.parent / "tests").glob("*.yaml"))]
    assert cases
    commands.read([str(programs.promtool), "test", "rules", *cases])


def test_every_target_is_scraped(prometheus: Prometheus) -> None:
    assert prometheus.healthy()


@pytest.mark.parametrize("expression", panel_queries())
def test_a_panel_has_something_to_show(prometheus: Prometheus, expression: str) -> None:
    found = numbers(prometheus.query(expression))
    assert found
    assert not all(value != value for value in found), "only NaN"  # noqa: PLR0124


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule["alert"]) for rule in rules()])
def test_a_rule_rests_on_series_that_exist(prometheus: Prometheus, rule: dict[str, Any]) -> None:
    prometheus.query(rule["expr"])  # raises if it is refused
    for selector in selectors(rule["expr"]):
        if selector not in NOTHING_IN_A_HEALTHY_CLUSTER:
            assert prometheus.query(selector), selector


def test_prometheus_evaluates_every_rule_without_an_error(prometheus: Prometheus) -> None:
    loaded = prometheus.rules()
    assert {rule["name"] for rule in loaded} == {rule["alert"] for rule in rules()}
    assert [rule["name"] for rule in loaded if rule["health"] == "err"] == []


def test_the_excuses_are_still_needed() -> None:
    used = {selector for rule in rules() for selector in selectors(rule["expr"])}
    assert set(NOTHING_IN_A_HEALTHY_CLUSTER) <= used


def test_the_damaged_checkpoints_of_the_simulation_raise_their_alarm(
    prometheus: Prometheus,
) -> None:
    alert = next(rule for rule in rules() if rule["alert"] == "WeightlockCheckpointFailed")
    assert numbers(prometheus.query(alert["expr"])) == [2], json.dumps(alert)
