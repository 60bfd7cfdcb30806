"""Which engine it is: what was asked for, or for `auto` the fastest that works here.

`auto` takes the GPU only for as many bytes as repay starting it, and continues on the CPU with one
clear line when the GPU cannot be used: no driver, a busy device, too little memory, a device that
is lost on the way. A GPU that was found to compute wrongly is no reason to continue: that is an
EngineFault and stays one. An engine that was named is used or its absence is an error.
"""

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from weightlock.engines.cpu import CpuEngine
from weightlock.engines.engine import Engine, Files, Progress, Span
from weightlock.engines.lattice import LatticeEngine, NumberedSegment, lattice_sum
from weightlock.errors import EngineUnavailable, Malformed
from weightlock.formats.lthash import LtHash
from weightlock.formats.tree import TreeParameters

Answer = TypeVar("Answer")

STARTING_BYTES_PER_CORE: Final = 512 * 1024 * 1024
"""What a core hashes while a GPU is started, with about half a second for that."""
LATTICE_COST: Final = 4
"""The lattice hash takes a core about so many times as long as a tree."""
_BINDINGS: Final = "cupy_backends"


def choose_engine(name: str, *, threads: int, notice: Callable[[str], None]) -> Engine:
    """The engine called `name`; `notice` is told when auto does not get the GPU that is there.

    Raises:
        EngineUnavailable: if a GPU was asked for by name and cannot be used.
        Malformed: for another name.
    """
    if name == "cpu":
        return CpuEngine(threads)
    if name == "auto":
        if importlib.util.find_spec(_BINDINGS) is None:
            return CpuEngine(threads)
        worth = threads * STARTING_BYTES_PER_CORE
        return AutoEngine(CpuEngine(threads), lambda: open_gpu("any"), worth, notice)
    if name in {"cuda", "rocm"}:
        return open_gpu(name)
    raise Malformed(f"unknown engine {name!r:.40}; expected auto, cuda, rocm or cpu")


def open_gpu(platform: str, *, direct: bool = False, most: int | None = None) -> Engine:
    """The GPU engine; imported only now, because its libraries may be missing.

    With `direct` it asks the storage, past the page cache; `most` is how many GPUs it may take.

    Raises:
        EngineUnavailable: if it cannot be used.
    """
    if importlib.util.find_spec(_BINDINGS) is None:
        raise EngineUnavailable(
            "CuPy is not installed, and the GPU engine needs it",
            hint="in a checkout of Weightlock: pip install '.[cuda]' or '.[rocm]'",
        )
    opening: Any = importlib.import_module("weightlock.engines.gpu.opening")
    engine: Engine = opening.open_engine(platform, opening.options_for(direct=direct), most)
    return engine


class AutoEngine:
    """Implements Engine on the GPU if it repays starting it and works, else on the CPU."""

    def __init__(
        self,
        cpu: Engine,
        open_gpu: Callable[[], Engine],
        worth_bytes: int,
        notice: Callable[[str], None],
    ) -> None:
        self._cpu = cpu
        self._open_gpu = open_gpu
        self._worth_bytes = worth_bytes
        self._notice = notice
        self._gpu: Engine | None = None
        self._used = cpu
        self._gave_up = False

    @property
    def device(self) -> str:
        """The hardware that was used last."""
        return self._used.device

    def segment_roots(
        self,
        files: Files,
        spans: Sequence[Span],
        parameters: TreeParameters,
        progress: Progress,
    ) -> list[bytes]:
        """The root of each span."""

        def work(engine: Engine, progress: Progress) -> list[bytes]:
            return engine.segment_roots(files, spans, parameters, progress)

        return self._on_the_best(sum(span.length for span in spans), work, progress)

    def lattice_sum(
        self,
        files: Files,
        segments: Sequence[NumberedSegment],
        leaf_bytes: int,
        progress: Progress,
    ) -> LtHash:
        """The sum over all chunks of all segments."""

        def work(engine: Engine, progress: Progress) -> LtHash:
            if isinstance(engine, LatticeEngine):
                return engine.lattice_sum(files, segments, leaf_bytes, progress)
            return lattice_sum(files, segments, leaf_bytes, 1, progress)

        size = sum(segment.length for segment in segments)
        return self._on_the_best(LATTICE_COST * size, work, progress)

    def _on_the_best(
        self, worth: int, work: Callable[[Engine, Progress], Answer], progress: Progress
    ) -> Answer:
        if worth >= self._worth_bytes and not self._gave_up:
            done = _Counter(progress)
            try:
                self._gpu = self._gpu or self._open_gpu()
                self._used = self._gpu
                return work(self._gpu, done.advance)
            except EngineUnavailable as error:
                self._gave_up = True
                self._notice(f"{error.message}; continuing on the CPU")
                progress(-done.total)  # it begins anew
        self._used = self._cpu
        return work(self._cpu, progress)


class _Counter:
    def __init__(self, progress: Progress) -> None:
        self.total = 0
        self._progress = progress

    def advance(self, size: int) -> None:
        """Count and pass on."""
        self.total += size
        self._progress(size)
