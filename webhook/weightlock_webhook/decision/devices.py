"""Which classes of devices a DRA claim asks for (B21)."""

from collections.abc import Iterator, Mapping


def classes_in(value: object) -> frozenset[str]:
    """Every deviceClassName, however deep: the shape of requests differs between versions."""
    return frozenset(_classes(value))


def _classes(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, member in value.items():
            if key == "deviceClassName" and isinstance(member, str):
                yield member
            yield from _classes(member)
    elif isinstance(value, list):
        for item in value:
            yield from _classes(item)
