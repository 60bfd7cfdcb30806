"""Opens the GPUs of this machine."""

import atexit
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from weightlock.engines.gpu import prefetching
from weightlock.engines.gpu.cupy_device import Bindings, CupyDevice
from weightlock.engines.gpu.device_process import DeviceProcess
from weightlock.engines.gpu.engine import GpuEngine, Lane
from weightlock.engines.gpu.lane import GpuOptions, LocalLane, readers_for, start_reader
from weightlock.engines.gpu.plan import Geometry
from weightlock.engines.gpu.shared import ReadingProcess
from weightlock.errors import EngineUnavailable
from weightlock.formats.tree import TreeParameters

CORES_FOR_A_DEVICE: Final = 12
"""Fewer cores than that cannot read as fast as one device copies: see docs/performance.md."""
DIRECT_ALIGNMENT: Final = 4096
"""No storage that is common has larger blocks; where one has, it is read through the cache."""
DEVICE_FACTORY: Final = "weightlock.engines.gpu.opening:open_prepared_device"
_LOG: Final = logging.getLogger(__name__)


def options_for(*, direct: bool) -> GpuOptions:
    """How the engine works, from the page cache or past it."""
    return GpuOptions(Geometry(alignment=DIRECT_ALIGNMENT)) if direct else GpuOptions()


def default_cache() -> Path | None:
    """Where compiled kernels are kept for this user."""
    try:
        return Path.home() / ".cache" / "weightlock" / "kernels"
    except RuntimeError:
        return None


def open_devices(platform: str, cache: Path | None, most: int | None = None) -> list[CupyDevice]:
    """As many GPUs as the cores can feed, but at most `most`, all in this process.

    Raises:
        EngineUnavailable: if there is none of this platform ("cuda", "rocm" or "any").
    """
    bindings = Bindings()
    return [CupyDevice(bindings, n, cache) for n in range(_usable(bindings, platform, most))]


def open_engine(
    platform: str, options: GpuOptions | None = None, most: int | None = None
) -> GpuEngine:
    """The engine on as many GPUs of this machine as the cores can feed, but at most `most`.

    Raises:
        EngineUnavailable: if there is none, or none can be used now.
    """
    options = options or GpuOptions()
    prefetching.begin(default_cache())
    # They start while the driver does, which takes longer.
    started = [start_reader(options.geometry) for _ in range(options.readers or readers_for(1))]
    others: list[DeviceProcess] = []
    try:
        bindings = Bindings()
        count = _usable(bindings, platform, most)
        options = replace(options, readers=options.readers or readers_for(count))
        others += [DeviceProcess(DEVICE_FACTORY, number, options) for number in range(1, count)]
    except BaseException:
        for reader in started:
            reader.close()
        for other in others:
            other.close()
        raise
    lanes = usable_lanes(lambda: _local_lane(options, started), others)
    engine = GpuEngine(lanes, options.geometry)
    atexit.register(engine.close)  # before the driver goes, and with the processes that read
    return engine


def open_device(number: int) -> CupyDevice:
    """One GPU by the number that other libraries in this process give it.

    Raises:
        EngineUnavailable: if it cannot be used.
    """
    return CupyDevice(Bindings(), number, default_cache())


def open_prepared_device(number: int) -> CupyDevice:
    """One GPU, with the kernels that a signature most likely needs.

    Raises:
        EngineUnavailable: if it cannot be used.
    """
    device = open_device(number)
    # The first module that is loaded takes a fifth of a second, whichever it is.
    device.preload(TreeParameters().algorithm)
    return device


def _usable(bindings: Bindings, platform: str, most: int | None) -> int:
    built_for = "rocm" if bindings.is_hip else "cuda"
    if platform not in {"any", built_for}:
        raise EngineUnavailable(
            f"the installed CuPy is built for {built_for}, not for {platform}",
            hint=f"pip install '.[{platform}]' in a checkout, in an environment without the other",
        )
    with bindings.translated():
        present: int = bindings.runtime.getDeviceCount()
    if present == 0:
        raise EngineUnavailable("there is no GPU", hint="--engine cpu does without")
    worthwhile = max(1, len(os.sched_getaffinity(0)) // CORES_FOR_A_DEVICE)
    return min(present, most or worthwhile)


def usable_lanes(local: Callable[[], Lane], others: Sequence[DeviceProcess]) -> list[Lane]:
    """Those that work: one GPU that is busy or broken does not keep the others from it.

    Raises:
        EngineUnavailable: if none does; what is wrong with the first.
    """
    lanes: list[Lane] = []
    failures: list[EngineUnavailable] = []
    try:
        lanes.append(local())
    except EngineUnavailable as error:
        failures.append(error)
    for other in others:
        try:
            other.wait_until_ready()
            lanes.append(other)
        except EngineUnavailable as error:
            other.close()
            failures.append(error)
    if not lanes:
        raise failures[0]
    for failure in failures:
        _LOG.warning("%s; continuing on the other GPUs", failure.message)
    return lanes


def _local_lane(options: GpuOptions, started: Sequence[ReadingProcess]) -> LocalLane:
    try:
        device = open_prepared_device(0)
    except BaseException:
        for process in started:
            process.close()
        raise
    return LocalLane(device, options, started)
