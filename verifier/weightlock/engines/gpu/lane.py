"""One device at work in this process: its memory, its reading processes, and its runs."""

import os
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random, SystemRandom
from typing import Final

from weightlock.engines.engine import Files, Progress
from weightlock.engines.gpu.computation import Computation, Parameters, TreeComputation
from weightlock.engines.gpu.device import Device
from weightlock.engines.gpu.lattice import LatticeComputation
from weightlock.engines.gpu.pipeline import Job, Pipeline, Record
from weightlock.engines.gpu.plan import Geometry, Piece
from weightlock.engines.gpu.readers import BUFFERS
from weightlock.engines.gpu.recheck import Recheck
from weightlock.engines.gpu.shared import ReadingProcess
from weightlock.engines.gpu.slots import Pool, results_bytes
from weightlock.errors import EngineUnavailable
from weightlock.formats.tree import TreeParameters

MAX_READERS: Final = 14
"""For each of one or two devices: more reading processes only compete for the caches."""
ENOUGH_READERS: Final = 7
"""They read what one bus carries. From three devices on more only compete for the memory."""
FEW_DEVICES: Final = 2


@dataclass(frozen=True, slots=True)
class GpuOptions:
    """How the engine works; nothing here can change an answer."""

    geometry: Geometry = field(default_factory=Geometry)
    recheck: Recheck = field(default_factory=Recheck)
    readers: int | None = None
    """Reading processes for each device; None chooses by the cores."""
    random: Random = field(default_factory=SystemRandom)
    """Chooses the leaves that are checked again; unpredictable unless a test says otherwise."""


class Stopped(Exception):
    """What ends a run because something else failed; never what is told."""


class LocalLane:
    """Implements Lane on a device of this process. Close it to give the memory back."""

    def __init__(
        self, device: Device, options: GpuOptions, started: Sequence[ReadingProcess] = ()
    ) -> None:
        """`started` are reading processes, which become the lane's own."""
        self.name = device.name
        self._device = device
        self._options = options
        readers = options.readers or readers_for(1)
        waiting = deque(started)
        try:
            while len(waiting) < readers:
                waiting.append(start_reader(options.geometry))
            mine = [waiting.popleft() for _ in range(readers)]
            with device.translated():
                device.use()
                self._pool: Pool | None = Pool(device, options.geometry, mine)
        finally:
            for process in waiting:
                process.close()

    def hash(
        self,
        files: Files,
        pieces: Sequence[Piece],
        parameters: Parameters,
        record: Record,
        progress: Progress,
    ) -> None:
        """Hash all pieces."""
        if self._pool is None:
            raise ValueError("a lane that was closed")
        options = self._options
        with self._device.translated():
            self._device.use()
            computation = self._computation(parameters)
            job = Job(files, pieces, computation, options.geometry, options.random)
            Pipeline(self._pool, job).run(record, progress)

    def _computation(self, parameters: Parameters) -> Computation:
        geometry, recheck = self._options.geometry, self._options.recheck
        if isinstance(parameters, TreeParameters):
            return TreeComputation(self._device, parameters, recheck)
        capacity = results_bytes(geometry)
        return LatticeComputation(self._device, parameters.leaf_bytes, geometry, capacity, recheck)

    def close(self) -> None:
        """Give all memory back; it was zeroed when the last run ended."""
        if self._pool is not None:
            with suppress(EngineUnavailable), self._device.translated():
                self._device.use()  # one that was lost has nothing to give back, but the host has
            self._pool.free()
            self._pool = None


def start_reader(geometry: Geometry) -> ReadingProcess:
    """A reading process for lanes of this geometry."""
    return ReadingProcess(BUFFERS * geometry.read_bytes)


def readers_for(devices: int, cores: int | None = None) -> int:
    """For each device: most cores; the others plan, check, collect, and serve the driver."""
    share = (cores or len(os.sched_getaffinity(0))) // devices
    most = MAX_READERS if devices <= FEW_DEVICES else ENOUGH_READERS
    return max(1, min(most, share * 7 // 8))
