"""JSON that is nested too deeply for any parser, cut down to what can be read.

Whoever may create any object in a cluster chooses how deep `metadata.managedFields` goes, and the
API server keeps it. A parser that gives up at such an object gives up at the whole list that holds
it, and so at everybody else's objects. Nothing that is read here lies that deep.

Law: parsed(shallow(json_of(value), most)) == value with whatever lies deeper than `most` as null.
"""

import re
from typing import Final

MOST_DEPTH: Final = 64
"""Levels of a list of Kubernetes objects that mean anything: a pod in a list has 15."""

_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}]', re.DOTALL)
_OPENING: Final = b"[{"


def shallow(document: bytes, most: int = MOST_DEPTH) -> bytes:
    """The document with `null` for every array and object below that many others.

    Whether what is cut out would have been JSON, nobody asks.
    """
    pieces: list[bytes] = []
    depth = kept_from = 0
    for token in _TOKEN.finditer(document):
        sign = document[token.start()]
        if sign == ord('"'):
            continue
        if sign in _OPENING:
            depth += 1
            if depth == most + 1:
                pieces += (document[kept_from : token.start()], b"null")
        else:
            if depth == most + 1:
                kept_from = token.end()
            depth -= 1
    if depth > most:  # it ends in the middle of what is cut out
        return b"".join(pieces)
    pieces.append(document[kept_from:])
    return b"".join(pieces)


def is_deep(document: bytes, most: int = MOST_DEPTH) -> bool:
    """Whether it may be nested deeper: a quick look, which sometimes says so of one that is not."""
    return (
        document.count(b"{") + document.count(b"[") > most and shallow(document, most) != document
    )
