"""One truth about metrics: the table in the documentation, the simulation, and the processes."""

from __future__ import annotations

import re

import pytest
from bench.simulation.instruments import OPERATOR, WEBHOOK, Declared, Process
from tests.observability.shipped import ROOT, every_expression

DOCUMENT = (ROOT / "docs" / "observability.md").read_text()
ROW = re.compile(
    r"^\| `(weightlock_\w+)` \| (\w+) \| (\w+) \| ([\w, ]*?) ?\| [^|]+ \|$", re.MULTILINE
)

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


@pytest.mark.parametrize(("process", "declared"), [("operator", OPERATOR), ("webhook", WEBHOOK)])
def test_the_documentation_lists_what_the_simulation_has(process: str, declared: Declared) -> None:
    assert documented(process) == simulated(process, declared)


def test_the_table_is_in_order() -> None:
    names = [name for name, *_ in ROW.findall(DOCUMENT)]
    assert names == sorted(names)


@pytest.mark.parametrize("expression", every_expression())
def test_a_query_asks_for_documented_metrics_only(expression: str) -> None:
    known = {**documented("operator"), **documented("webhook")}
    parts = {f"{name}{end}" for name, (kind, _) in known.items() for end in PARTS.get(kind, ("",))}
    assert set(re.findall(r"weightlock_\w+", expression)) <= parts


PARTS = {"histogram": ("_bucket", "_sum", "_count")}
