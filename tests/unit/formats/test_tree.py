"""The tree: exact bytes at every level, published vectors, and the known pitfalls (A35)."""

import hashlib
import struct

import pytest

from weightlock.digests import HashAlgorithm
from weightlock.errors import Malformed
from weightlock.formats import tree
from weightlock.formats.tree import FileLeaf, TreeParameters

SHA256 = HashAlgorithm.SHA256
LEAF = 4096
SMALL = TreeParameters(SHA256, LEAF)


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


# The inputs and roots of RFC 6962's reference implementation (Certificate Transparency).
PUBLISHED_LEAVES = (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
)  # fmt: skip
PUBLISHED_ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


@pytest.mark.parametrize("count", range(9))
def test_the_merkle_tree_hash_is_that_of_rfc_6962(count: int) -> None:
    leaves = [tree.leaf_hash(SHA256, bytes.fromhex(leaf)) for leaf in PUBLISHED_LEAVES[:count]]
    assert tree.merkle_tree_hash(SHA256, leaves).hex() == PUBLISHED_ROOTS[count]


def test_leaves_and_nodes_have_prefixes_of_their_own() -> None:
    assert tree.leaf_hash(SHA256, b"abc") == sha256(b"\x00abc")
    assert tree.node_hash(SHA256, b"l" * 32, b"r" * 32) == sha256(b"\x01" + b"l" * 32 + b"r" * 32)


@pytest.mark.parametrize("length", [0, 1, LEAF - 1, LEAF, LEAF + 1, 3 * LEAF + 5])
def test_a_segment_binds_its_tag_hash_leaf_size_and_length(length: int) -> None:
    data = bytes(index % 251 for index in range(length))
    chunks = [data[start : start + LEAF] for start in range(0, length, LEAF)]
    leaves = [sha256(b"\x00" + chunk) for chunk in chunks]
    head = b"\x02weightlock/segment/v1\x00\x01" + struct.pack(">IQ", LEAF, length)
    assert tree.segment_root(SMALL, data) == sha256(head + tree.merkle_tree_hash(SHA256, leaves))


def test_a_file_binds_its_tag_hash_length_and_number_of_segments() -> None:
    roots = [b"a" * 32, b"b" * 32, b"c" * 32]
    leaves = [sha256(b"\x00" + root) for root in roots]
    head = b"\x03weightlock/file/v1\x00\x01" + struct.pack(">QI", 2**40, 3)
    expected = sha256(head + tree.merkle_tree_hash(SHA256, leaves))
    assert tree.file_root(SHA256, 2**40, roots) == expected


def test_a_file_of_nothing_has_the_empty_tree() -> None:
    head = b"\x03weightlock/file/v1\x00\x01" + bytes(12)
    assert tree.file_root(SHA256, 0, []) == sha256(head + sha256(b""))


def test_a_model_binds_its_tag_hash_and_the_name_length_and_root_of_each_file() -> None:
    files = [FileLeaf(b"b", 7, b"y" * 32), FileLeaf("é".encode(), 2**33, b"x" * 32)]
    entries = [
        b"\x00" + struct.pack(">I", len(name)) + name + struct.pack(">Q", length) + root
        for name, length, root in ((b"b", 7, b"y" * 32), ("é".encode(), 2**33, b"x" * 32))
    ]
    joined = sha256(b"\x01" + sha256(entries[0]) + sha256(entries[1]))
    expected = sha256(b"\x04weightlock/model/v1\x00\x01" + struct.pack(">I", 2) + joined)
    assert tree.model_root(SHA256, files) == expected
    assert tree.model_root(SHA256, reversed(files)) == expected


@pytest.mark.parametrize("algorithm", HashAlgorithm)
def test_every_level_is_hashed_by_the_algorithm_of_the_tree(algorithm: HashAlgorithm) -> None:
    parameters = TreeParameters(algorithm, LEAF)
    root = tree.segment_root(parameters, b"abc")
    leaf = algorithm.digest(b"\x00abc")
    head = b"weightlock/segment/v1\x00" + algorithm.id_byte + struct.pack(">IQ", LEAF, 3)
    assert root == algorithm.digest(b"\x02" + head + leaf)
    assert len(tree.file_root(algorithm, 3, [root])) == algorithm.digest_bytes
    assert len(tree.model_root(algorithm, [])) == algorithm.digest_bytes


@pytest.mark.parametrize("exponent", range(12, 21))
def test_a_leaf_has_4_kib_to_1_mib(exponent: int) -> None:
    assert TreeParameters(SHA256, 2**exponent).leaf_bytes == 2**exponent


@pytest.mark.parametrize("size", [-4096, 0, 1, 2048, 4095, 4097, 12288, 2**20 + 1, 2**21])
def test_any_other_leaf_is_refused(size: int) -> None:
    with pytest.raises(Malformed, match=f"a leaf of {size} bytes"):
        TreeParameters(SHA256, size)


def test_the_default_is_sha256_over_leaves_of_16_kib() -> None:
    assert TreeParameters() == TreeParameters(SHA256, 16 * 1024)


def test_chunks_are_cut_without_padding() -> None:
    assert list(tree.chunks(b"", 4)) == []
    assert list(tree.chunks(b"abcd", 4)) == [b"abcd"]
    assert list(tree.chunks(b"abcde", 4)) == [b"abcd", b"e"]
