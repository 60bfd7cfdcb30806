"""The custom resource definitions of `crds/` as a server reads them, without a server.

Defaults are applied and the schema is checked as an API server does it. CEL rules are not
evaluated: servers before 1.25 drop them, so nothing may rest on them alone.
"""

import copy
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml

Json = dict[str, Any]

FOLDER = Path(__file__).parents[2] / "crds"
PLURALS = ("clustermodelpolicies", "modelpolicies", "modelcheckpoints")
VERSION = "v1beta1"


@functools.cache
def definition(plural: str) -> Json:
    found: Json = yaml.safe_load((FOLDER / f"{plural}.yaml").read_text())
    return found


def version(plural: str) -> Json:
    (found,) = definition(plural)["spec"]["versions"]
    assert found["name"] == VERSION
    return found  # type: ignore[no-any-return]


def schema(plural: str, path: str = "") -> Json:
    """The schema of a field, `items` standing for a list's items: `spec.volumes.rules.items`."""
    found: Json = version(plural)["schema"]["openAPIV3Schema"]
    for step in filter(None, path.split(".")):
        if step in ("items", "additionalProperties") and step not in found.get("properties", {}):
            found = found[step]
        else:
            found = found["properties"][step]
    return found


def schemas(found: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """Every schema below, with its path."""
    yield path, found
    for name, child in found.get("properties", {}).items():
        yield from schemas(child, f"{path}.{name}" if path else name)
    for word in ("items", "additionalProperties"):
        if word in found:
            yield from schemas(found[word], f"{path}.{word}")


def defaulted(value: object, found: Json) -> Any:
    """The value with the schema's defaults where fields are missing, as the server stores it."""
    if isinstance(value, dict):
        result = dict(value)
        for name, child in found.get("properties", {}).items():
            if name not in result and "default" in child:
                result[name] = copy.deepcopy(child["default"])
        children = found.get("properties", {})
        rest = found.get("additionalProperties", {})
        return {key: defaulted(item, children.get(key, rest)) for key, item in result.items()}
    if isinstance(value, list):
        return [defaulted(item, found.get("items", {})) for item in value]
    return value


def errors(value: object, found: Json) -> list[str]:
    """What a server would refuse, unknown fields included: it drops them, and kubectl complains."""
    validator = jsonschema.Draft202012Validator(_plain(found))
    complaints = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]
    return complaints + [f"{path}: an item twice" for path in _repetitions(value, found, "$")]


def _plain(found: Json) -> Json:
    """The same as JSON Schema: closed, and with the extension for quantities spelled out."""
    words = {key: item for key, item in found.items() if not key.startswith("x-kubernetes-")}
    if found.get("x-kubernetes-int-or-string"):
        words["type"] = ["integer", "string"]
    if "pattern" in words:  # RE2's end is the end of the text; Python's may be before a line's end
        words["pattern"] = words["pattern"].removesuffix("$") + r"\Z"
    for word in ("items", "additionalProperties"):
        if word in words:
            words[word] = _plain(words[word])
    if "properties" in words:
        words["properties"] = {key: _plain(item) for key, item in words["properties"].items()}
        words["additionalProperties"] = False
    if words.pop("format", None) == "int64":
        words["maximum"] = words.get("maximum", 2**63 - 1)
    return words


def _repetitions(value: object, found: Json, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, child in found.get("properties", {}).items():
            if name in value:
                yield from _repetitions(value[name], child, f"{path}.{name}")
    if isinstance(value, list):
        keys = [_identity(item, found) for item in value]
        if any(key is not None and keys.index(key) != at for at, key in enumerate(keys)):
            yield path
        for at, item in enumerate(value):
            yield from _repetitions(item, found.get("items", {}), f"{path}[{at}]")


def _identity(item: object, found: Json) -> object:
    match found.get("x-kubernetes-list-type"):
        case "set":
            return (type(item), item)
        case "map" if isinstance(item, dict):
            return tuple(item.get(key) for key in found["x-kubernetes-list-map-keys"])
        case _:
            return None
