"""One version, said once, and told everywhere."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

import weightlock
from weightlock.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
MAKEFILE = ROOT / "Makefile"
WORKFLOW = (ROOT / ".github" / "workflows" / "ci.yaml").read_text()


def test_the_installed_package_has_the_declared_version() -> None:
    assert version("weightlock") == weightlock.__version__ == DECLARED


def test_the_program_tells_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code in {0, None}
    assert capsys.readouterr().out == f"{DECLARED}\n"


def test_the_chart_installs_it() -> None:
    chart = yaml.safe_load((ROOT / "charts" / "weightlock" / "Chart.yaml").read_text())
    assert chart["appVersion"] == DECLARED
    assert chart["version"] == DECLARED


def test_no_module_repeats_it() -> None:
    roots = [ROOT / name for name in ("verifier", "operator", "webhook")]
    said = re.compile(r"(?i)version\s*(?::\s*\w+)?\s*=\s*[\"']" + re.escape(DECLARED))
    modules = [path for root in roots for path in root.rglob("*.py")]
    assert [path for path in modules if said.search(path.read_text())] == []


def test_every_action_of_the_workflow_is_pinned_to_a_commit() -> None:
    used = re.findall(r"uses: (\S+)", WORKFLOW)
    assert used
    assert [each for each in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", each)] == []


def test_the_workflow_tries_three_kubernetes_minors_by_digest() -> None:
    jobs = yaml.safe_load(WORKFLOW)["jobs"]
    images = [each["image"] for each in jobs["e2e"]["strategy"]["matrix"]["include"]]
    minors = [
        int(re.fullmatch(r"kindest/node:v1\.(\d+)\.\d+@sha256:[0-9a-f]{64}", image)[1])  # type: ignore[index]
        for image in images
    ]
    assert minors == list(range(minors[0], minors[0] - 3, -1))


def test_the_workflow_runs_only_commands_that_the_makefile_has() -> None:
    targets = set()
    for path in (ROOT / "Makefile", *(ROOT / "e2e").glob("*.mk")):
        targets |= set(re.findall(r"^([a-z][\w-]*):", path.read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"run: make ([\w-]+)", WORKFLOW)) <= targets


@pytest.mark.parametrize(("minor", "code"), [(10, 1), (11, 0)])
def test_a_python_that_is_too_old_is_named_and_others_are_not(minor: int, code: int) -> None:
    (check,) = re.findall(r"^\t@\$\(PYTHON\) -c '(.*)'$", MAKEFILE.read_text(), re.MULTILINE)
    pretended = f"import sys; sys.version_info = (3, {minor}); {check}"
    done = subprocess.run(  # noqa: S603 the Makefile's own words
        [sys.executable, "-c", pretended], capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert ("Python 3.11 or later is needed" in done.stderr) == bool(code)
