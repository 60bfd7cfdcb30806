"""Opens the GPUs of this machine."""

import atexit
import os
from pathlib import Path
from typing import Final

from weightlock.engines.gpu.cupy_device import Bindings, CupyDevice
from weightlock.engines.gpu.engine import GpuEngine, GpuOptions, readers_for, start_reader
from weightlock.errors import EngineUnavailable
from weightlock.formats.tree import TreeParameters

CORES_FOR_A_DEVICE: Final = 12
"""Fewer cores than that cannot read as fast as one device copies: see docs/performance.md."""


def default_cache() -> Path | None:
    """Where compiled kernels are kept for this user."""
    try:
        return Path.home() / ".cache" / "weightlock" / "kernels"
    except RuntimeError:
        return None


def open_devices(platform: str, cache: Path | None, most: int | None = None) -> list[CupyDevice]:
    """As many GPUs as the cores can feed, but at most `most`.

    Raises:
        EngineUnavailable: if there is none of this platform ("cuda", "rocm" or "any").
    """
    bindings = Bindings()
    built_for = "rocm" if bindings.is_hip else "cuda"
    if platform not in {"any", built_for}:
        raise EngineUnavailable(
            f"the installed CuPy is built for {built_for}, not for {platform}",
            hint=f"pip install 'weightlock[{platform}]' in an environment without the other",
        )
    with bindings.translated():
        present: int = bindings.runtime.getDeviceCount()
    if present == 0:
        raise EngineUnavailable("there is no GPU", hint="--engine cpu does without")
    worthwhile = max(1, len(os.sched_getaffinity(0)) // CORES_FOR_A_DEVICE)
    count = min(present, most or worthwhile)
    return [CupyDevice(bindings, number, cache) for number in range(count)]


def open_engine(platform: str, options: GpuOptions | None = None) -> GpuEngine:
    """The engine on the GPUs of this machine.

    Raises:
        EngineUnavailable: if there is none, or it cannot be used now.
    """
    options = options or GpuOptions()
    # They start while the driver does, which takes longer.
    started = [start_reader(options.geometry) for _ in range(options.readers or readers_for(1))]
    try:
        devices = open_devices(platform, default_cache())
    except BaseException:
        for process in started:
            process.close()
        raise
    engine = GpuEngine(devices, options, started)
    for device in devices:
        # The first module that is loaded takes a fifth of a second, whichever it is.
        device.preload(TreeParameters().algorithm)
    atexit.register(engine.close)  # before the driver goes, and with the processes that read
    return engine


def open_device(number: int) -> CupyDevice:
    """One GPU by the number that other libraries in this process give it.

    Raises:
        EngineUnavailable: if it cannot be used.
    """
    return CupyDevice(Bindings(), number, default_cache())
