"""What the chart ships, as parameters of tests."""

from __future__ import annotations

from typing import Any

import pytest

from e2e.prometheus.shipped import queries, rules

WINDOW = "10s"


def panel_queries() -> list[Any]:
    return [pytest.param(query, id=name) for name, query in queries(WINDOW).items()]


def every_expression() -> list[str]:
    return [*queries(WINDOW).values(), *(rule["expr"] for rule in rules())]
