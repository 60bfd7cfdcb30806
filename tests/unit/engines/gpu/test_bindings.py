"""What a driver says becomes one clear error, with what to do about it."""

from types import SimpleNamespace

import pytest

from weightlock.engines.gpu.cupy_device import Bindings, CupyDevice
from weightlock.errors import EngineUnavailable


class FakeError(Exception):
    pass


class FakeRuntime:
    """The calls that open a device."""

    CUDARuntimeError = FakeError
    is_hip = False

    def __init__(self, trouble: str = "", name: bytes = b"NVIDIA H100") -> None:
        self._trouble = trouble
        self._name = name
        self.used: list[int] = []

    def setDevice(self, number: int) -> None:  # noqa: N802 - CuPy's name
        self.used.append(number)

    def getDeviceProperties(self, _: int) -> dict[str, bytes]:  # noqa: N802 - CuPy's name
        return {"name": self._name}

    def free(self, _: int) -> None:
        if self._trouble:
            raise FakeError(self._trouble)


def bindings(runtime: FakeRuntime) -> Bindings:
    made = Bindings.__new__(Bindings)
    made.runtime, made.driver = runtime, SimpleNamespace(CUDADriverError=FakeError)
    made.is_hip = False
    return made


@pytest.mark.parametrize(
    ("trouble", "hint"),
    [
        pytest.param(
            "cudaErrorDevicesUnavailable: CUDA-capable device(s) is/are busy or unavailable",
            "has it to itself",
            id="busy, or in exclusive mode",
        ),
        pytest.param("cudaErrorMemoryAllocation: out of memory", "nvidia-smi lists", id="full"),
        pytest.param(
            "cudaErrorInsufficientDriver: CUDA driver version is insufficient",
            "update the driver",
            id="an old driver",
        ),
        pytest.param(
            "cudaErrorECCUncorrectable: uncorrectable ECC error encountered",
            "out of service",
            id="broken memory",
        ),
        pytest.param("cudaErrorLaunchFailure: unspecified", "--engine cpu", id="anything else"),
    ],
)
def test_trouble_is_named_with_what_to_do(trouble: str, hint: str) -> None:
    with pytest.raises(EngineUnavailable, match="the GPU cannot be used: cudaError") as caught:
        CupyDevice(bindings(FakeRuntime(trouble)), 0, None)
    assert trouble in caught.value.message
    assert hint in caught.value.hint


def test_a_part_of_a_gpu_is_called_as_the_driver_calls_it() -> None:
    runtime = FakeRuntime(name=b"NVIDIA H100 80GB HBM3 MIG 1g.10gb")
    assert CupyDevice(bindings(runtime), 3, None).name == "NVIDIA H100 80GB HBM3 MIG 1g.10gb"
    assert runtime.used == [3]
