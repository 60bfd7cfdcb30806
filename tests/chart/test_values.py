"""Values that are refused, and the comments that explain the others."""

import itertools
import json
import re

import pytest
import yaml
from tests.support.charts import CHART, HELM, Json, Refused, helm_template, run

TAG = "--set=images.operator.tag=v1"
NO_DIGEST = "--set=images.operator.digest="


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(
            [NO_DIGEST], r"images\.operator\.digest: missing, expected sha256", id="no image"
        ),
        pytest.param([NO_DIGEST, TAG], "found the tag v1, expected a digest", id="a tag"),
        pytest.param(
            ["--set=images.operator.digest=v1"], r"images\.operator\.digest", id="half a digest"
        ),
        pytest.param(["--set=images.operator.repository="], "repository", id="no repository"),
        pytest.param(["--set=images.verifer.digest="], "verifer", id="a misspelt image"),
        pytest.param(["--set=webhook.replica=3"], "replica", id="a misspelt value"),
        pytest.param(["--set=webhook.replicas=0"], "replicas", id="no webhook"),
        pytest.param(["--set=webhook.replicas=three"], "replicas", id="a word for a number"),
        pytest.param(
            ["--set=webhook.terminationGracePeriodSeconds=5"], "terminationGrace", id="no grace"
        ),
        pytest.param(["--set=operator.workers=65"], "workers", id="too many workers"),
        pytest.param(["--set=tls.mode=none"], r"tls\.mode", id="no TLS"),
        pytest.param(["--set=logFormat=xml"], "logFormat", id="an unknown format"),
        pytest.param(
            ["--set-json=exemptNamespaces=[]"], "exemptNamespaces", id="kube-system governed"
        ),
        pytest.param(
            ['--set-json=exemptNamespaces=["kube-system","team-*"]'],
            "exemptNamespaces",
            id="a pattern of namespaces",
        ),
        pytest.param(["--set=forbiddenHostPaths[0]=/a/../b"], "forbiddenHostPaths", id="a parent"),
        pytest.param(["--set=forbiddenHostPaths[0]=a/b"], "forbiddenHostPaths", id="half a path"),
        pytest.param(["--set=webhook.failurePolicy=Ignore"], "failurePolicy", id="failing open"),
        pytest.param(["--set=webhook.jobManagers[0]=a\\,b"], "jobManagers", id="a comma in a list"),
        pytest.param(
            ["--set=networkPolicy.metricsFrom[0].everyone=true"], "metricsFrom", id="no peer"
        ),
        pytest.param(
            ["--set=networkPolicy.apiServerCIDRs[0]=192.0.2.10"], "apiServerCIDRs", id="no range"
        ),
        pytest.param(
            ["--set=networkPolicy.apiServerCIDRs[0]=api.example/32"], "apiServerCIDRs", id="a name"
        ),
        pytest.param(["--set=monitoring.podMonitor.interval=often"], "interval", id="no interval"),
        pytest.param(["--set=flowControl.shares=0"], "shares", id="no share"),
        pytest.param(["--set=flowControl.apiVersion=v2"], "apiVersion", id="no such version"),
        pytest.param(["--set=crds.keep=no"], "keep", id="a word for a boolean"),
        pytest.param(
            ["--set-string=commonLabels.app\\.kubernetes\\.io/name=x"],
            "commonLabels",
            id="our label",
        ),
        pytest.param(
            [
                "--set-json=webhook.extraEnv="
                '[{"name": "WEIGHTLOCK_EXEMPT_NAMESPACES", "value": "team-a"}]'
            ],
            r"webhook\.extraEnv: found WEIGHTLOCK_EXEMPT_NAMESPACES",
            id="a variable past its value",
        ),
        pytest.param(
            ['--set-json=operator.extraEnv=[{"name": "WEIGHTLOCK_WORKERS", "value": "64"}]'],
            r"operator\.extraEnv: found WEIGHTLOCK_WORKERS",
            id="the operator's too",
        ),
    ],
)
def test_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(Refused, match=message):
        helm_template(arguments=arguments)


def test_a_checkout_says_which_image_it_lacks() -> None:
    with pytest.raises(Refused, match=r"images\..*\.digest: missing"):
        run([HELM, "template", "weightlock", CHART])


def schema() -> Json:
    found: Json = json.loads((CHART / "values.schema.json").read_text())
    return found


def closed(found: Json, path: str = "") -> list[str]:
    """Objects of the schema that take anything although they name their fields."""
    open_here = (
        [path] if "properties" in found and found.get("additionalProperties") is not False else []
    )
    children = {**found.get("properties", {}), **found.get("definitions", {})}
    return open_here + [
        name for key, child in children.items() for name in closed(child, f"{path}.{key}")
    ]


def test_no_value_is_taken_that_the_schema_does_not_name() -> None:
    assert closed(schema()) == []


def test_the_schema_names_every_value_and_no_other() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(schema()["properties"]) - {"global"} == set(values)
    for section in (
        "crds",
        "operator",
        "webhook",
        "tls",
        "uninstall",
        "networkPolicy",
        "flowControl",
        "monitoring",
    ):
        assert set(schema()["properties"][section]["properties"]) == set(values[section]), section


def test_every_value_has_a_comment_above_it() -> None:
    lines = (CHART / "values.yaml").read_text().splitlines()
    for before, line in itertools.pairwise(lines):
        if re.match(r" *[A-Za-z]+:", line):
            assert before.strip().startswith("#"), line


def test_the_version_is_the_products() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = (CHART.parents[1] / "pyproject.toml").read_text()
    version = re.search(r'^version = "(.+)"$', project, re.MULTILINE)
    assert version
    assert chart["version"] == chart["appVersion"] == version[1]
