"""The dashboards are complete, equal to their source, and name no single object."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from bench.dashboards.__main__ import DASHBOARDS, FOLDER, text
from tests.observability.shipped import every_expression

from e2e.prometheus.shipped import Json, dashboards, panels

ROOT = Path(__file__).resolve().parents[2]
EVERY = dashboards()
PANELS = [
    pytest.param(panel, id=f"{name}: {panel['title']}")
    for name, dashboard in EVERY.items()
    for panel in panels(dashboard)
]
# In these, only names of dashboards and panels are emphasised.
GUIDES = sorted(
    path for folder in ("runbooks", "guides") for path in (ROOT / "docs" / folder).glob("*.md")
)
# Bounded by the cluster's administrator or by the number of our own replicas; the rest are enums.
LABELS = {
    *(
        "algorithm",
        "component",
        "decision",
        "device",
        "family",
        "mode",
        "phase",
        "reason",
        "result",
    ),
    *("resource", "state", "version", "le", "policy", "job", "instance"),
}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_the_shipped_file_is_what_its_source_says(name: str) -> None:
    assert (FOLDER / name).read_text() == text(DASHBOARDS[name]), "run python -m bench.dashboards"


def test_nothing_else_is_shipped_as_a_dashboard() -> None:
    assert {f"{name}.json" for name in EVERY} == set(DASHBOARDS)


def test_links_survive_an_upgrade() -> None:
    assert {name: each["uid"] for name, each in EVERY.items()} == {
        "admission": "weightlock-admission",
        "protection": "weightlock-protection",
        "verification": "weightlock-verification",
    }


@pytest.mark.parametrize("name", EVERY)
def test_a_dashboard_asks_which_data_source(name: str) -> None:
    (variable,) = EVERY[name]["templating"]["list"]
    assert (variable["name"], variable["type"], variable["query"]) == (
        "datasource",
        "datasource",
        "prometheus",
    )


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_says_what_it_shows(panel: Json) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    assert panel["description"].endswith(".")
    assert defaults["unit"]
    assert defaults["thresholds"]["steps"][0]["value"] is None
    assert panel["targets"]


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_and_its_queries_use_the_chosen_data_source(panel: Json) -> None:
    for each in (panel, *panel["targets"]):
        assert each["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@pytest.mark.parametrize("name", EVERY)
def test_panels_lie_side_by_side_and_number_themselves(name: str) -> None:
    found = EVERY[name]["panels"]
    assert len({panel["id"] for panel in found}) == len(found)
    taken: set[tuple[int, int]] = set()
    for place in (panel["gridPos"] for panel in found):
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len(taken) == 24 * max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in found)


@pytest.mark.parametrize("expression", every_expression())
def test_a_query_names_bounded_labels_only(expression: str) -> None:
    grouped = re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", expression)
    filtered = re.findall(
        r"(\w+)\s*(?:=~|!~|!=|=(?!=))", " ".join(re.findall(r"{[^}]*}", expression))
    )
    names = {name.strip() for group in grouped for name in group.split(",") if name.strip()}
    assert names | set(filtered) <= LABELS


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_people_are_sent_to_dashboards_and_panels_that_exist(path: Path) -> None:
    titles = {param.values[0]["title"] for param in PANELS} | {  # type: ignore[index]
        dashboard["title"].removeprefix("Weightlock / ") for dashboard in EVERY.values()
    }
    emphasised = re.findall(r"(?<!\*)\*([^*\s][^*\n]*)\*(?!\*)", path.read_text())
    assert set(emphasised) <= titles
