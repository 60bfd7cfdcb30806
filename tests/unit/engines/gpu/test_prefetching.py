"""Libraries are asked for before they are needed, in the order in which they are."""

from pathlib import Path

import pytest

from weightlock.engines.gpu.prefetching import STEP_BYTES, begin, libraries, prefetch


@pytest.fixture
def site(tmp_path: Path) -> Path:
    for name in (
        "cupy_backends/cuda/_softlink.abi.so",
        "cupy_backends/cuda/api/driver.abi.so",
        "cupy_backends/cuda/libs/cublas.abi.so",
        "cupy_backends/cuda/libs/nvrtc.abi.so",
        "nvidia/cu13/lib/libnvrtc-builtins.so.13.0",
        "nvidia/cu13/lib/libnvrtc.so.13",
        "nvidia/cu13/lib/libcublas.so.13",
        "lib/libcuda.so.1",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(10))
    return tmp_path


def names(site: Path, *, with_compiler: bool) -> list[str]:
    found = libraries([str(site)], [str(site / "lib"), "/nowhere"], with_compiler=with_compiler)
    return [path.name for path in found]


def test_driver_and_bindings_come_first_and_the_compiler_only_if_it_is_needed(site: Path) -> None:
    first = ["libcuda.so.1", "_softlink.abi.so", "driver.abi.so"]
    compiler = ["libnvrtc.so.13", "libnvrtc-builtins.so.13.0", "nvrtc.abi.so"]
    assert names(site, with_compiler=False) == first
    assert names(site, with_compiler=True) == first + compiler


@pytest.mark.parametrize("size", [0, 1, STEP_BYTES, 3 * STEP_BYTES + 1])
def test_all_of_a_file_is_asked_for(size: int, tmp_path: Path) -> None:
    path = tmp_path / "library"
    path.write_bytes(bytes(size))
    assert prefetch(path) == size


def test_what_is_not_there_disturbs_nobody(tmp_path: Path) -> None:
    begin(tmp_path / "absent").join(20)
    begin(None).join(20)
    with pytest.raises(FileNotFoundError):
        prefetch(tmp_path / "absent")
