"""docs/reference/api.md from `crds/`: `python -m tests.support.api_reference` writes it."""

from collections.abc import Iterator
from pathlib import Path

from tests.support.crds import Json, definition, schema, version

FILE = Path(__file__).parents[2] / "docs" / "reference" / "api.md"

HEAD = """# The API: weightlock.dev/v1beta1

Written from [crds/](../../crds) by `python -m tests.support.api_reference`; a test compares. On a
cluster, `kubectl explain clustermodelpolicy.spec` says the same. Bold fields are required. `[]` is
a list, `{}` a mapping with keys of your own.
"""

SAME = """## ModelPolicy

The same for one namespace, its own: a ModelPolicy has all fields of a ClusterModelPolicy but
`spec.namespaceSelector`. It can only narrow what cluster policies say.
"""


def reference() -> str:
    """The whole page."""
    parts = [HEAD, page("clustermodelpolicies"), SAME, page("modelcheckpoints")]
    return "\n".join(parts)


def page(plural: str) -> str:
    names = definition(plural)["spec"]["names"]
    words = f"`{names['plural']}`, `{names['shortNames'][0]}`"
    columns = ", ".join(each["name"] for each in version(plural)["additionalPrinterColumns"])
    lines = [
        f"## {names['kind']}",
        "",
        schema(plural)["description"],
        "",
        f"{words} · {definition(plural)['spec']['scope'].lower()} · columns: {columns}",
        "",
    ]
    for part in ("spec", "status"):
        lines += ["| field | type | meaning |", "|---|---|---|"]
        lines += [f"| `{part}` | object | {schema(plural, part)['description']} |"]
        lines += list(rows(schema(plural, part), part))
        lines += [""]
    lines += rules(schema(plural, "spec"), "spec")
    return "\n".join(lines)


def rows(found: Json, path: str) -> Iterator[str]:
    """A row for each field below."""
    for name, child in found.get("properties", {}).items():
        yield from field(child, f"{path}.{name}", required=name in found.get("required", []))


def field(child: Json, path: str, *, required: bool) -> Iterator[str]:
    inner = child
    while "items" in inner or "additionalProperties" in inner:
        path += "[]" if "items" in inner else "{}"
        inner = inner.get("items") or inner["additionalProperties"]
    shown = f"**`{path}`**" if required else f"`{path}`"
    yield f"| {shown} | {kind(inner)} | {meaning(child)} |"
    yield from rows(inner, path)


def kind(found: Json) -> str:
    if "enum" in found:
        return " \\| ".join(f"`{word}`" for word in found["enum"])
    if "x-kubernetes-int-or-string" in found:
        return "integer or string"
    bounds = [found.get("minimum"), found.get("maximum")]
    text = str(found["type"])
    if found["type"] == "integer" and None not in bounds:
        return f"{text} {bounds[0]} to {bounds[1]}"
    return text


def meaning(outer: Json) -> str:
    words = [outer["description"]]
    default = outer.get("default")
    if default not in (None, {}):
        words.append(
            f"Default: `{str(default).lower() if isinstance(default, bool) else default}`."
        )
    most = outer.get("maxItems")
    if most:
        words.append(f"At most {most}.")
    return " ".join(words).replace("|", "\\|")


def rules(found: Json, path: str) -> list[str]:
    """What must hold between fields."""
    lines = ["Besides:", ""]
    for where, message in sorted(set(messages(found, path))):
        lines.append(f"- `{where}`: {message}.")
    return [*lines, ""] if len(lines) > 2 else []


def messages(found: Json, path: str) -> Iterator[tuple[str, str]]:
    for rule in found.get("x-kubernetes-validations", []):
        yield path, rule["message"]
    for name, child in found.get("properties", {}).items():
        yield from messages(child, f"{path}.{name}")
    for word, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if word in found:
            yield from messages(found[word], path + mark)


if __name__ == "__main__":
    FILE.write_text(reference())
