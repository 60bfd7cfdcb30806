"""The lattice hash `lthash-v1`: a sum over chunks that can be updated when one tensor changes.

    element = SHAKE256("weightlock/lthash/v1" || 0x00 || u64 file || u64 segment || u64 chunk
                       || u32 length || chunk), 2048 bytes = 1024 little-endian lanes of 16 bits
    sum     = lane by lane, modulo 2^16

Each element binds where its chunk lies, so that reordering or repeating chunks changes the sum
(A36, M18). It is signed beside the tree root and never instead of it: what is accepted is the tree.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from weightlock.errors import Malformed
from weightlock.formats import tree
from weightlock.names import LTHASH_TAG

LANES: Final = 1024
ELEMENT_BYTES: Final = 2 * LANES
# Adding all lanes at once in one big integer: even and odd lanes apart, so a carry out of a lane
# falls into its masked neighbour and is dropped.
_EVEN: Final = int.from_bytes(b"\xff\xff\x00\x00" * (LANES // 2), "little")
_ODD: Final = _EVEN << 16
_EVEN_CARRY: Final = int.from_bytes(b"\x00\x00\x01\x00" * (LANES // 2), "little")


@dataclass(frozen=True, slots=True)
class LtHash:
    """A sum of elements. `a.plus(b).minus(b) == a`, and the order of sums never matters."""

    lanes: bytes = bytes(ELEMENT_BYTES)

    def __post_init__(self) -> None:
        if len(self.lanes) != ELEMENT_BYTES:
            raise Malformed(f"an lthash-v1 sum has {ELEMENT_BYTES} bytes, found {len(self.lanes)}")

    def plus(self, other: "LtHash") -> "LtHash":
        """The sum of both."""
        left, right = self._number(), other._number()
        even = ((left & _EVEN) + (right & _EVEN)) & _EVEN
        odd = ((left & _ODD) + (right & _ODD)) & _ODD
        return _of_number(even | odd)

    def minus(self, other: "LtHash") -> "LtHash":
        """This sum without the other."""
        left, right = self._number(), other._number()
        even = ((left & _EVEN) + _EVEN_CARRY - (right & _EVEN)) & _EVEN
        odd = ((left & _ODD) + (_EVEN_CARRY << 16) - (right & _ODD)) & _ODD
        return _of_number(even | odd)

    def _number(self) -> int:
        return int.from_bytes(self.lanes, "little")


def _of_number(number: int) -> LtHash:
    return LtHash(number.to_bytes(ELEMENT_BYTES, "little"))


def element(file: int, segment: int, chunk: int, data: bytes) -> LtHash:
    """The element of one chunk."""
    position = file.to_bytes(8, "big") + segment.to_bytes(8, "big") + chunk.to_bytes(8, "big")
    length = len(data).to_bytes(4, "big")
    shake = hashlib.shake_256(LTHASH_TAG + b"\x00" + position + length + data)
    return LtHash(shake.digest(ELEMENT_BYTES))


def segment_sum(file: int, segment: int, data: bytes, leaf_bytes: int) -> LtHash:
    """The sum over the chunks of one segment that is in memory; chunks are cut as leaves are."""
    total = LtHash()
    for index, chunk in enumerate(tree.chunks(data, leaf_bytes)):
        total = total.plus(element(file, segment, index, chunk))
    return total
