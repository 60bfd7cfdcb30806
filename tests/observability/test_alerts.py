"""Every alert can be acted upon, and has a test that fires it and one that does not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from e2e.prometheus.shipped import ROOT, RULES, Json, rules

DOCUMENT = ROOT / "docs" / "observability.md"
TESTS = sorted((RULES.parent / "tests").glob("*.yaml"))
ALERTS = [pytest.param(rule, id=rule["alert"]) for rule in rules()]


def cases(alert: str) -> list[Json]:
    return [
        case
        for path in TESTS
        for test in yaml.safe_load(path.read_text())["tests"]
        for case in test["alert_rule_test"]
        if case["alertname"] == alert
    ]


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_says_how_bad_it_is_and_waits_before_it_says_so(alert: Json) -> None:
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert re.fullmatch(r"[1-9]\d*[mh]", alert["for"])
    assert alert["alert"].startswith("Weightlock")


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_explains_itself_and_names_a_runbook_that_knows_it(alert: Json) -> None:
    annotations = alert["annotations"]
    assert annotations["summary"].endswith(".")
    assert annotations["description"].endswith(".")
    runbook = annotations["runbook_url"]
    assert re.fullmatch(r"docs/runbooks/[a-z-]+\.md", runbook)
    assert f"`{alert['alert']}`" in (ROOT / runbook).read_text()


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_is_tried_both_ways(alert: Json) -> None:
    outcomes = {bool(case.get("exp_alerts")) for case in cases(alert["alert"])}
    assert outcomes == {True, False}


def test_no_runbook_speaks_of_an_alert_that_is_gone() -> None:
    known = {rule["alert"] for rule in rules()}
    spoken = {
        name
        for path in (ROOT / "docs" / "runbooks").glob("*.md")
        for name in re.findall(r"`(Weightlock[A-Z]\w+)`", path.read_text())
    }
    assert spoken == known


def test_the_documentation_lists_every_alert_as_it_is() -> None:

    row = r"^\| `(\w+)` \| (\w+) \| (\w+) \| [^|]+ \| \[[a-z-]+\]\((runbooks/[a-z-]+\.md)\) \|$"
    listed = re.findall(row, DOCUMENT.read_text(), flags=re.MULTILINE)
    assert listed == [
        (
            rule["alert"],
            rule["labels"]["severity"],
            rule["for"],
            rule["annotations"]["runbook_url"].removeprefix("docs/"),
        )
        for rule in rules()
    ]


@pytest.mark.parametrize(
    "path",
    [ROOT / "docs" / "observability.md", *(ROOT / "docs" / "runbooks").glob("*.md")],
    ids=str,
)
def test_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)", path.read_text()):
        assert (path.parent / link).exists(), link
