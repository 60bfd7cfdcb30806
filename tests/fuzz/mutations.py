"""Ways to spoil a valid document: on its bytes, and on its structure where it is JSON."""

import json
from collections.abc import Callable, Sequence
from typing import Final

from hypothesis import strategies as st

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None

FRAGMENTS: Final = (
    b"", b"\x00", b"\xff", b"\x80\x80", b"\xef\xbb\xbf", b'"', b"\\", b'\\"', b"{", b"}", b"[" * 40,
    b"]", b",", b":", b"null", b"NaN", b"-Infinity", b"1e999", b"-0", b"0.0", b"9" * 400,
    b"\\ud800", b"\n", b"\r\n", b"=", b"==", b"-----", b"\x30\x80", b"\x02\x01\x80",
    b"&a [*a, *a]", b"\t", b"../", b" ",
)  # fmt: skip
ODD_VALUES: Final[tuple[Json, ...]] = (
    None, True, False, 0, -1, 1.5, 2**63, 2**64, 10**19, "", "a" * 5000, "\x00", "\ud800", "\u202e",
    "..", "00", "AA=", [], [[]], {}, {"": {}}, [None, None],
)  # fmt: skip


@st.composite
def spoiled_bytes(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """A seed after one to four changes of its bytes."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        start, end = sorted(draw(st.tuples(*[st.integers(0, len(data))] * 2)))
        change = draw(st.sampled_from(_BYTE_CHANGES))
        data = change(data, start, end, draw(st.sampled_from(FRAGMENTS)))
    return data


_ByteChange = Callable[[bytes, int, int, bytes], bytes]
_BYTE_CHANGES: Final[tuple[_ByteChange, ...]] = (
    lambda data, start, end, _: data[:start] + data[end:],
    lambda data, start, end, _: data[:end] + data[start:],
    lambda data, start, _end, _: data[:start],
    lambda data, start, _end, fragment: data[:start] + fragment + data[start:],
    lambda data, start, end, fragment: data[:start] + fragment + data[end:],
    lambda data, start, _end, fragment: data[:start] + fragment + data[start + len(fragment) :],
    lambda data, start, _end, _: _flipped(data, start),
)


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes(octet ^ 1 << at % 8 for octet in data[at : at + 1]) + data[at + 1 :]


class _Pairs(list[tuple[str, object]]):
    """An object that may hold a key twice."""


@st.composite
def spoiled_json(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """A JSON seed with one to three changes of its values; the syntax stays whole."""
    document = json.loads(draw(st.sampled_from(seeds)), object_pairs_hook=_Pairs)
    for _ in range(draw(st.integers(1, 3))):
        containers = list(_containers(document))
        if containers:
            _spoil(draw, draw(st.sampled_from(containers)))
    return _written(document).encode("utf-8", "surrogatepass")


def _containers(value: object) -> list[list[object]]:
    if not isinstance(value, list):
        return []
    inner = [item[1] if isinstance(value, _Pairs) else item for item in value]
    return [value, *(found for item in inner for found in _containers(item))] if value else []


def _spoil(draw: st.DrawFn, container: list[object]) -> None:
    at = draw(st.integers(0, len(container) - 1))
    key, value = container[at] if isinstance(container, _Pairs) else ("", container[at])
    kind = draw(st.sampled_from(("drop", "double", "replace", "nest", "rename", "swap")))
    if kind == "drop":
        del container[at]
    elif kind == "double":
        container.append(container[at])
    elif kind == "swap":
        container.append(container.pop(at))
    else:
        if kind == "replace":
            value = draw(st.sampled_from(ODD_VALUES))
        elif kind == "nest":
            value = [value]
        elif kind == "rename":
            key += draw(st.sampled_from(("x", " ", "\x00", "")))
        container[at] = (key, value) if isinstance(container, _Pairs) else value


def _written(value: object) -> str:
    if isinstance(value, _Pairs):
        pairs = (f"{json.dumps(key)}:{_written(item)}" for key, item in value)
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_written, value)) + "]"
    return json.dumps(value)
