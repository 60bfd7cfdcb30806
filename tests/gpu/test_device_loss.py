"""A GPU that is really lost in the middle of a run: a kernel traps, and its context is dead.

Each in a process of its own, because no other test could use the GPU afterwards.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.gpu

PREAMBLE = """
import json, sys
from pathlib import Path
from types import SimpleNamespace
from weightlock.cli import main as program
from weightlock.engines import choice
from weightlock.engines.cpu import CpuEngine
from weightlock.engines.engine import Span
from weightlock.engines.gpu import cupy_device
from weightlock.engines.measuring import PlainFiles
from weightlock.formats.tree import TreeParameters

TRAP = SimpleNamespace(
    text='extern "C" __global__ void trap() { asm("trap;"); }',
    file="trap.cu", headers={}, options=(),
)
folder = Path(sys.argv[1])
bindings = cupy_device.Bindings()

class Breaking:
    '''A GPU engine whose device is lost when the first bytes are hashed.'''
    def __init__(self, engine):
        self.device = engine.device
        self._engine = engine
        device = cupy_device.CupyDevice(bindings, 0, None)
        target = device._target()[1:]
        self._module = cupy_device.Module(bindings, cupy_device._compiled(TRAP, target, bindings))
        self._queue = device.queue()
    def segment_roots(self, files, spans, parameters, progress):
        def advance(size):
            if self._module is not None:
                self._module.launch("trap", self._queue, 1, 1, ())
                self._module = None
            progress(size)
        return self._engine.segment_roots(files, spans, parameters, advance)

open_gpu = choice.open_gpu
"""
AUTO = """
notices = []
engine = choice.AutoEngine(CpuEngine(4), lambda: Breaking(open_gpu("any")), 1, notices.append)
files = PlainFiles([folder / "weights.bin"])
spans = [Span(0, 0, (folder / "weights.bin").stat().st_size)]
found = engine.segment_roots(files, spans, TreeParameters(), lambda _: None)
expected = CpuEngine(4).segment_roots(files, spans, TreeParameters(), lambda _: None)
print(json.dumps({"equal": found == expected, "notices": notices, "device": engine.device}))
"""
NAMED = """
choice.open_gpu = lambda *asked, **how: Breaking(open_gpu(*asked, **how))
sys.exit(program.main(["hash", str(folder), "--engine", sys.argv[2], "--json"]))
"""
PROCESS = """
from weightlock.engines.gpu.device_process import DeviceProcess
from weightlock.engines.gpu.engine import GpuEngine
from weightlock.engines.gpu.lane import GpuOptions
from weightlock.errors import EngineUnavailable
lane = DeviceProcess("tests.gpu.test_device_loss:trapping", 0, GpuOptions(readers=2))
lane.wait_until_ready()
files = PlainFiles([folder / "weights.bin"])
with GpuEngine([lane], GpuOptions().geometry) as engine:
    try:
        engine.segment_roots(files, [Span(0, 0, 1 << 20)], TreeParameters(), lambda _: None)
    except EngineUnavailable as error:
        print(json.dumps({"message": error.message}))
"""


def trapping(number: int) -> Any:
    """A device of another process that is lost with its first kernel."""
    namespace: dict[str, Any] = {}
    sys.argv[1:] = ["."]
    exec(PREAMBLE, namespace)  # noqa: S102 - this file's own text
    cupy_device = namespace["cupy_device"]
    device = cupy_device.CupyDevice(namespace["bindings"], number, None)
    code = cupy_device._compiled(namespace["TRAP"], device._target()[1:], namespace["bindings"])
    trap = cupy_device.Module(namespace["bindings"], code)
    kernels = device.kernels

    def broken(algorithm: Any) -> Any:
        trap.launch("trap", device.queue(), 1, 1, ())
        return kernels(algorithm)

    device.kernels = broken
    return device


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    with (folder / "weights.bin").open("wb") as file:
        file.truncate(768 * 1024 * 1024)
    return folder


def ran(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {root!r})\n{program}"]
    return subprocess.run(  # noqa: S603
        [*command, *arguments], capture_output=True, text=True, check=False, timeout=300
    )


def test_auto_continues_on_the_cpu_with_one_line(folder: Path) -> None:
    done = ran(PREAMBLE + AUTO, str(folder))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    told = json.loads(done.stdout)
    assert told["equal"]
    assert told["device"] == "cpu (4 threads)"
    (notice,) = told["notices"]
    assert notice.startswith("the GPU cannot be used: ")
    assert notice.endswith("; continuing on the CPU")


def test_a_named_gpu_that_is_lost_is_an_error(folder: Path) -> None:
    done = ran(PREAMBLE + NAMED, str(folder), "cuda")
    assert done.returncode == 4, done.stderr
    assert json.loads(done.stdout)["reason"] == "EngineUnavailable"
    assert "Traceback" not in done.stderr


def test_a_loss_in_the_process_of_another_gpu_is_told(folder: Path) -> None:
    done = ran(PREAMBLE + PROCESS, str(folder))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["message"].startswith("the GPU cannot be used: ")
    assert "Traceback" not in done.stderr
