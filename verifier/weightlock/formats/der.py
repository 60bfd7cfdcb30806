"""Strict DER: exactly the few types that keys are made of, read and written one way only.

A key that could be written in two ways would be two keys to whoever counts signers (C02), so every
leniency of BER is refused: long lengths for short values, padded integers, trailing bytes. Laws:
Reader(sequence(*parts)) gives back the parts, and whatever a Reader accepts to its end is what the
writing functions would have written. Used by weightlock.formats.spki and weightlock.keys.
"""

from typing import Final

from weightlock.errors import Malformed

INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
NULL: Final = 0x05
OBJECT_IDENTIFIER: Final = 0x06
SEQUENCE: Final = 0x30

_NAMES: Final = {
    INTEGER: "INTEGER",
    BIT_STRING: "BIT STRING",
    OCTET_STRING: "OCTET STRING",
    NULL: "NULL",
    OBJECT_IDENTIFIER: "OBJECT IDENTIFIER",
    SEQUENCE: "SEQUENCE",
}
_MAX_IDENTIFIER_BYTES: Final = 32
_MAX_LENGTH_OCTETS: Final = 3
_HIGH_BIT: Final = 0x80
"""Of a length: it has more octets. Of an identifier: more septets follow."""


def context(number: int, *, constructed: bool) -> int:
    """The tag [number] of a CHOICE or an OPTIONAL field, number below 31."""
    return (0xA0 if constructed else 0x80) | number


class Reader:
    """A cursor over DER content. Messages name `what` is read, never a byte of it (C24)."""

    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._at = 0
        self._what = what

    def malformed(self, sentence: str) -> Malformed:
        """The error to raise for something wrong here."""
        return Malformed(f"{self._what} is not valid DER: {sentence}")

    @property
    def at_end(self) -> bool:
        """Whether nothing is left."""
        return self._at == len(self._data)

    def next_is(self, tag: int) -> bool:
        """Whether the next element has this tag."""
        return not self.at_end and self._data[self._at] == tag

    def finish(self) -> None:
        """Insist that nothing is left.

        Raises:
            Malformed: for trailing bytes.
        """
        if not self.at_end:
            raise self.malformed(f"{len(self._data) - self._at} bytes follow where it should end")

    def element(self, tag: int) -> bytes:
        """The content of the next element, which must have this tag.

        Raises:
            Malformed: for another tag, a length that is not minimal, or too few bytes.
        """
        if not self.next_is(tag):
            raise self.malformed(f"expected {_NAMES.get(tag, f'tag 0x{tag:02x}')}")
        self._at += 1
        return self._take(self._length())

    def sequence(self) -> "Reader":
        """A reader over the next element, a SEQUENCE."""
        return Reader(self.element(SEQUENCE), self._what)

    def octet_string(self) -> bytes:
        """The bytes of the next element, an OCTET STRING."""
        return self.element(OCTET_STRING)

    def bit_string(self) -> bytes:
        """The bytes of the next element, a BIT STRING of whole bytes."""
        content = self.element(BIT_STRING)
        if content[:1] != b"\x00":
            raise self.malformed("a BIT STRING that does not consist of whole bytes")
        return content[1:]

    def null(self) -> None:
        """The next element, a NULL."""
        if self.element(NULL):
            raise self.malformed("a NULL with content")

    def unsigned_integer(self) -> int:
        """The value of the next element, a minimal INTEGER that is not negative."""
        content = self.element(INTEGER)
        if not content or content[0] & _HIGH_BIT:
            raise self.malformed("an INTEGER that is empty or negative")
        if len(content) > 1 and content[0] == 0 and not content[1] & _HIGH_BIT:
            raise self.malformed("an INTEGER with needless leading zeros")
        return int.from_bytes(content)

    def object_identifier(self) -> str:
        """The dotted form of the next element, an OBJECT IDENTIFIER."""
        content = self.element(OBJECT_IDENTIFIER)
        if not content or len(content) > _MAX_IDENTIFIER_BYTES or content[-1] & _HIGH_BIT:
            raise self.malformed("an OBJECT IDENTIFIER that is empty, too long or cut short")
        arcs = self._arcs(content)
        root = min(arcs[0] // 40, 2)
        return ".".join(map(str, (root, arcs[0] - 40 * root, *arcs[1:])))

    def _arcs(self, content: bytes) -> list[int]:
        arcs: list[int] = []
        value = 0
        for octet in content:
            if value == 0 and octet == _HIGH_BIT:
                raise self.malformed("an OBJECT IDENTIFIER with needless leading zeros")
            value = value << 7 | octet & 0x7F
            if not octet & _HIGH_BIT:
                arcs.append(value)
                value = 0
        return arcs

    def _length(self) -> int:
        first = self._take(1)[0]
        if first < _HIGH_BIT:
            return first
        if not 1 <= first - _HIGH_BIT <= _MAX_LENGTH_OCTETS:
            raise self.malformed("an indefinite or excessive length")
        length = int.from_bytes(self._take(first - _HIGH_BIT))
        if length < _HIGH_BIT or length >> 8 * (first - _HIGH_BIT - 1) == 0:
            raise self.malformed("a length that is not in its shortest form")
        return length

    def _take(self, count: int) -> bytes:
        if count > len(self._data) - self._at:
            raise self.malformed("it is cut short")
        self._at += count
        return self._data[self._at - count : self._at]


def element(tag: int, content: bytes) -> bytes:
    """One element: tag, shortest length, content."""
    length = len(content)
    if length < _HIGH_BIT:
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes((tag, _HIGH_BIT | len(octets))) + octets + content


def sequence(*parts: bytes) -> bytes:
    """A SEQUENCE of elements that are encoded already."""
    return element(SEQUENCE, b"".join(parts))


def octet_string(content: bytes) -> bytes:
    """An OCTET STRING."""
    return element(OCTET_STRING, content)


def bit_string(content: bytes) -> bytes:
    """A BIT STRING of whole bytes."""
    return element(BIT_STRING, b"\x00" + content)


def null() -> bytes:
    """A NULL."""
    return element(NULL, b"")


def unsigned_integer(value: int) -> bytes:
    """A minimal INTEGER; the value must not be negative."""
    return element(INTEGER, value.to_bytes(value.bit_length() // 8 + 1))


def object_identifier(dotted: str) -> bytes:
    """An OBJECT IDENTIFIER from its dotted form."""
    root, second, *rest = map(int, dotted.split("."))
    return element(OBJECT_IDENTIFIER, b"".join(map(_base_128, (40 * root + second, *rest))))


def _base_128(value: int) -> bytes:
    octets = [value & 0x7F]
    while value := value >> 7:
        octets.insert(0, _HIGH_BIT | value & 0x7F)
    return bytes(octets)
