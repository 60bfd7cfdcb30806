"""A real Prometheus that watches the story, and then answers what dashboards and alerts ask.

For continuous integration (`make demo CI=1`): every query must find data in what the running
processes expose, or be listed below with the reason why it finds none.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from demo.stage import NotAsTold
from e2e.cluster.api import Api
from e2e.cluster.commands import Commands
from e2e.cluster.progress import Progress
from e2e.cluster.provider import Provider
from e2e.cluster.settings import Settings
from e2e.cluster.waiting import wait_until
from e2e.install import NAMESPACE
from e2e.prometheus.programs import prometheus_programs
from e2e.prometheus.server import Prometheus, Target, configuration, running_prometheus
from e2e.prometheus.shipped import RULES, queries, rules, selectors

WINDOW = "5m"
INTERVAL = "2s"
NO_SUNSET = "no policy of the story tolerates classical signatures, so there is no sunset"
# Queries and selectors that find nothing after the story, and why that is right.
NOTHING: Mapping[str, str] = {
    "protection: Days to the next sunset A": NO_SUNSET,
    "protection: Days to sunset by policy A": NO_SUNSET,
    "weightlock_classical_sunset_timestamp_seconds": NO_SUNSET,
}
# Counters that have to be there, and to have counted nothing, and why.
ZERO: Mapping[str, str] = {
    'weightlock_admission_requests_total{decision="Allow",reason="ClassicalOnly"}': (
        "the story's policy refuses what is signed classically only"
    ),
    'weightlock_admission_requests_total{decision="Error"}': "nothing was left unanswered",
    'weightlock_verifications_total{result="Error"}': "every verification could be carried out",
}

Json = dict[str, Any]


@contextmanager
def watched(
    provider: Provider, folder: Path, progress: Progress, commands: Commands
) -> Iterator[None]:
    """Scrape the processes for the length of a `with` block, then ask everything.

    Raises:
        NotAsTold: a query finds nothing, and no reason is listed.
    """
    programs = prometheus_programs(Settings.from_environ(), commands, progress)
    targets = targets_in(Api.from_kubeconfig(provider.kubeconfig))
    config = through_the_api_server(provider.kubeconfig, targets, folder)
    with running_prometheus(programs, config) as prometheus:
        yield
        with progress.step("Asking what the dashboards and alerts ask"):
            wait_until("every process is scraped", prometheus.healthy, timeout_seconds=30)
            unanswered = sorted(silent(prometheus))
            if unanswered:
                raise NotAsTold("\n  ".join(["of the running product's metrics:", *unanswered]))
            progress.say(f"all {len(asked())} are answered, but for {len(NOTHING)} with a reason")


def silent(prometheus: Prometheus) -> Iterator[str]:
    """What finds nothing, beyond what is listed; and what is listed and finds something."""
    for rule in rules():
        prometheus.query(rule["expr"])  # raises if it is refused
    for name, expression in asked().items():
        samples = prometheus.query(expression)
        found = bool(samples)
        if name in ZERO and any(float(each["value"][1]) for each in samples):
            yield f"{name}: has counted something, though it should not: {ZERO[name]}"
        if not found and name not in NOTHING:
            yield f"{name}: {expression}"
        if found and name in NOTHING:
            yield f"{name}: finds something, though it should not: {NOTHING[name]}"


def asked() -> dict[str, str]:
    """Every panel's query, and the series that alerts rest on: alerts themselves are silent."""
    of_rules = {each: each for rule in rules() for each in selectors(rule["expr"])}
    return {**queries(WINDOW), **of_rules}


def targets_in(api: Api) -> list[Target]:
    """The pods of both processes, reached through the API server: their network is the node's."""
    host = urlsplit(api.url).netloc
    pods = api.get(f"/api/v1/namespaces/{NAMESPACE}/pods")["items"]
    return [
        Target(
            f"weightlock-{pod['metadata']['labels']['app.kubernetes.io/component']}",
            pod["metadata"]["name"],
            host,
            f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}:8080/proxy/metrics",
        )
        for pod in pods
        if pod["metadata"]["labels"].get("app.kubernetes.io/component") in {"operator", "webhook"}
    ]


def through_the_api_server(kubeconfig: Path, targets: list[Target], folder: Path) -> Json:
    """The configuration of a Prometheus that scrapes with the administrator's certificate."""
    document = yaml.safe_load(kubeconfig.read_text())
    (cluster,), (user,) = document["clusters"], document["users"]
    contents = {
        "ca_file": cluster["cluster"]["certificate-authority-data"],
        "cert_file": user["user"]["client-certificate-data"],
        "key_file": user["user"]["client-key-data"],
    }
    tls = {name: _written(folder / f"prometheus.{name}", text) for name, text in contents.items()}
    config = configuration(targets, interval=INTERVAL, rules=[RULES])
    for scrape in config["scrape_configs"]:
        scrape |= {"scheme": "https", "tls_config": tls}
    return config


def _written(path: Path, encoded: str) -> str:
    path.touch(mode=0o600)
    path.write_bytes(base64.b64decode(encoded))
    return str(path)
