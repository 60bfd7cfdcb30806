"""The page that says which test proves the answer to which attack names tests that exist."""

import ast
import re
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest

from weightlock.reasons import Reason
from weightlock_webhook.guards.refusals import GuardReason

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/threat-tests.md").read_text()
NAMED = sorted(set(re.findall(r"`(\S+\.py)::(\S+)`", PAGE)))
ATTACKS = {f"A{number:02}" for number in range(1, 41)}


@cache
def names_in(path: Path) -> tuple[str, ...]:
    """Functions and methods that pytest would take for tests."""
    tree = ast.parse(path.read_text())
    return tuple(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    )


@pytest.mark.parametrize(("file", "pattern"), NAMED)
def test_a_test_that_is_named_exists(file: str, pattern: str) -> None:
    path = ROOT / file if file.startswith("e2e/") else ROOT / "tests" / file
    assert path.is_file(), f"docs/threat-tests.md names {file}, which is gone"
    assert any(fnmatchcase(test, pattern) for test in names_in(path)), f"{file} has no {pattern}"


def test_every_attack_has_its_place_and_a_test() -> None:
    entries = re.split(r"^\*\*(?=A\d\d: )", PAGE, flags=re.MULTILINE)[1:]
    assert sorted(entry[:3] for entry in entries) == sorted(ATTACKS)
    for entry in entries:
        assert re.search(r"^- `\S+\.py::\S+`$", entry, re.MULTILINE), entry[:40]


def test_what_code_and_tests_number_is_on_the_page() -> None:
    """A number that nobody can look up helps nobody."""
    files = [
        *(
            path
            for part in ("verifier", "operator", "webhook")
            for path in ROOT.glob(f"{part}/**/*.py")
        ),
        *ROOT.glob("tests/**/*.py"),
    ]
    named = {number for path in files for number in re.findall(r"\bA\d\d\b", path.read_text())}
    assert named <= ATTACKS


def test_reasons_that_are_named_exist() -> None:
    named = {
        word
        for words in re.findall(r"(?<!\*)\*([A-Z][A-Za-z, \n]+)\.\*(?!\*)", PAGE)
        for word in re.findall(r"\w+", words)
    }
    assert len(named) > 20
    assert named <= {*Reason, *GuardReason}
