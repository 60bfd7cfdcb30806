"""The tree `rfc6962-v1`: from the bytes of a file to the root of a model. Reads like the spec.

    leaf    = H(0x00 || chunk)              chunk = leaf_bytes bytes, the last one shorter
    node    = H(0x01 || left || right)      RFC 6962 shape: an odd last node moves up unchanged
    empty   = H("")
    segment = H(0x02 || "weightlock/segment/v1" || 0x00 || algId || u32 leafSize || u64 length
                     || MTH(leaves))
    file    = H(0x03 || "weightlock/file/v1" || 0x00 || algId || u64 length || u32 nSegments
                     || MTH(leaf(segment root) ...))
    model   = H(0x04 || "weightlock/model/v1" || 0x00 || algId || u32 nFiles
                     || MTH(leaf(u32 len(name) || name || u64 length || file root) ...))

All integers are big-endian. Every level binds its tag, its algorithm, and its lengths and counts,
so no root can be read as that of another shape (A35). The functions here are the oracle: every
engine is tested against them, and the levels above segments are always computed by them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from weightlock.digests import HashAlgorithm
from weightlock.errors import Malformed
from weightlock.names import FILE_TAG, MODEL_TAG, SEGMENT_TAG

MIN_LEAF_BYTES: Final = 4 * 1024
MAX_LEAF_BYTES: Final = 1024 * 1024
DEFAULT_LEAF_BYTES: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class TreeParameters:
    """Everything besides the data that changes a root."""

    algorithm: HashAlgorithm = HashAlgorithm.SHA256
    leaf_bytes: int = DEFAULT_LEAF_BYTES

    def __post_init__(self) -> None:
        power_of_two = self.leaf_bytes > 0 and self.leaf_bytes & (self.leaf_bytes - 1) == 0
        if not power_of_two or not MIN_LEAF_BYTES <= self.leaf_bytes <= MAX_LEAF_BYTES:
            raise Malformed(
                f"a leaf of {self.leaf_bytes} bytes; expected a power of two"
                f" from {MIN_LEAF_BYTES} to {MAX_LEAF_BYTES}"
            )


@dataclass(frozen=True, slots=True)
class FileLeaf:
    """What the model's root binds of one file."""

    name: bytes
    length: int
    root: bytes


def leaf_hash(algorithm: HashAlgorithm, chunk: bytes) -> bytes:
    """H(0x00 || chunk)."""
    return algorithm.digest(b"\x00" + chunk)


def node_hash(algorithm: HashAlgorithm, left: bytes, right: bytes) -> bytes:
    """H(0x01 || left || right)."""
    return algorithm.digest(b"\x01" + left + right)


def merkle_tree_hash(algorithm: HashAlgorithm, leaves: Sequence[bytes]) -> bytes:
    """MTH of leaf hashes: pairs are joined level by level, an odd last node moves up unchanged."""
    if not leaves:
        return algorithm.digest(b"")
    level = list(leaves)
    while len(level) > 1:
        joined = [node_hash(algorithm, level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = joined + level[len(joined) * 2 :]
    return level[0]


def chunks(data: bytes, leaf_bytes: int) -> Iterator[bytes]:
    """The data cut every leaf_bytes bytes; no chunk at all for no data."""
    return (data[start : start + leaf_bytes] for start in range(0, len(data), leaf_bytes))


def segment_root(parameters: TreeParameters, data: bytes) -> bytes:
    """The root of one segment that is in memory."""
    algorithm = parameters.algorithm
    leaves = [leaf_hash(algorithm, chunk) for chunk in chunks(data, parameters.leaf_bytes)]
    return sealed_segment_root(parameters, len(data), merkle_tree_hash(algorithm, leaves))


def sealed_segment_root(parameters: TreeParameters, length: int, leaves_root: bytes) -> bytes:
    """The root of a segment whose MTH(leaves) is known."""
    return parameters.algorithm.digest(
        b"\x02"
        + SEGMENT_TAG
        + b"\x00"
        + parameters.algorithm.id_byte
        + parameters.leaf_bytes.to_bytes(4, "big")
        + length.to_bytes(8, "big")
        + leaves_root
    )


def file_root(algorithm: HashAlgorithm, length: int, segment_roots: Sequence[bytes]) -> bytes:
    """The root of a file from those of its segments."""
    leaves = [leaf_hash(algorithm, root) for root in segment_roots]
    return algorithm.digest(
        b"\x03"
        + FILE_TAG
        + b"\x00"
        + algorithm.id_byte
        + length.to_bytes(8, "big")
        + len(segment_roots).to_bytes(4, "big")
        + merkle_tree_hash(algorithm, leaves)
    )


def model_root(algorithm: HashAlgorithm, files: Iterable[FileLeaf]) -> bytes:
    """The root of a model; the files are sorted here by the bytes of their names (C16)."""
    ordered = sorted(files, key=lambda file: file.name)
    leaves = [leaf_hash(algorithm, _file_entry(file)) for file in ordered]
    return algorithm.digest(
        b"\x04"
        + MODEL_TAG
        + b"\x00"
        + algorithm.id_byte
        + len(ordered).to_bytes(4, "big")
        + merkle_tree_hash(algorithm, leaves)
    )


def _file_entry(file: FileLeaf) -> bytes:
    # The name's length comes first: ("a", "bc") and ("ab", "c") must not be the same bytes (A35).
    name_length = len(file.name).to_bytes(4, "big")
    return name_length + file.name + file.length.to_bytes(8, "big") + file.root
