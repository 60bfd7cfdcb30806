"""What the chart ships for those who watch: dashboards and alerts, as their tools read them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "weightlock"
RULES = CHART / "alerts" / "weightlock.rules.yaml"
DASHBOARDS = sorted((CHART / "dashboards").glob("*.json"))
SELECTOR = re.compile(r"weightlock_\w+(?:\{[^}]*\})?")

Json = dict[str, Any]


def dashboards() -> dict[str, Json]:
    return {path.stem: json.loads(path.read_text()) for path in DASHBOARDS}


def panels(dashboard: Json) -> list[Json]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def rules() -> list[Json]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def plain(expression: str) -> str:
    """The expression with a value for each of Grafana's variables."""
    return expression.replace("$__rate_interval", "10s")


def panel_queries() -> list[Any]:
    return [
        pytest.param(plain(target["expr"]), id=f"{name}: {panel['title']} {target['refId']}")
        for name, dashboard in dashboards().items()
        for panel in panels(dashboard)
        for target in panel["targets"]
    ]


def every_expression() -> list[str]:
    of_panels = [str(each.values[0]) for each in panel_queries()]
    return [*of_panels, *(rule["expr"] for rule in rules())]


def selectors(expression: str) -> list[str]:
    return SELECTOR.findall(expression)
