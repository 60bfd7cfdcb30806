"""The published schemas of every Kubernetes release, as far as volumes and pods go."""

import functools
import json
from importlib.resources import files
from typing import Any, Final

RELEASES: Final = tuple(range(25, 38))
CORE: Final = "io.k8s.api.core.v1."

_SAMPLES: Final = {"string": "a", "integer": 1, "boolean": False, "array": ["a"]}


@functools.cache
def definitions(minor: int) -> dict[str, Any]:
    folder = files("kubernetes_validate") / "kubernetes-json-schema" / f"v1.{minor}.0-local"
    found: dict[str, Any] = json.loads((folder / "_definitions.json").read_text())
    return found["$defs"]  # type: ignore[no-any-return]


def fields_of(minor: int, kind: str) -> frozenset[str]:
    schema = definitions(minor).get(CORE + kind, {"properties": {}})
    return frozenset(schema["properties"])


def schema_of_source(owner: str, kind: str) -> dict[str, Any]:
    """That of a volume source, in the newest release that has it."""
    minor = max(each for each in RELEASES if kind in fields_of(each, owner))
    reference = definitions(minor)[CORE + owner]["properties"][kind]["$ref"]
    found: dict[str, Any] = definitions(minor)[reference.removeprefix("#/$defs/")]
    return found


def sample_of_source(owner: str, kind: str) -> dict[str, object]:
    """A source that says something in each of its plain fields."""
    properties = schema_of_source(owner, kind)["properties"]
    kinds = {field: _type_of(schema) for field, schema in properties.items()}
    found = {field: _SAMPLES[each] for field, each in kinds.items() if each in _SAMPLES}
    return found | {field: "/a" for field in found if field == "path"}


def _type_of(schema: dict[str, Any]) -> str:
    found = schema.get("type", "")
    kinds = found if isinstance(found, list) else [found]
    return str(next(each for each in kinds if each != "null"))
