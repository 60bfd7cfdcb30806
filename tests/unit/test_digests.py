"""Digests: exact spelling, exact length, never without their algorithm (C08, C15)."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightlock.digests import Digest, HashAlgorithm, hash_algorithm
from weightlock.errors import Malformed

SHA256 = HashAlgorithm.SHA256
SHA3_256 = HashAlgorithm.SHA3_256
ZEROS = "0" * 64


@pytest.mark.parametrize(
    ("name", "identifier", "size", "of_abc"),
    [
        ("sha256", 1, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ("sha384", 2, 48, "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded163"),
        ("sha512", 3, 64, "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea2"),
        ("sha3-256", 4, 32, "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"),
        ("sha3-384", 5, 48, "ec01498288516fc926459f58e2c6ad8df9b473cb0fc08c25"),
        ("sha3-512", 6, 64, "b751850b1a57168a5693cd924b6b096e08f621827444f70d"),
    ],
)
def test_each_algorithm_has_its_number_its_size_and_the_published_digest(
    name: str, identifier: int, size: int, of_abc: str
) -> None:
    algorithm = hash_algorithm(name)
    assert algorithm.id_byte == bytes([identifier])
    assert algorithm.digest_bytes == size
    assert algorithm.digest(b"abc").hex().startswith(of_abc)
    assert algorithm.constructor(b"abc").digest() == algorithm.digest(b"abc")
    assert getattr(hashlib, algorithm.constructor_name)(b"abc").hexdigest().startswith(of_abc)


@pytest.mark.parametrize(
    "name",
    ["SHA256", "sha-256", "sha256 ", "sha3_256", "sha224", "md5", "sha1", "crc32", "blake2b", "",
     None, 1, b"sha256", ["sha256"]],
    ids=repr,
)  # fmt: skip
def test_any_other_name_is_no_algorithm(name: object) -> None:
    with pytest.raises(Malformed, match="expected one of sha256, sha384"):
        hash_algorithm(name)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("A" * 64, id="capitals"),
        pytest.param(ZEROS[:-1], id="a digit less"),
        pytest.param(ZEROS[:-2], id="a byte less"),
        pytest.param(ZEROS + "00", id="a byte more"),
        pytest.param("", id="nothing"),
        pytest.param(ZEROS[:-1] + "g", id="a letter beyond f"),
        pytest.param(ZEROS[:-1] + "\n", id="a line end"),
        pytest.param(" " + ZEROS[1:], id="a blank"),
        pytest.param("0x" + ZEROS[2:], id="a prefix"),
        pytest.param("\u0660" * 64, id="digits outside ASCII"),
        pytest.param("0" * 96, id="the length of another algorithm"),
    ],
)
def test_a_digest_has_one_spelling(text: str) -> None:
    assert Digest.from_hex(SHA256, ZEROS).value == bytes(32)
    with pytest.raises(Malformed):
        Digest.from_hex(SHA256, text)


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_digest_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(Malformed, match=f"found {size}"):
        Digest(SHA256, bytes(size))


def test_digests_match_only_with_the_same_bytes_by_the_same_algorithm() -> None:
    digest = Digest(SHA256, bytes(32))
    assert digest.matches(Digest(SHA256, bytes(32)))
    assert not digest.matches(Digest(SHA256, bytes(31) + b"\x01"))
    assert not digest.matches(Digest(SHA256, b"\x01" + bytes(31)))
    assert not digest.matches(Digest(SHA3_256, bytes(32)))


def test_a_digest_names_its_algorithm() -> None:
    assert str(Digest(SHA256, bytes(32))) == f"sha256:{ZEROS}"


@given(st.sampled_from(HashAlgorithm), st.binary())
def test_what_is_written_is_read(algorithm: HashAlgorithm, data: bytes) -> None:
    digest = Digest(algorithm, algorithm.digest(data))
    assert Digest.from_hex(algorithm, digest.hex) == digest
