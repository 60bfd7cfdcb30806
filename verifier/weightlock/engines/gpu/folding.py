"""Launches the kernels of a whole tree: one behind the other, no word from the host between."""

from weightlock.digests import HashAlgorithm
from weightlock.engines.gpu.device import Device, Queue
from weightlock.engines.gpu.table import Table
from weightlock.formats.tree import TreeParameters


class TreeLauncher:
    """The kernels of one tree's parameters on one device."""

    def __init__(self, device: Device, parameters: TreeParameters) -> None:
        self._kernels = device.kernels(parameters.algorithm)
        self._algorithm: HashAlgorithm = parameters.algorithm
        self._leaf_bytes = parameters.leaf_bytes

    def nodes_bytes(self, table: Table) -> int:
        """The memory that all nodes of a table need."""
        return table.nodes * self._algorithm.digest_bytes

    def launch(self, queue: Queue, table: Table, at: int, nodes: int) -> None:
        """Compute all nodes of the table that lies at device address `at`."""
        digest_bytes = self._algorithm.digest_bytes
        # What an earlier batch left here could be the right answer to this one; a kernel that
        # silently does nothing must not be able to give it (C14).
        queue.clear(nodes, self.nodes_bytes(table))
        self._kernels.hash_leaves(queue, table, at, self._leaf_bytes, nodes)
        folds = zip(table.levels, table.levels[1:], table.offsets[1:], strict=False)
        for below, above, offset in folds:
            self._kernels.fold_groups(
                queue,
                at + offset,
                above.size,
                nodes + below.offset * digest_bytes,
                nodes + above.offset * digest_bytes,
            )
