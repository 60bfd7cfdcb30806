"""Vectors of the tree `rfc6962-v1` and of the lattice hash `lthash-v1`."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final

from tests.golden.layout import Row, pattern, text

from weightlock.digests import HashAlgorithm
from weightlock.formats import lthash, strict_base64, tree
from weightlock.formats.lthash import LtHash
from weightlock.formats.tree import FileLeaf, TreeParameters

LEAF_BYTES: Final = (4096, 16384, 1024 * 1024)
NAMES: Final = ("config.json", "model-00001-of-00002.safetensors", "sub/w\u00e9ights.bin", "Z")


def tree_vectors() -> str:
    """tree.json."""
    return text(
        [
            "Vectors of the tree rfc6962-v1; docs/checkpoint-format.md, section 2, defines it.",
            "Content that is given by its length is the pattern: byte number i is i mod 251.",
            "leaves: H(0x00 || chunk). nodes: H(0x01 || left || right), given in hexadecimal.",
            "trees: MTH over leaf hashes of the chunks that are listed in hexadecimal.",
            "segments: the root of a segment with `length` bytes of the pattern; `leavesRoot` is",
            "the MTH over its leaves, before length and parameters are bound.",
            "files: the root of a file whose content is the pattern, cut into `segments`, lengths",
            "in order; the pattern starts anew in each segment.",
            "models: the root over `files` in any order; each has a name, a length and a root.",
        ],
        leaves=_leaves(),
        nodes=_nodes(),
        trees=_trees(),
        segments=_segments(),
        files=_files(),
        models=_models(),
    )


def _leaves() -> Iterator[Row]:
    for algorithm in HashAlgorithm:
        for length in (0, 1, 63, 64, 4096):
            root = tree.leaf_hash(algorithm, pattern(length)).hex()
            yield {"hash": algorithm, "length": length, "leaf": root}


def _nodes() -> Iterator[Row]:
    for algorithm in HashAlgorithm:
        left, right = (algorithm.digest(side) for side in (b"left", b"right"))
        node = tree.node_hash(algorithm, left, right).hex()
        yield {"hash": algorithm, "left": left.hex(), "right": right.hex(), "node": node}


def _trees() -> Iterator[Row]:
    chunks = [bytes([number]) * number for number in range(9)]
    for algorithm in HashAlgorithm:
        for count in range(len(chunks) + 1):
            leaves = [tree.leaf_hash(algorithm, chunk) for chunk in chunks[:count]]
            root = tree.merkle_tree_hash(algorithm, leaves).hex()
            listed = [chunk.hex() for chunk in chunks[:count]]
            yield {"hash": algorithm, "chunks": listed, "root": root}


def _lengths(leaf: int) -> Sequence[int]:
    if leaf > 16384:
        return (0, leaf - 1, leaf, leaf + 1, 3 * leaf)
    around = [count * leaf + by for count in (1, 2, 4) for by in (-1, 0, 1)]
    return (0, 1, *around, 3 * leaf, 5 * leaf, 7 * leaf + 7)


def _segments() -> Iterator[Row]:
    for algorithm in HashAlgorithm:
        for leaf in LEAF_BYTES:
            parameters = TreeParameters(algorithm, leaf)
            for length in _lengths(leaf):
                data = pattern(length)
                leaves = [tree.leaf_hash(algorithm, chunk) for chunk in tree.chunks(data, leaf)]
                yield {
                    "hash": algorithm,
                    "leafSize": leaf,
                    "length": length,
                    "leavesRoot": tree.merkle_tree_hash(algorithm, leaves).hex(),
                    "root": tree.segment_root(parameters, data).hex(),
                }


def _file_root(parameters: TreeParameters, lengths: Sequence[int]) -> bytes:
    roots = [tree.segment_root(parameters, pattern(length)) for length in lengths]
    return tree.file_root(parameters.algorithm, sum(lengths), roots)


def _files() -> Iterator[Row]:
    for algorithm in HashAlgorithm:
        for lengths in ((), (1,), (3,), (1, 2), (2, 1), (1, 1, 1), (4096, 4097, 1, 20_000, 7)):
            root = _file_root(TreeParameters(algorithm), lengths).hex()
            yield {"hash": algorithm, "leafSize": 16384, "segments": lengths, "root": root}


def _models() -> Iterator[Row]:
    for algorithm in HashAlgorithm:
        for count in (1, 2, 3, 4):
            leaves = [
                FileLeaf(name.encode(), number, _file_root(TreeParameters(algorithm), [number]))
                for number, name in enumerate(NAMES[:count], start=1)
            ]
            files = [
                {"name": leaf.name.decode(), "length": leaf.length, "root": leaf.root.hex()}
                for leaf in leaves
            ]
            root = tree.model_root(algorithm, leaves).hex()
            yield {"hash": algorithm, "files": files, "root": root}


def lthash_vectors() -> str:
    """lthash.json."""
    return text(
        [
            "Vectors of the lattice hash lthash-v1; docs/checkpoint-format.md, section 8.",
            "elements: of one chunk of `length` bytes of the pattern (byte i is i mod 251) at a",
            "place; `lanes` has all 2048 bytes in base64, `sha256` is their plain SHA-256.",
            "segments: the sum over all chunks of a segment of `length` bytes of the pattern.",
            "sums: `plus` and `minus` of two given sums, lane by lane modulo 2^16.",
        ],
        elements=_elements(),
        segments=_segment_sums(),
        sums=_sums(),
    )


def _fingerprint(value: LtHash) -> str:
    return hashlib.sha256(value.lanes).hexdigest()


def _elements() -> Iterator[Row]:
    places = ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (2**32, 2**40, 2**64 - 1))
    for place in places:
        for length in (0, 1, 4096):
            value = lthash.element(*place, pattern(length))
            named = dict(zip(("file", "segment", "chunk"), place, strict=True))
            yield {**named, "length": length, "sha256": _fingerprint(value)}
    value = lthash.element(1, 2, 3, b"abc")
    lanes = strict_base64.encode(value.lanes)
    yield {"file": 1, "segment": 2, "chunk": 3, "content": b"abc".hex(), "lanes": lanes}


def _segment_sums() -> Iterator[Row]:
    for file, segment in ((0, 0), (3, 5)):
        for length in (0, 1, 4096, 4097, 20_000):
            total = lthash.segment_sum(file, segment, pattern(length), 4096)
            yield {
                "file": file,
                "segment": segment,
                "leafSize": 4096,
                "length": length,
                "sha256": _fingerprint(total),
            }


def _sums() -> Iterator[Row]:
    one, other = lthash.element(0, 0, 0, b"one"), lthash.element(0, 0, 1, b"other")
    ones = LtHash(b"\xff" * lthash.ELEMENT_BYTES)
    for left, right in ((one, other), (one, one), (one, ones), (ones, ones), (LtHash(), one)):
        yield {
            "left": strict_base64.encode(left.lanes),
            "right": strict_base64.encode(right.lanes),
            "plusSha256": _fingerprint(left.plus(right)),
            "minusSha256": _fingerprint(left.minus(right)),
        }
