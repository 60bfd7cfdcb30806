"""How the vectors are written: a comment that explains them, then one row to a line."""

import json
from collections.abc import Iterable, Mapping, Sequence

Row = Mapping[str, object]


def pattern(length: int) -> bytes:
    """The content of all inputs that are given by their length: byte number i is i mod 251."""
    return bytes(index % 251 for index in range(251)) * (length // 251) + bytes(range(length % 251))


def text(comment: Sequence[str], **tables: Iterable[Row]) -> str:
    """One file of vectors. Plain ASCII, so that nothing on the way can change it."""
    parts = [f' "_comment": [\n{_lines(comment)}\n ]']
    parts += [f' "{name}": [\n{_lines(rows)}\n ]' for name, rows in tables.items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _lines(rows: Iterable[object]) -> str:
    return ",\n".join("  " + json.dumps(row, ensure_ascii=True) for row in rows)
