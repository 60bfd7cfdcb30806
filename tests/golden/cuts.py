"""Vectors of how files are cut into segments, dealt out to shards, and named."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from tests.golden.layout import Row, text

from weightlock.checkpoint.layout import segments_of
from weightlock.engines.engine import OpenFile
from weightlock.formats.shards import Shard

GIB: Final = 2**30
WEIGHTS: Final = "w.safetensors"


def cut_vectors() -> str:
    """segments.json."""
    return text(
        [
            "Vectors of how a file is cut when it is signed; docs/checkpoint-format.md, section 3.",
            "A file has a name, a size, and first bytes `head` in hexadecimal; where the head",
            "ends before the size, zeros follow (they change nothing). `segments` lists what must",
            "come out: [offset, length, name of the tensor or null]. `header` repeats the JSON",
            "header as text where that is readable.",
            "shards: segments of these lengths, dealt out to `count` shards; `shares` lists the",
            "numbers of the segments of each shard.",
        ],
        files=_files(),
        shards=_shards(),
    )


@dataclass(frozen=True)
class _Opened:
    name: str
    descriptor: int
    size: int


class _OneFile:
    """Implements the engines' Files over one open file."""

    def __init__(self, opened: _Opened) -> None:
        self._opened = opened

    @contextmanager
    def open(self, file: int) -> Iterator[OpenFile]:
        """The file, whichever number it has."""
        del file
        yield self._opened


def _row(case: str, name: str, head: bytes, size: int) -> Row:
    with tempfile.TemporaryFile() as file:
        file.write(head[:size])
        file.flush()
        os.truncate(file.fileno(), size)
        files = _OneFile(_Opened(name, file.fileno(), size))
        cut = segments_of(files, 0, name, size)
    segments = [[part.offset, part.length, part.tensor] for part in cut]
    readable = {"header": head[8:].decode()} if head[8:].isascii() and head[8:] else {}
    return {
        "case": case, "name": name, "size": size, **readable, "head": head.hex(),
        "segments": segments,
    }  # fmt: skip


def _headed(case: str, header: bytes | object, data_bytes: int) -> Row:
    written = header if isinstance(header, bytes) else json.dumps(header).encode()
    return _row(case, WEIGHTS, _head(written), 8 + len(written) + data_bytes)


def _head(header: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header


def _at(*pairs: list[object]) -> dict[str, object]:
    names = "abcdefgh"
    return {names[n]: {"dtype": "U8", "data_offsets": pair} for n, pair in enumerate(pairs)}


def _files() -> Iterator[Row]:
    yield from _opaque_files()
    sound = _at([0, 5], [5, 12])
    yield _headed("two tensors", sound, 12)
    yield _headed("metadata is no tensor", {"__metadata__": {"format": "pt"}, **sound}, 12)
    yield _headed("tensors in the order of offsets", _at([5, 12], [0, 5]), 12)
    yield _headed("blanks after the header", json.dumps(sound).encode() + b"   ", 12)
    yield _headed("gaps before, between, after", _at([2, 5], [6, 7]), 9)
    yield _headed("a tensor of nothing has no segment", _at([0, 5], [5, 5], [5, 6]), 6)
    yield _headed("a tensor of nothing parts a gap", _at([0, 2], [3, 3]), 4)
    yield _headed("nothing but empty tensors", _at([0, 0], [0, 0]), 0)
    yield _headed("no tensors and data", {}, 7)
    yield _headed("no tensors, no data", {}, 0)
    yield _headed("a tensor of more than a GiB", _at([0, 3 * GIB]), 3 * GIB)
    yield _headed("a gap of more than a GiB", _at([0, 1]), 2 * GIB)
    yield _headed("a name outside ASCII", {"\u00e9": {"data_offsets": [0, 1]}}, 1)
    refused: dict[str, object] = {
        "overlap": _at([0, 5], [4, 6]),
        "the same bytes twice": _at([0, 5], [0, 5]),
        "nothing inside a tensor": _at([0, 9], [3, 3]),
        "a tensor beyond the end": _at([0, 13]),
        "an end before its begin": _at([5, 3]),
        "a begin below zero": _at([-1, 3]),
        "one offset": _at([0]),
        "three offsets": _at([0, 1, 2]),
        "offsets as strings": _at(["0", "5"]),
        "offsets as booleans": _at([False, True]),
        "a fraction anywhere": {"__metadata__": {"x": 1.5}, **sound},
        "a tensor that is a list": {"a": [0, 5]},
        "a tensor without offsets": {"a": {}},
        "a list": [],
        "a key twice": b'{"a":{"data_offsets":[0,5]},"a":{"data_offsets":[5,12]}}',
        "cut short": json.dumps(sound).encode()[:-1],
        "garbage": b"\x80\x02}q\x00.garbage",
        "bytes that are not UTF-8": b'{"\xff":{"data_offsets":[0,5]}}',
        "half of a surrogate pair": b'{"\\ud800":{"data_offsets":[0,5]}}',
        "nested 33 deep": b'{"a":' + b"[" * 32 + b"]" * 32 + b"}",
    }
    for case, header in refused.items():
        yield _headed(f"opaque: {case}", header, 12)


def _opaque_files() -> Iterator[Row]:
    sound = _head(json.dumps(_at([0, 5])).encode())
    yield _row("an empty file", "empty", b"", 0)
    yield _row("an empty file of tensors", WEIGHTS, b"", 0)
    yield _row("another suffix", "w.bin", sound, len(sound) + 5)
    yield _row("a suffix in capitals", "w.SAFETENSORS", sound, len(sound) + 5)
    yield _row("the suffix alone", "sub/.safetensors", sound, len(sound) + 5)
    for size in (1, GIB - 1, GIB, GIB + 1, 2 * GIB, 5 * GIB + 7):
        yield _row(f"{size} bytes", "w.bin", b"", size)
    yield _row("opaque: seven bytes", WEIGHTS, b"\x02" + bytes(6), 7)
    yield _row("opaque: a header of no bytes", WEIGHTS, bytes(8), 20)
    yield _row("opaque: a header of one byte", WEIGHTS, _head(b"0"), 20)
    yield _row("opaque: a header beyond the end", WEIGHTS, (99).to_bytes(8, "little"), 20)
    yield _row("opaque: a header of 2^64 - 1", WEIGHTS, b"\xff" * 8, 20)
    yield _row("opaque: a header above 16 MiB", WEIGHTS, (2**24 + 1).to_bytes(8, "little"), 3 * GIB)


def _shards() -> Iterator[Row]:
    for lengths in ([], [5], [1, 1, 1, 1], [3, 3, 2, 2, 2], [1, 9, 1, 1], [10, 20, 30, 40, 50, 60]):
        for count in (1, 2, 3, 7):
            shares = [Shard(index, count).share(lengths) for index in range(count)]
            yield {"lengths": lengths, "count": count, "shares": shares}


def name_vectors() -> str:
    """filenames.json."""
    return text(
        [
            "Names that a file of a checkpoint may and may not have; docs/checkpoint-format.md,",
            "section 4. Each is given by the bytes of the name in hexadecimal; `shown` is for",
            "people. together: lists of names that are fine alone and refused together.",
        ],
        accepted=[_name(name.encode()) for name in _ACCEPTED],
        refused=[_name(name) for name in _REFUSED],
        together=[{"names": [_name(name.encode()) for name in names]} for names in _TOGETHER],
    )


def _name(name: bytes) -> Row:
    decoded = name.decode("utf-8", "surrogateescape")
    return {"utf8": name.hex(), "shown": ascii(decoded[:40])}


_LONGEST: Final = "/".join(["d" * 127] * 32) + "d"
_ACCEPTED: Final = (
    "a", "model.safetensors", "a/b/c.bin", ".gitattributes", "a..b/...", "~", "a b", "ab:0:10",
    "1:x", "a/C:x", "w\u00e9", "we\u0301", "\u4e2d\u6587/\U0001f600", "-rf", "sub/model.sig",
    "model.sig/x", "model.sig.bak", "x" * 255, "\u00e9" * 127, _LONGEST,
)  # fmt: skip
_REFUSED: Final = (
    b"", b"/", b"/a", b"//a", b"C:x", b"z:/x", b".", b"..", b"../x", b"a/..", b"a/../b", b"./a",
    b"a/./b", b"a//b", b"a/", b"a\x00", b"a\nb", b"a\r", b"a\tb", b"a\x1b[31m", b"a\x7f", b"a\\b",
    b"\xff", b"a/\xc0\xaf", b"\xed\xa0\x80",
    *(f"a{character}b".encode() for character in
      "\x80\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b\u180f\u200b\u200f\u2028\u2029"
      "\u202a\u202e\u2060\u206f\u3164\ufe00\ufe0f\ufeff\uffa0\ufff0\ufff8\ufff9\ufffb"
      "\U0001bca0\U0001bca3\U0001d173\U0001d17a\U000e0000\U000e0041\U000e0fff"),
    b"x" * 256, ("\u00e9" * 128).encode(), (_LONGEST + "d").encode(),
)  # fmt: skip
_TOGETHER: Final = (
    ("a", "a"), ("Model.bin", "model.bin"), ("A/x", "a/x"), ("stra\u00dfe", "STRASSE"),
    ("w\u00e9", "we\u0301"), ("W\u00c9", "we\u0301"), ("\u212a", "k"), ("\u03c3", "\u03c2"),
    ("model.sig",), ("model.pqc.sig",), ("Model.SIG",), ("MODEL.PQC.SIG",),
)  # fmt: skip
