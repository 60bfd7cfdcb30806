"""The tree: every byte, length, name, order and parameter changes the root (A35).

The laws were tried against mutations of the code; what they let pass, the tables of the unit
tests catch.
"""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from weightlock.digests import HashAlgorithm
from weightlock.formats import tree
from weightlock.formats.tree import FileLeaf, TreeParameters

LEAF = tree.MIN_LEAF_BYTES
SHA256 = HashAlgorithm.SHA256
SMALL = TreeParameters(SHA256, LEAF)

hashes = st.sampled_from(HashAlgorithm)
leaf_sizes = st.integers(12, 20).map(lambda exponent: 2**exponent)


BOUNDARIES = (
    0, 1, LEAF - 1, LEAF, LEAF + 1, 2 * LEAF - 1, 2 * LEAF, 2 * LEAF + 1, 3 * LEAF, 4 * LEAF - 1,
    4 * LEAF, 4 * LEAF + 1, 5 * LEAF, 7 * LEAF, 8 * LEAF - 1, 8 * LEAF, 8 * LEAF + 1,
)  # fmt: skip
lengths = st.sampled_from(BOUNDARIES)
PATTERN = bytes(index % 251 + 1 for index in range(max(BOUNDARIES) + 1))


def rfc6962(algorithm: HashAlgorithm, chunks: Sequence[bytes]) -> bytes:
    """MTH by the recursive words of RFC 6962, section 2.1, and no word of ours."""
    if not chunks:
        return algorithm.digest(b"")
    if len(chunks) == 1:
        return algorithm.digest(b"\x00" + chunks[0])
    k = 1
    while k * 2 < len(chunks):
        k *= 2
    left, right = rfc6962(algorithm, chunks[:k]), rfc6962(algorithm, chunks[k:])
    return algorithm.digest(b"\x01" + left + right)


@given(hashes, st.lists(st.binary(max_size=5), max_size=70))
def test_joining_level_by_level_is_the_recursion_of_rfc_6962(
    algorithm: HashAlgorithm, chunks: list[bytes]
) -> None:
    leaves = [tree.leaf_hash(algorithm, chunk) for chunk in chunks]
    assert tree.merkle_tree_hash(algorithm, leaves) == rfc6962(algorithm, chunks)


@given(st.integers(0, 40), st.integers(0, 5))
def test_joining_whole_subtrees_joins_their_leaves(blocks: int, exponent: int) -> None:
    # What every engine relies on that hashes blocks of 2^n leaves apart.
    size = 2**exponent
    leaves = [bytes([index % 251]) * 32 for index in range(blocks * 3)]
    subtrees = [
        tree.merkle_tree_hash(SHA256, leaves[at : at + size]) for at in range(0, len(leaves), size)
    ]
    assert tree.merkle_tree_hash(SHA256, subtrees) == tree.merkle_tree_hash(SHA256, leaves)


def test_every_length_on_a_boundary_has_a_root_of_its_own() -> None:
    roots = {tree.segment_root(SMALL, PATTERN[:length]) for length in BOUNDARIES}
    zeros = {tree.segment_root(SMALL, bytes(length)) for length in BOUNDARIES}
    assert len(roots | zeros) == 2 * len(BOUNDARIES) - 1  # both hold the segment of nothing


@given(lengths, st.data())
def test_any_byte_changes_the_root(length: int, data: st.DataObject) -> None:
    assume(length)
    at = data.draw(st.sampled_from((0, length - 1)) | st.integers(0, length - 1))
    content = bytearray(PATTERN[:length])
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    assert tree.segment_root(SMALL, bytes(content)) != tree.segment_root(SMALL, PATTERN[:length])


@given(lengths, st.integers(1, 3))
def test_bytes_at_the_end_change_the_root_zeros_included(length: int, more: int) -> None:
    content = PATTERN[:length]
    assert tree.segment_root(SMALL, content + bytes(more)) != tree.segment_root(SMALL, content)


@given(st.integers(2, 9), st.data())
def test_the_order_of_leaves_changes_the_root(count: int, data: st.DataObject) -> None:
    chunks = [bytes([number]) * LEAF for number in range(count)]
    shuffled = data.draw(st.permutations(chunks))
    same = tree.segment_root(SMALL, b"".join(shuffled)) == tree.segment_root(
        SMALL, b"".join(chunks)
    )
    assert same == (shuffled == chunks)


@given(st.integers(1, 40))
def test_repeating_the_last_leaf_changes_the_root(count: int) -> None:
    # Bitcoin's tree gave [1, 2, 3] and [1, 2, 3, 3] one root (CVE-2012-2459).
    leaves = [bytes([number]) * 32 for number in range(count)]
    for repeated in range(1, count + 1):
        more = leaves + leaves[-repeated:]
        assert tree.merkle_tree_hash(SHA256, more) != tree.merkle_tree_hash(SHA256, leaves)


@given(st.binary(min_size=64, max_size=64))
def test_a_node_is_never_a_leaf(content: bytes) -> None:
    assert tree.node_hash(SHA256, content[:32], content[32:]) != tree.leaf_hash(SHA256, content)


@given(lengths, st.lists(st.tuples(hashes, leaf_sizes), min_size=2, max_size=2, unique=True))
def test_hash_and_leaf_size_change_the_root(
    length: int, pair: list[tuple[HashAlgorithm, int]]
) -> None:
    one, other = (tree.segment_root(TreeParameters(*each), PATTERN[:length]) for each in pair)
    assert one != other


@given(st.lists(st.integers(0, 2**63 - 1), min_size=2, max_size=2, unique=True), hashes)
def test_a_length_alone_changes_the_root(pair: list[int], algorithm: HashAlgorithm) -> None:
    below = algorithm.digest(b"whatever is below")
    parameters = TreeParameters(algorithm, LEAF)
    for one, other in zip(
        *(
            (
                tree.sealed_segment_root(parameters, length, below),
                tree.file_root(algorithm, length, [below]),
                tree.model_root(algorithm, [FileLeaf(b"a", length, below)]),
            )
            for length in pair
        ),
        strict=True,
    ):
        assert one != other


@given(st.integers(1, 5000), st.data())
def test_where_a_file_is_cut_changes_its_root(length: int, data: st.DataObject) -> None:
    def root(*ends: int) -> bytes:
        starts = (0, *ends)
        parts = [PATTERN[a:b] for a, b in zip(starts, (*ends, length), strict=True)]
        return tree.file_root(SHA256, length, [tree.segment_root(SMALL, part) for part in parts])

    cuts = st.lists(st.integers(0, length), max_size=3).map(sorted)
    one, other = data.draw(cuts), data.draw(cuts)
    assert (root(*one) == root(*other)) == (one == other)


file_leaves = st.lists(
    st.builds(
        FileLeaf,
        st.binary(min_size=1, max_size=4),
        st.integers(0, 3),
        st.sampled_from((b"x" * 32, b"y" * 32)),
    ),
    max_size=5,
    unique_by=lambda leaf: leaf.name,
)


@given(file_leaves, file_leaves)
def test_two_models_have_one_root_only_if_they_are_the_same(
    one: list[FileLeaf], other: list[FileLeaf]
) -> None:
    def by_name(leaves: list[FileLeaf]) -> list[FileLeaf]:
        return sorted(leaves, key=lambda leaf: leaf.name)

    same = tree.model_root(SHA256, one) == tree.model_root(SHA256, other)
    assert same == (by_name(one) == by_name(other))


@given(file_leaves, st.data())
def test_any_change_of_one_file_changes_the_root(
    leaves: list[FileLeaf], data: st.DataObject
) -> None:
    assume(leaves)
    at = data.draw(st.integers(0, len(leaves) - 1))
    leaf = leaves[at]
    root = tree.model_root(SHA256, leaves)
    for changed in (
        replace(leaf, name=leaf.name + b"!"),
        replace(leaf, length=leaf.length + 1),
        replace(leaf, root=leaf.root[::-1][:31] + b"z"),
        FileLeaf(leaf.name + leaf.length.to_bytes(8, "big")[:1], leaf.length, leaf.root),
    ):
        assert tree.model_root(SHA256, [*leaves[:at], changed, *leaves[at + 1 :]]) != root
    assert tree.model_root(SHA256, leaves[:at] + leaves[at + 1 :]) != root


@given(st.permutations([FileLeaf(name, 1, b"x" * 32) for name in (b"Z", b"a", b"a/b", b"\xc3")]))
def test_the_order_in_which_files_are_found_means_nothing(leaves: list[FileLeaf]) -> None:
    ordered = sorted(leaves, key=lambda leaf: leaf.name)
    assert tree.model_root(SHA256, leaves) == tree.model_root(SHA256, ordered)


def test_the_levels_cannot_be_taken_for_one_another() -> None:
    # The same bytes of content at each level: only the tags keep them apart.
    segment = tree.sealed_segment_root(SMALL, 0, SHA256.digest(b""))
    assert len({segment, tree.file_root(SHA256, 0, []), tree.model_root(SHA256, [])}) == 3
