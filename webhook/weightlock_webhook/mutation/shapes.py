"""Reading the parts of a pod that mutation looks at; whatever has another shape counts as absent.

The pod has been read strictly before (weightlock_webhook.mounts.pods), so this decides nothing.
"""

from collections.abc import Mapping


def texts_of(metadata: Mapping[str, object], key: str) -> Mapping[str, str]:
    """Labels or annotations."""
    found = metadata.get(key)
    if not isinstance(found, Mapping):
        return {}
    return {name: value for name, value in found.items() if isinstance(value, str)}


def objects_of(spec: Mapping[str, object], key: str) -> tuple[Mapping[str, object], ...]:
    """A list of objects."""
    found = spec.get(key)
    if not isinstance(found, list):
        return ()
    return tuple(entry for entry in found if isinstance(entry, Mapping))


def part_of(pod: Mapping[str, object], key: str) -> Mapping[str, object]:
    """`metadata` or `spec` of a pod."""
    found = pod.get(key)
    return found if isinstance(found, Mapping) else {}


def pointer(key: str) -> str:
    """A key as one segment of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")
