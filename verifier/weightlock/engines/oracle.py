"""The oracle: one leaf after the other, on one thread, as the specification says it.

Slow on purpose and obviously right; every other engine must give exactly its answers.
"""

from collections.abc import Sequence

from weightlock.engines.engine import Files, OpenFile, Progress, Span
from weightlock.engines.reading import read_exactly
from weightlock.formats.tree import (
    TreeParameters,
    leaf_hash,
    merkle_tree_hash,
    sealed_segment_root,
)


class OracleEngine:
    """Implements Engine by the letter."""

    device = "oracle"

    def segment_roots(
        self,
        files: Files,
        spans: Sequence[Span],
        parameters: TreeParameters,
        progress: Progress,
    ) -> list[bytes]:
        """The root of each span."""
        roots = []
        for span in spans:
            with files.open(span.file) as file:
                roots.append(_segment_root(file, span, parameters))
            progress(span.length)
        return roots


def _segment_root(file: OpenFile, span: Span, parameters: TreeParameters) -> bytes:
    leaves = []
    for start in range(0, span.length, parameters.leaf_bytes):
        wanted = min(parameters.leaf_bytes, span.length - start)
        chunk = read_exactly(file, span.offset + start, wanted)
        leaves.append(leaf_hash(parameters.algorithm, chunk))
    return sealed_segment_root(
        parameters, span.length, merkle_tree_hash(parameters.algorithm, leaves)
    )
