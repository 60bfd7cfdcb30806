"""The engine for one or several GPUs of this machine.

Queueing work for one device keeps one interpreter busy, so each further device has a process of
its own (see device_process.py). What a run must agree on is here: who gets which pieces, how their
roots become those of segments, and that the first error of any device ends the work of all.
"""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import reduce
from typing import Protocol, Self

from weightlock.engines.engine import Files, Progress, Span
from weightlock.engines.gpu.computation import LatticeParameters, Parameters
from weightlock.engines.gpu.lane import Stopped
from weightlock.engines.gpu.pipeline import Record
from weightlock.engines.gpu.plan import Geometry, Piece, pieces_of, shares
from weightlock.engines.lattice import NumberedSegment
from weightlock.errors import EngineFault
from weightlock.formats.lthash import LtHash
from weightlock.formats.tree import TreeParameters, merkle_tree_hash, sealed_segment_root


class Lane(Protocol):
    """One device at work, in this process or in one of its own."""

    @property
    def name(self) -> str:
        """What a person calls the device."""
        ...

    def hash(
        self,
        files: Files,
        pieces: Sequence[Piece],
        parameters: Parameters,
        record: Record,
        progress: Progress,
    ) -> None:
        """Hash all pieces; `record` gets the result of each. May be called again after an error.

        Raises:
            Unreadable, ChangedWhileReading: if a file cannot be read as it should.
            EngineUnavailable, EngineFault: if the device cannot be used or computed wrongly.
        """
        ...

    def close(self) -> None:
        """Give all memory back, zeroed."""
        ...


class GpuEngine:
    """Implements Engine on GPUs. Close it to give their memory back."""

    def __init__(self, lanes: Sequence[Lane], geometry: Geometry) -> None:
        """The lanes become the engine's own; they work with pieces of this geometry."""
        self._lanes = list(lanes)
        self._piece_bytes = geometry.piece_bytes
        names = [lane.name for lane in lanes]
        alike = len(names) > 1 and len(set(names)) == 1
        named = f"{len(names)} x {names[0]}" if alike else ", ".join(names)
        # What was verified then is the storage's word, not the cache's: whoever reads must see it.
        self.device = f"{named} (direct reads)" if geometry.is_direct else named

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give all memory back."""
        while self._lanes:
            self._lanes.pop().close()

    @property
    def devices(self) -> int:
        """How many work."""
        return len(self._lanes)

    def segment_roots(
        self,
        files: Files,
        spans: Sequence[Span],
        parameters: TreeParameters,
        progress: Progress,
    ) -> list[bytes]:
        """The root of each span."""
        roots: list[list[bytes]] = [[b""] * -(-span.length // self._piece_bytes) for span in spans]

        def record(piece: Piece, root: bytes) -> None:
            roots[piece.span][piece.number] = root

        self._hash(files, list(pieces_of(spans, self._piece_bytes)), parameters, record, progress)
        if any(b"" in parts for parts in roots):
            raise EngineFault("the GPU engine left a piece out")
        return [
            sealed_segment_root(
                parameters, span.length, merkle_tree_hash(parameters.algorithm, parts)
            )
            for span, parts in zip(spans, roots, strict=True)
        ]

    def lattice_sum(
        self,
        files: Files,
        segments: Sequence[NumberedSegment],
        leaf_bytes: int,
        progress: Progress,
    ) -> LtHash:
        """The sum over all chunks of all segments."""
        spans = [Span(each.file, each.offset, each.length) for each in segments]
        pieces = [
            piece._replace(segment=segments[piece.span].segment)
            for piece in pieces_of(spans, self._piece_bytes)
        ]
        sums: list[bytes] = []

        def record(_: Piece, found: bytes) -> None:
            sums.append(found)

        self._hash(files, pieces, LatticeParameters(leaf_bytes), record, progress)
        if len(sums) != len(pieces):
            raise EngineFault("the GPU engine left a piece out")
        return reduce(LtHash.plus, map(LtHash, sums), LtHash())

    def _hash(
        self,
        files: Files,
        pieces: Sequence[Piece],
        parameters: Parameters,
        record: Record,
        progress: Progress,
    ) -> None:
        if len(self._lanes) == 1:
            self._lanes[0].hash(files, pieces, parameters, record, progress)
            return
        stopped = threading.Event()

        def advance(size: int) -> None:
            if stopped.is_set():
                raise Stopped
            progress(size)

        with ThreadPoolExecutor(len(self._lanes)) as threads:
            dealt = zip(self._lanes, shares(pieces, len(self._lanes)), strict=True)
            runs = [
                threads.submit(lane.hash, files, share, parameters, record, advance)
                for lane, share in dealt
            ]
            try:
                for run in as_completed(runs):
                    run.result()
            except BaseException:
                stopped.set()
                raise
