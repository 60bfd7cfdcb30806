"""YAML and JSON as people write them for kubectl, minus what two parsers read differently.

Refused: duplicate keys, anchors and aliases, tags, keys that are no text, plain scalars that YAML
1.1 and JSON disagree about (`yes`, `0x1f`, `1_000`), depth, size (A24). An instant stays a text.
Messages name line and column and never quote the document, which may hold a pasted secret (C24).
"""

import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import Final

import yaml

from weightlock.errors import LimitExceeded, Malformed

MAX_DOCUMENT_BYTES: Final = 1024 * 1024
"""Well above what an API server stores of one object that a person writes."""

MAX_DEPTH: Final = 32
MAX_DIGITS: Final = 19
"""The digits of a 64-bit integer."""

_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)", re.ASCII)
_FLOAT: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_CONSTANTS: Final = {"": None, "~": None, "null": None, "true": True, "false": False}
_RESOLVER: Final = yaml.resolver.Resolver()
_TEXT_TAGS: Final = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:timestamp")


def load_documents(text: str | bytes, *, max_bytes: int = MAX_DOCUMENT_BYTES) -> list[object]:
    """The documents of a text: mappings, lists, texts, numbers, booleans, None.

    Documents that hold nothing are left out. Law: load_documents(json.dumps(x)) == [x] for mappings
    of such values.

    Raises:
        LimitExceeded: for a text that is too long.
        Malformed: for everything that the module refuses.
    """
    source = _decoded(text, max_bytes)
    try:
        found = list(_documents(source))
    except yaml.MarkedYAMLError as error:
        raise _malformed(error.problem_mark, "not YAML") from None
    except yaml.YAMLError:
        raise Malformed("the text holds characters that YAML does not allow") from None
    return [document for document in found if document is not None]


def _decoded(text: str | bytes, max_bytes: int) -> str:
    size = len(text)
    if size > max_bytes:
        raise LimitExceeded(f"a text of {size} bytes; expected at most {max_bytes}")
    try:
        return text.decode("utf-8") if isinstance(text, bytes) else text
    except UnicodeDecodeError as error:
        raise Malformed(f"the text is not UTF-8 at byte {error.start}") from None


def _malformed(mark: object, what: str) -> Malformed:
    if not isinstance(mark, yaml.Mark):
        return Malformed(f"the text is {what}")
    return Malformed(f"line {mark.line + 1}, column {mark.column + 1}: {what}")


def _documents(text: str) -> Iterator[object]:
    if text.lstrip()[:1] == "{":
        # JSON is nearly YAML; its escapes for characters beyond the 16-bit plane are not.
        try:
            yield _json(text)
            return
        except (json.JSONDecodeError, RecursionError):
            pass  # `{a: b}` is YAML and not JSON; if it is neither, YAML says where
    events = yaml.parse(text, Loader=yaml.SafeLoader)
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            yield _value(next(events), events, 0)


def _json(text: str) -> object:
    value: object = json.loads(
        text,
        object_pairs_hook=_json_mapping,
        parse_int=_integer,
        parse_float=_float,
        parse_constant=_no_constant,
    )
    _refuse_depth(value)
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Malformed("the JSON text holds half of a surrogate pair") from None
    return value


def _json_mapping(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Malformed("the JSON text has the same key twice in one mapping")
    return found


def _no_constant(_: str) -> object:
    raise Malformed("the JSON text holds NaN or Infinity")


def _refuse_depth(value: object) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [inner for outer in level for inner in _children(outer)]
        if not level:
            return
    raise _too_deep(None)


def _children(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _too_deep(mark: object) -> Malformed:
    return _malformed(mark, f"nested more than {MAX_DEPTH} deep")


def _value(event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> object:
    if not isinstance(event, yaml.NodeEvent) or isinstance(event, yaml.AliasEvent):
        raise _malformed(event.start_mark, "an alias; write the value out")
    if event.anchor is not None:
        raise _malformed(event.start_mark, "an anchor; write values out where they belong")
    if depth > MAX_DEPTH:
        raise _too_deep(event.start_mark)
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event)
    if not isinstance(event, yaml.CollectionStartEvent) or event.tag is not None:
        raise _malformed(event.start_mark, "a tag; write plain values")
    if isinstance(event, yaml.SequenceStartEvent):
        return _sequence(events, depth)
    return _mapping(events, depth)


def _sequence(events: Iterator[yaml.Event], depth: int) -> list[object]:
    found: list[object] = []
    while not isinstance(event := next(events), yaml.SequenceEndEvent):
        found.append(_value(event, events, depth + 1))
    return found


def _mapping(events: Iterator[yaml.Event], depth: int) -> dict[str, object]:
    found: dict[str, object] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        key = _value(event, events, depth + 1)
        if not isinstance(key, str):
            raise _malformed(event.start_mark, "a key that is no text; put it in quotes")
        if key in found:
            raise _malformed(event.start_mark, "the same key a second time")
        found[key] = _value(next(events), events, depth + 1)
    return found


def _scalar(event: yaml.ScalarEvent) -> object:
    if event.tag is not None:
        raise _malformed(event.start_mark, "a tag; write plain values")
    plain = event.implicit[0]
    if not plain:
        return _text(event)
    if event.value in _CONSTANTS:
        return _CONSTANTS[event.value]
    try:
        if _INTEGER.fullmatch(event.value):
            return _integer(event.value)
        if _FLOAT.fullmatch(event.value):
            return _float(event.value)
    except Malformed as malformed:
        raise _malformed(event.start_mark, malformed.message) from None
    if _tag(event.value) not in _TEXT_TAGS:
        raise _malformed(
            event.start_mark, "a word that YAML versions read differently; put it in quotes"
        )
    return _text(event)


def _tag(plain: str) -> object:
    """What YAML 1.1 takes a plain scalar for."""
    tag: object = _RESOLVER.resolve(  # type: ignore[no-untyped-call] # the stubs leave it untyped
        yaml.ScalarNode, plain, (True, False)
    )
    return tag


def _text(event: yaml.ScalarEvent) -> str:
    text: str = event.value
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise _malformed(event.start_mark, "half of a surrogate pair")
    return text


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:  # int() takes quadratic time
        raise Malformed(f"a number of more than {MAX_DIGITS} digits")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise Malformed("a number beyond all floating point numbers")
    return value
