"""What is kept of an object, and whether one state of it is news after another."""

from collections import defaultdict
from typing import Final, TypeVar

from weightlock_operator.api.cluster import Json

_K = TypeVar("_K")

_IDENTITY: Final = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "deletionTimestamp",
    "annotations",
)


def identity(metadata: Json) -> Json:
    """What says which object it is, and in which state."""
    return {
        key: metadata[key]
        for key in (
            "name",
            "namespace",
            "uid",
            "resourceVersion",
            "deletionTimestamp",
            "annotations",
        )
        if key in metadata
    }


def says_the_same(before: Json | None, after: Json) -> bool:
    """Whether nothing but the resource version differs."""
    if before is None:
        return False
    version = {"resourceVersion": ""}
    one, other = ({**body, "metadata": {**body["metadata"], **version}} for body in (before, after))
    return one == other


def is_older(version: str, than: str | None) -> bool:
    """Whether a version came before another; only numbers can be compared."""
    if than is None or not (version.isdigit() and than.isdigit()):
        return False
    return int(version) < int(than)


def discard(index: defaultdict[_K, set[str]], key: _K, uid: str) -> None:
    """Take a uid out of an index, and a key that has none left."""
    found = index.get(key)
    if found is not None:
        found.discard(uid)
        if not found:
            del index[key]
