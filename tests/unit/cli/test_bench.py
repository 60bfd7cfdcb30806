"""`weightlock bench` measures and checks what it measured."""

import json

import pytest

from weightlock.cli.main import main


def test_bench_prints_what_it_measured_on_the_cpu(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--engine", "cpu", "--hash", "sha256", "--size", "256", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert "sha256" in json.dumps(document)
