"""The folder named operator must never stand in for the standard library's module."""

import operator
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_standard_library_keeps_its_operator_module() -> None:
    assert str(operator.__file__).startswith(sysconfig.get_path("stdlib"))


def test_the_source_roots_hold_packages_only() -> None:
    for root in ("verifier", "operator", "webhook"):
        assert list((ROOT / root).glob("*.py")) == []
