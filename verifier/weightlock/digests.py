"""Hash algorithms and digests as values.

A digest without its algorithm is a string of bytes that anything can equal, so the two travel
together and are compared together, in constant time.
"""

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from weightlock.errors import Malformed

if TYPE_CHECKING:
    from hashlib import _Hash


class HashAlgorithm(StrEnum):
    """The hashes a tree may be built over; the value is the name in manifests and policies."""

    SHA256 = "sha256"
    SHA384 = "sha384"
    SHA512 = "sha512"
    SHA3_256 = "sha3-256"
    SHA3_384 = "sha3-384"
    SHA3_512 = "sha3-512"

    @property
    def id_byte(self) -> bytes:
        """The algId that the tree binds, so that one root never stands for two algorithms."""
        return _ID_BYTES[self]

    @property
    def digest_bytes(self) -> int:
        """The length of a digest."""
        return _DIGEST_BYTES[self]

    @property
    def constructor(self) -> "Callable[..., _Hash]":
        """The hashlib constructor."""
        return _CONSTRUCTORS[self]

    @property
    def constructor_name(self) -> str:
        """The name of the constructor in hashlib, for a process that imports nothing else."""
        return self.value.replace("-", "_")

    def digest(self, data: bytes) -> bytes:
        """H(data)."""
        return self.constructor(data).digest()


_ID_BYTES: Final = {
    algorithm: bytes([number]) for number, algorithm in enumerate(HashAlgorithm, start=1)
}
_CONSTRUCTORS: Final["dict[HashAlgorithm, Callable[..., _Hash]]"] = {
    HashAlgorithm.SHA256: hashlib.sha256,
    HashAlgorithm.SHA384: hashlib.sha384,
    HashAlgorithm.SHA512: hashlib.sha512,
    HashAlgorithm.SHA3_256: hashlib.sha3_256,
    HashAlgorithm.SHA3_384: hashlib.sha3_384,
    HashAlgorithm.SHA3_512: hashlib.sha3_512,
}
_DIGEST_BYTES: Final = {
    algorithm: constructor().digest_size for algorithm, constructor in _CONSTRUCTORS.items()
}
_LOWER_HEX: Final = re.compile(r"[0-9a-f]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Digest:
    """An algorithm and its digest. Law: Digest.from_hex(d.algorithm, d.hex) == d."""

    algorithm: HashAlgorithm
    value: bytes

    def __post_init__(self) -> None:
        if len(self.value) != self.algorithm.digest_bytes:
            raise Malformed(
                f"a {self.algorithm} digest has {self.algorithm.digest_bytes} bytes,"
                f" found {len(self.value)}"
            )

    @property
    def hex(self) -> str:
        """The digest in lower-case hexadecimal."""
        return self.value.hex()

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"

    @classmethod
    def from_hex(cls, algorithm: HashAlgorithm, text: str) -> "Digest":
        """Parse lower-case hexadecimal of exactly the right length (C08)."""
        if not _LOWER_HEX.fullmatch(text) or len(text) != 2 * algorithm.digest_bytes:
            raise Malformed(
                f"a {algorithm} digest is {2 * algorithm.digest_bytes} lower-case hexadecimal"
                f" digits, found {len(text)} characters"
            )
        return cls(algorithm, bytes.fromhex(text))

    def matches(self, other: "Digest") -> bool:
        """Whether both are the same digest by the same algorithm, in constant time (C15)."""
        return self.algorithm is other.algorithm and hmac.compare_digest(self.value, other.value)


def hash_algorithm(name: object) -> HashAlgorithm:
    """The algorithm of an exact name.

    Raises:
        Malformed: for anything but one of the names, in exactly this spelling (A11).
    """
    if isinstance(name, str):
        for algorithm in HashAlgorithm:
            if algorithm.value == name:
                return algorithm
    known = ", ".join(HashAlgorithm)
    raise Malformed(f"unknown hash algorithm {name!r:.40}; expected one of {known}")
