"""Whole commands on a machine whose GPU is not there, busy, or a part that is too small."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

DRIVER = Path(__file__).parents[2] / "support" / "driver"
WORTH_A_GPU = 512 * 1024 * 1024

TROUBLES = [
    pytest.param("MIG-00000000-gone", "no CUDA-capable device", "nvidia-smi -L", id="no such part"),
    pytest.param("GPU-00000000-busy", "busy or unavailable", "compute mode", id="busy"),
    pytest.param("MIG-00000000-small", "out of memory", "nvidia-smi lists", id="too small a part"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    with (folder / "weights.bin").open("wb") as file:
        file.truncate(WORTH_A_GPU)
    return folder


def run(folder: Path, engine: str, visible: str) -> subprocess.CompletedProcess[str]:
    home = folder.parent / "home"
    environment = {
        **os.environ,  # noqa: TID251 - for another process
        "CUDA_VISIBLE_DEVICES": visible,
        "HOME": str(home),
        "PYTHONPATH": str(DRIVER),
    }
    command = [sys.executable, "-m", "weightlock", "hash", str(folder), "--engine", engine]
    return subprocess.run(  # noqa: S603 - this program
        [*command, "--threads", "1", "--json"],
        env=environment, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip


@pytest.mark.parametrize(("visible", "message", "hint"), TROUBLES)
def test_a_gpu_that_was_named_is_an_error_with_what_to_do(
    visible: str, message: str, hint: str, folder: Path
) -> None:
    done = run(folder, "cuda", visible)
    assert done.returncode == 4
    assert message in done.stdout + done.stderr
    assert hint in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("visible", "message", "hint"), TROUBLES)
def test_auto_continues_on_the_cpu_with_one_line(
    visible: str, message: str, hint: str, folder: Path
) -> None:
    done = run(folder, "auto", visible)
    assert done.returncode == 0, done.stderr
    assert '"device": "cpu (1 thread' in done.stdout
    (line,) = done.stderr.splitlines()
    assert message in line
    assert line.endswith("continuing on the CPU")
