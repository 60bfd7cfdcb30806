"""The engine for one or several GPUs of this machine."""

import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random, SystemRandom
from typing import Final, Self

from weightlock.engines.engine import Files, Progress, Span
from weightlock.engines.gpu.device import Device
from weightlock.engines.gpu.pipeline import Job, Pipeline, Record
from weightlock.engines.gpu.plan import Geometry, Piece, pieces_of, shares
from weightlock.engines.gpu.readers import BUFFERS
from weightlock.engines.gpu.recheck import Recheck
from weightlock.engines.gpu.shared import ReadingProcess
from weightlock.engines.gpu.slots import Pool
from weightlock.formats.tree import TreeParameters, merkle_tree_hash, sealed_segment_root

MAX_READERS: Final = 14
"""For each device: more reading processes only compete for the caches."""
MAX_READERS_OF_SEVERAL: Final = 10
"""For each of several devices, whose queueing threads share one interpreter."""


@dataclass(frozen=True, slots=True)
class GpuOptions:
    """How the engine works; nothing here can change an answer."""

    geometry: Geometry = field(default_factory=Geometry)
    recheck: Recheck = field(default_factory=Recheck)
    readers: int | None = None
    """Reading processes for each device; None chooses by the cores."""
    random: Random = field(default_factory=SystemRandom)
    """Chooses the leaves that are checked again; unpredictable unless a test says otherwise."""


class GpuEngine:
    """Implements Engine on GPUs. Close it to give their memory back."""

    def __init__(
        self,
        devices: Sequence[Device],
        options: GpuOptions,
        started: Sequence[ReadingProcess] = (),
    ) -> None:
        """`started` are reading processes, which become the engine's own."""
        self._options = options
        self._devices = devices
        self._pools: list[Pool] = []
        readers = options.readers or readers_for(len(devices))
        waiting = deque(started)
        try:
            while len(waiting) < readers * len(devices):
                waiting.append(start_reader(options.geometry))
            for device in devices:
                mine = [waiting.popleft() for _ in range(readers)]
                with device.translated():
                    device.use()
                    self._pools.append(Pool(device, options.geometry, mine))
        except BaseException:
            self.close()
            raise
        finally:
            for process in waiting:
                process.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give all memory back; it was zeroed when the last run ended."""
        for device, pool in zip(self._devices, self._pools, strict=False):
            device.use()
            pool.free()
        self._pools.clear()

    @property
    def device(self) -> str:
        """The hardware, with how many of it."""
        names = [device.name for device in self._devices]
        return names[0] if len(names) == 1 else f"{len(names)} x {names[0]}"

    def segment_roots(
        self,
        files: Files,
        spans: Sequence[Span],
        parameters: TreeParameters,
        progress: Progress,
    ) -> list[bytes]:
        """The root of each span."""
        piece_bytes = self._options.geometry.piece_bytes
        roots: list[list[bytes]] = [[b""] * -(-span.length // piece_bytes) for span in spans]

        def record(piece: Piece, root: bytes) -> None:
            roots[piece.span][piece.number] = root

        pieces = list(pieces_of(spans, piece_bytes))
        self._hash(files, pieces, parameters, record, progress)
        return [
            sealed_segment_root(
                parameters, span.length, merkle_tree_hash(parameters.algorithm, parts)
            )
            for span, parts in zip(spans, roots, strict=True)
        ]

    def _hash(
        self,
        files: Files,
        pieces: Sequence[Piece],
        parameters: TreeParameters,
        record: Record,
        progress: Progress,
    ) -> None:
        def hash_on(number: int, share: Sequence[Piece]) -> None:
            device, options = self._devices[number], self._options
            job = Job(files, share, parameters, options.geometry, options.recheck, options.random)
            with device.translated():
                device.use()
                Pipeline(device, self._pools[number], job).run(record, progress)

        dealt = shares(pieces, len(self._devices))
        if len(dealt) == 1:
            hash_on(0, dealt[0])
            return
        with ThreadPoolExecutor(len(dealt)) as threads:
            list(threads.map(hash_on, range(len(dealt)), dealt))


def start_reader(geometry: Geometry) -> ReadingProcess:
    """A reading process for engines of this geometry."""
    return ReadingProcess(BUFFERS * geometry.read_bytes)


def readers_for(devices: int) -> int:
    """Most cores; the others plan, check, collect, and do what the driver does."""
    cores = len(os.sched_getaffinity(0)) // devices
    most = MAX_READERS if devices == 1 else MAX_READERS_OF_SEVERAL
    return max(1, min(most, cores * 7 // 8))
