"""A GPU that is named starts early, and its trouble is told by whoever asks for it."""

import threading
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.support import folders

from weightlock.cli import main as program
from weightlock.cli.starting import StartingEngine, begin, engine_named
from weightlock.engines.cpu import CpuEngine
from weightlock.engines.engine import Engine
from weightlock.errors import EngineUnavailable


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        pytest.param(["verify", "DIR"], "", id="none"),
        pytest.param(["verify", "--engine", "cuda", "DIR"], "cuda", id="two words"),
        pytest.param(["verify", "--engine=rocm", "DIR"], "rocm", id="one word"),
        pytest.param(["verify", "--engine", "cuda", "--engine=cpu"], "cpu", id="the last counts"),
        pytest.param(["verify", "--engine"], "", id="nothing follows"),
    ],
)
def test_the_engine_that_is_named_is_found(arguments: Sequence[str], named: str) -> None:
    assert engine_named(arguments) == named


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify", "DIR"],
        ["verify", "--engine=cpu"],
        ["verify", "--engine=auto"],
        ["bench", "--engine=cuda"],
        [],
    ],
)
def test_nothing_else_starts(arguments: Sequence[str]) -> None:
    assert begin(arguments) is None


def test_an_engine_starts_beside_whoever_asks_for_it_later() -> None:
    asked = threading.Event()

    def start(name: str) -> Engine:
        assert asked.wait(20)
        return CpuEngine(int(name))

    starting = StartingEngine("3", start)
    asked.set()
    assert starting.engine().device == "cpu (3 threads)"
    assert starting.engine() is starting.engine()


def test_its_error_is_raised_where_it_is_asked_for() -> None:
    def start(name: str) -> Engine:
        raise EngineUnavailable(f"no {name}")

    with pytest.raises(EngineUnavailable, match="no cuda"):
        StartingEngine("cuda", start).engine()


@pytest.mark.skipif(find_spec("cupy_backends") is not None, reason="CuPy is installed")
def test_a_named_gpu_that_is_absent_is_an_error_of_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders.write(tmp_path, {"a": b"1"})
    assert program.main(["hash", str(tmp_path), "--engine", "cuda"]) == 4
    assert "GPU" in capsys.readouterr().err
