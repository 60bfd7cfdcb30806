"""The chart sets no variable that the processes do not know: the operator would not start."""

import importlib
import importlib.util
from pathlib import Path

import pytest
from tests.support.charts import DEFAULTS, VALUES, pod_specs, rendered

PROCESSES = {"operator": "weightlock_operator", "webhook": "weightlock_webhook"}


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize(
    "file", [DEFAULTS, VALUES / "everything.yaml", VALUES / "development.yaml"]
)
def test_every_variable_is_a_setting(process: str, file: Path) -> None:
    package = PROCESSES[process]
    if not importlib.util.find_spec(f"{package}.settings"):
        pytest.skip(f"{package} has no settings yet")
    settings = importlib.import_module(f"{package}.settings")
    known = settings.help_text(package) if process == "operator" else settings.described()
    (container,) = pod_specs(rendered(file))[f"Deployment weightlock-{process}"]["containers"]
    for variable in container["env"]:
        if variable["name"].startswith("WEIGHTLOCK_"):
            assert f" {variable['name']}" in known, variable["name"]
