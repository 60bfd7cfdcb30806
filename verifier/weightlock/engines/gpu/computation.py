"""What is computed of each batch that lies in a device's memory: here the tree of a hash.

The pipeline brings bytes in and results out; what they mean is behind this seam. lattice.py has the
other one.
"""

from dataclasses import dataclass
from random import Random
from typing import Protocol

from weightlock.engines.gpu.device import Device, Queue
from weightlock.engines.gpu.folding import TreeLauncher
from weightlock.engines.gpu.plan import Batch
from weightlock.engines.gpu.recheck import (
    ChosenLeaf,
    Fetch,
    Nodes,
    Recheck,
    Sample,
    check,
    choose_leaves,
)
from weightlock.engines.gpu.table import Table
from weightlock.formats.tree import TreeParameters, leaf_hash


class Computation(Protocol):
    """Kernels, the CPU's second look at them, and what they find out."""

    @property
    def leaf_bytes(self) -> int:
        """Into which each piece is cut."""
        ...

    def tables(self, batch: Batch, table: Table) -> bytes:
        """All that the kernels are told of a batch; begins with the table's data."""
        ...

    def sample(self, batch: Batch, table: Table, random: Random) -> Sample:
        """Leaves that the CPU will compute as well."""
        ...

    def result_bytes(self, table: Table) -> int:
        """What the kernels write for a batch."""
        ...

    def launch(self, queue: Queue, table: Table, at: int, results: int) -> None:
        """Queue the kernels; the tables lie at device address `at`.

        Results are zeroed before: what an earlier batch left there could be the right answer to
        this one, and a kernel that silently does nothing must not be able to give it (C14).
        """
        ...

    def results(self, batch: Batch, table: Table, fetch: Fetch, sample: Sample) -> list[bytes]:
        """What was computed of each piece of a batch.

        Raises:
            EngineFault: if the CPU contradicts it.
        """
        ...


@dataclass(frozen=True, slots=True)
class LatticeParameters:
    """Says that the lattice hash is wanted, and how long its chunks are."""

    leaf_bytes: int


Parameters = TreeParameters | LatticeParameters
"""What is computed."""


class TreeComputation:
    """Implements Computation: the root of each piece."""

    def __init__(self, device: Device, parameters: TreeParameters, recheck: Recheck) -> None:
        self.leaf_bytes = parameters.leaf_bytes
        self._algorithm = parameters.algorithm
        self._recheck = recheck
        self._launcher = TreeLauncher(device, parameters)

    def tables(self, _: Batch, table: Table) -> bytes:
        """The table is all."""
        return table.data

    def sample(self, batch: Batch, _: Table, random: Random) -> Sample:
        """Random leaves, each from a random piece."""
        count = self._recheck.leaves_per_batch
        return Sample(choose_leaves(batch, self.leaf_bytes, count, random), self._digest)

    def result_bytes(self, table: Table) -> int:
        """All nodes."""
        return self._launcher.nodes_bytes(table)

    def launch(self, queue: Queue, table: Table, at: int, results: int) -> None:
        """One level after the other."""
        self._launcher.launch(queue, table, at, results)

    def results(self, _: Batch, table: Table, fetch: Fetch, sample: Sample) -> list[bytes]:
        """The roots."""
        nodes = Nodes(self._algorithm, table, fetch)
        check(nodes, sample.digests, self._recheck)
        return nodes.roots()

    def _digest(self, _: ChosenLeaf, data: bytes) -> bytes:
        return leaf_hash(self._algorithm, data)
