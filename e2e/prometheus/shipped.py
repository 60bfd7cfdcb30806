"""What the chart ships for those who watch: dashboards and alerts, as their tools read them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "weightlock"
RULES = CHART / "alerts" / "weightlock.rules.yaml"
SELECTOR = re.compile(r"weightlock_\w+(?:\{[^}]*\})?")

Json = dict[str, Any]


def dashboards() -> dict[str, Json]:
    """Each by the name of its file."""
    paths = sorted((CHART / "dashboards").glob("*.json"))
    return {path.stem: json.loads(path.read_text()) for path in paths}


def panels(dashboard: Json) -> list[Json]:
    """Without the headings between them."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries(window: str) -> dict[str, str]:
    """Every panel's expressions by dashboard, title and letter; `window` is a rate's length."""
    return {
        f"{name}: {panel['title']} {target['refId']}": plain(target["expr"], window)
        for name, dashboard in dashboards().items()
        for panel in panels(dashboard)
        for target in panel["targets"]
    }


def rules() -> list[Json]:
    """Every alert."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def selectors(expression: str) -> list[str]:
    """The series that an expression rests on."""
    return SELECTOR.findall(expression)


def plain(expression: str, window: str) -> str:
    """The expression with a value for each of Grafana's variables."""
    return expression.replace("$__rate_interval", window)
