"""Which version a document says it is, before anything else in it is looked at."""

import re
from collections.abc import Mapping
from typing import Final

from weightlock.errors import Malformed, NewerDocument
from weightlock.policy.scalars import shown

_VERSION: Final = re.compile(r"(.{1,100}/v)([1-9][0-9]{0,5})", re.ASCII)


def check_schema(document: object, expected: str, what: str) -> None:
    """Refuse what is not of the expected schema.

    Raises:
        NewerDocument: for a later version of the same schema.
        Malformed: for anything else.
    """
    found = document.get("schema") if isinstance(document, Mapping) else None
    if found == expected:
        return
    if isinstance(found, str) and _is_newer(found, expected):
        raise NewerDocument(
            f"{what} is {shown(found)}, newer than {expected}, which this version reads",
            hint="Use operator, webhook and verifier images of one release.",
        )
    raise Malformed(f"{what} is of the schema {shown(found)}, expected {expected}")


def _is_newer(found: str, expected: str) -> bool:
    theirs, ours = _VERSION.fullmatch(found), _VERSION.fullmatch(expected)
    if theirs is None or ours is None or theirs[1] != ours[1]:
        return False
    return int(theirs[2]) > int(ours[2])
