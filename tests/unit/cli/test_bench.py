"""`weightlock bench` measures and checks what it measured."""

import json

import pytest

from weightlock.cli.bench import upload_bound
from weightlock.cli.main import main


def test_bench_prints_what_it_measured_on_the_cpu(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--engine", "cpu", "--hash", "sha256", "--size", "256", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert "sha256" in json.dumps(document)
    assert document["machine"]["cores"] >= 1
    assert document["gpus"] == 0


def test_several_gpus_are_bound_by_their_buses_together() -> None:
    assert upload_bound(1, 55.0) == ("copy from pinned host memory", 55.0)
    assert upload_bound(2, 55.0) == ("2 x copy from pinned host memory", 110.0)


def test_a_number_of_gpus_is_at_least_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "--gpus", "0"])
    assert "not a whole number above zero" in capsys.readouterr().err
