"""CuPy's bindings of a driver that has the trouble which CUDA_VISIBLE_DEVICES names.

Put the folder that holds this package on PYTHONPATH, and a whole command meets the trouble where a
real one would: a device that is not there has a count of none, a busy one fails when its context is
made, a part of a GPU that is too small when memory is taken. Numbers and texts are the driver's.
"""

# ruff: noqa: N802, TID251 - CuPy's names; and like a driver it reads the environment

import os
from typing import NoReturn

is_hip = False
_VISIBLE = os.environ.get("CUDA_VISIBLE_DEVICES", "")


class CUDARuntimeError(RuntimeError):
    pass


def getDeviceCount() -> int:
    if _VISIBLE == "MIG-00000000-gone":
        raise CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")
    return 1


def setDevice(number: int) -> None:
    assert number == 0


def getDeviceProperties(_: int) -> dict[str, bytes]:
    return {"name": b"NVIDIA H100 80GB HBM3 MIG 1g.10gb"}


def free(_: int) -> None:
    if _VISIBLE == "GPU-00000000-busy":
        raise CUDARuntimeError(
            "cudaErrorDevicesUnavailable: CUDA-capable device(s) is/are busy or unavailable"
        )


def deviceGetAttribute(_: int, __: int) -> int:
    return 9


def runtimeGetVersion() -> int:
    return 13000


def streamCreateWithFlags(_: int) -> int:
    return 1


def eventCreateWithFlags(_: int) -> int:
    return 1


def malloc(_: int) -> NoReturn:
    raise CUDARuntimeError("cudaErrorMemoryAllocation: out of memory")
