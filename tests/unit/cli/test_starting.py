"""A GPU that is named starts early, and its trouble is told by whoever asks for it."""

import threading
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.support import folders
from tests.support.standin import StandInDevice

from weightlock.cli import main as program
from weightlock.cli.engine import engine_of
from weightlock.cli.starting import StartingEngine, Wanted, begin, engine_named
from weightlock.engines.cpu import CpuEngine
from weightlock.engines.engine import Engine
from weightlock.engines.gpu import opening
from weightlock.engines.gpu.engine import GpuEngine
from weightlock.engines.gpu.lane import LocalLane
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

    def start(wanted: Wanted) -> Engine:
        assert asked.wait(20)
        return CpuEngine(int(wanted.name))

    starting = StartingEngine(Wanted("3"), start)
    asked.set()
    assert starting.engine().device == "cpu (3 threads)"
    assert starting.engine() is starting.engine()


def test_its_error_is_raised_where_it_is_asked_for() -> None:
    def start(wanted: Wanted) -> Engine:
        raise EngineUnavailable(f"no {wanted.name}")

    with pytest.raises(EngineUnavailable, match="no cuda"):
        StartingEngine(Wanted("cuda"), start).engine()


@pytest.mark.skipif(find_spec("cupy_backends") is not None, reason="CuPy is installed")
@pytest.mark.parametrize("direct", [False, True])
def test_it_starts_to_read_as_the_arguments_say(direct: bool) -> None:
    starting = begin(["hash", "DIR", "--engine=cuda", *["--direct"] * direct])
    assert starting is not None
    assert starting.wanted == Wanted("cuda", direct=direct)
    with pytest.raises(EngineUnavailable):
        starting.engine()


def arguments_of(engine: str, starting: StartingEngine | None, *, direct: bool) -> Namespace:
    return Namespace(engine=engine, direct=direct, starting=starting, threads=1)


def test_the_engine_that_started_is_used_if_it_reads_as_the_arguments_say() -> None:
    started = StartingEngine(Wanted("cuda", direct=True), lambda _: CpuEngine(7))
    assert engine_of(arguments_of("cuda", started, direct=True)) is started.engine()


@pytest.mark.parametrize("engine", ["cpu", "auto"])
@pytest.mark.parametrize("command", ["verify", "hash", "sign"])
def test_without_a_gpu_nothing_is_read_directly(
    command: str, engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders.write(tmp_path / "model", {"a": b"1"})
    private, public = tmp_path / "private", tmp_path / "public"
    names = ["--private-key", str(private), "--public-key", str(public)]
    assert program.main(["keygen", *names]) == 0
    key = {"verify": names[2:], "sign": names[:2], "hash": []}[command]
    folder = str(tmp_path / "model")
    assert program.main([command, folder, *key, "--engine", engine, "--direct"]) == 4
    assert f"not --engine {engine}" in capsys.readouterr().err


def test_direct_reads_are_aligned_and_told() -> None:
    chosen = opening.options_for(direct=True)
    assert chosen.geometry.is_direct
    assert not opening.options_for(direct=False).geometry.is_direct
    small = replace(chosen.geometry, batch_bytes=1 << 20, piece_bytes=1 << 20, read_bytes=4096)
    lane = LocalLane(StandInDevice(), replace(chosen, geometry=small, readers=1))
    with GpuEngine([lane], small) as engine:
        assert engine.device == "stand-in (direct reads)"


@pytest.mark.skipif(find_spec("cupy_backends") is not None, reason="CuPy is installed")
def test_a_named_gpu_that_is_absent_is_an_error_of_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders.write(tmp_path, {"a": b"1"})
    assert program.main(["hash", str(tmp_path), "--engine", "cuda"]) == 4
    assert "GPU" in capsys.readouterr().err
