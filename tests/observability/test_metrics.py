"""One truth about metrics: the table in the documentation, the simulation, and the processes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from bench.simulation.instruments import OPERATOR, WEBHOOK, Declared, Process
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase
from tests.observability.shipped import every_expression

from e2e.prometheus.shipped import ROOT
from weightlock_operator.metrics import Metrics as OperatorMetrics
from weightlock_webhook.metrics import Metrics as WebhookMetrics

DOCUMENT = (ROOT / "docs" / "observability.md").read_text()
ROW = re.compile(
    r"^\| `(weightlock_\w+)` \| (\w+) \| (\w+) \| ([\w, ]*?) ?\| [^|]+ \|$", re.MULTILINE
)

LABELS = {
    *("algorithm", "component", "decision", "device", "family", "method", "mode", "phase"),
    *("policy", "reason", "resource", "result", "state", "version"),
}
Described = tuple[str, frozenset[str]]


def documented(process: str) -> dict[str, Described]:
    return {
        name: (kind, frozenset(filter(None, labels.split(", "))))
        for name, of, kind, labels in ROW.findall(DOCUMENT)
        if of in {process, "both"}
    }


def simulated(job: str, declared: Declared) -> dict[str, Described]:
    process = Process(job, "one", declared)
    return {
        f"weightlock_{name}": (str(process.metrics[name]._type), frozenset(labels))
        for name, (_, labels) in declared.items()
    }


class Synced:
    """What a cache with one resource says of itself."""

    is_synced = True

    def staleness_seconds(self) -> dict[str, float]:
        return {"pods": 1.0}

    def counts(self) -> dict[str, int]:
        return {"pods": 1}


def declared_by(registry: CollectorRegistry) -> dict[str, Described]:
    """What a process would expose, whether or not anything has happened in it."""
    found = {}
    for collector in registry._collector_to_names:
        wrapped = isinstance(collector, MetricWrapperBase)
        for family in collector.collect():
            of: Any = collector if wrapped else family
            name = f"{family.name}_total" if family.type == "counter" else family.name
            found[name] = (family.type, frozenset(of._labelnames))
    return found


def of_operator() -> CollectorRegistry:
    return OperatorMetrics("0").registry


def of_webhook() -> CollectorRegistry:
    metrics = WebhookMetrics()
    metrics.watch_cache(Synced())
    return metrics.registry


@pytest.mark.parametrize(("process", "made"), [("operator", of_operator), ("webhook", of_webhook)])
def test_the_documentation_lists_what_the_process_has(
    process: str, made: Callable[[], CollectorRegistry]
) -> None:
    assert documented(process) == declared_by(made())


@pytest.mark.parametrize(("process", "declared"), [("operator", OPERATOR), ("webhook", WEBHOOK)])
def test_the_documentation_lists_what_the_simulation_has(process: str, declared: Declared) -> None:
    assert documented(process) == simulated(process, declared)


@pytest.mark.parametrize("process", ["operator", "webhook"])
def test_every_label_is_a_word_of_a_closed_list(process: str) -> None:
    """Or a cluster policy, of which there are few: never a checkpoint, a path, an error (D02)."""
    labels = {label for _, found in documented(process).values() for label in found}
    assert labels <= LABELS


def test_the_table_is_in_order() -> None:
    names = [name for name, *_ in ROW.findall(DOCUMENT)]
    assert names == sorted(names)


@pytest.mark.parametrize("expression", every_expression())
def test_a_query_asks_for_documented_metrics_only(expression: str) -> None:
    known = {**documented("operator"), **documented("webhook")}
    parts = {f"{name}{end}" for name, (kind, _) in known.items() for end in PARTS.get(kind, ("",))}
    assert set(re.findall(r"weightlock_\w+", expression)) <= parts


PARTS = {"histogram": ("_bucket", "_sum", "_count")}
