"""One HTTP/1.1 reply to a GET, from bytes as they come.

Only what an API server sends is understood: a length or chunks, no compression, no interim replies,
no body that ends with the connection. Anything else is no answer, so nothing is let in by it.
"""

import re
from typing import Final

from weightlock_webhook.cache.errors import TooLarge, Unreachable
from weightlock_webhook.reviews.collaborators import Reply

MOST_HEAD_BYTES: Final = 64 << 10
LONGEST_CHUNK_LINE: Final = 256

_END: Final = b"\r\n"
_HEAD_END: Final = b"\r\n\r\n"
_STATUS: Final = re.compile(rb"http/1\.1 ([2-5][0-9]{2})[ \r]")
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,15})[ \t]*\r\n")
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n")
_CHUNK: Final = re.compile(rb"([0-9a-fA-F]{1,12})[ \t]*(?:;[^\r\n]*)?")
_CLOSE: Final = b"\r\nconnection: close\r\n"
_WITHOUT_BODY: Final = frozenset({204, 304})


class Incoming:
    """A reply that is being read. Law: however the bytes are cut, it is the same reply."""

    __slots__ = ("_body", "_chunked", "_left", "_most_bytes", "_rest", "_status", "is_last")

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._rest = bytearray()
        self._body = bytearray()
        self._status = 0
        self._chunked = False
        self._left = 0
        self.is_last = False
        """Whether the server will close the connection after it."""

    @property
    def is_untouched(self) -> bool:
        """Whether nothing of it has come yet."""
        return not (self._rest or self._status)

    def feed(self, data: bytes) -> Reply | None:
        """The reply, once it is whole.

        Raises:
            Unreachable: for anything that is no reply, or goes on after its end; TooLarge.
        """
        self._rest += data
        if not self._status and not self._read_head():
            return None
        is_whole = self._read_chunks() if self._chunked else self._read_length()
        if not is_whole:
            return None
        if self._rest:
            raise Unreachable("the API server sent more than one answer")
        return Reply(self._status, bytes(self._body))

    def _read_head(self) -> bool:
        end = self._rest.find(_HEAD_END)
        if end < 0:
            if len(self._rest) > MOST_HEAD_BYTES:
                raise Unreachable("the head of the API server's answer is too long")
            return False
        head = bytes(self._rest[: end + 2]).lower()
        del self._rest[: end + 4]
        status = _STATUS.match(head)
        if status is None:
            raise Unreachable("the API server's answer is not HTTP/1.1")
        self._status = int(status[1])
        self._chunked, self._left = self._framed(head)
        self._check(self._left)
        self.is_last = _CLOSE in head
        return True

    def _framed(self, head: bytes) -> tuple[bool, int]:
        lengths = head.count(b"\r\ncontent-length:")
        codings = head.count(b"\r\ntransfer-encoding:")
        if (lengths, codings) == (0, 1) and _CHUNKED.search(head):
            return True, 0
        length = _LENGTH.search(head)
        if (lengths, codings) == (1, 0) and length:
            return False, int(length[1])
        if (lengths, codings) == (0, 0) and self._status in _WITHOUT_BODY:
            return False, 0
        raise Unreachable("the API server's answer does not say where it ends")

    def _read_length(self) -> bool:
        if len(self._rest) < self._left:
            return False
        self._body = self._rest[: self._left]
        del self._rest[: self._left]
        return True

    def _read_chunks(self) -> bool:
        at, rest = 0, self._rest
        while (line := rest.find(_END, at)) >= 0:
            size = self._chunk_size(at, line)
            begin, end = line + 2, line + 2 + size
            if not size:
                # Trailers end with an empty line; without any, that follows at once.
                last = rest.find(_HEAD_END, line)
                del rest[: at if last < 0 else last + 4]
                if len(rest) > MOST_HEAD_BYTES:
                    raise Unreachable("the API server's answer does not end")
                return last >= 0
            if len(rest) < end + 2:
                break
            if rest[end : end + 2] != _END:
                raise Unreachable("a chunk of the API server's answer is longer than it says")
            self._body += rest[begin:end]
            self._check(len(self._body))
            at = end + 2
        del rest[:at]
        if _is_endless(rest):
            raise Unreachable("the API server's answer is not in chunks")
        return False

    def _chunk_size(self, at: int, line: int) -> int:
        size = _CHUNK.fullmatch(self._rest, at, line)
        if size is None:
            raise Unreachable("the API server's answer is not in chunks")
        found = int(size[1], 16)
        self._check(len(self._body) + found)
        return found

    def _check(self, size: int) -> None:
        if size > self._most_bytes:
            raise TooLarge(f"the API server sent more than {self._most_bytes} bytes")


def _is_endless(rest: bytearray) -> bool:
    """Whether what should be the line before a chunk does not end."""
    return len(rest) > LONGEST_CHUNK_LINE and _END not in rest[:LONGEST_CHUNK_LINE]
