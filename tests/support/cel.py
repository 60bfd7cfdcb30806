"""CEL rules of a schema, evaluated as servers from 1.25 on do it, with another implementation."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from celpy import Environment, Runner
from celpy.adapter import json_to_cel
from celpy.evaluation import CELEvalError

Json = dict[str, Any]


@cache
def program(rule: str) -> Runner:
    environment = Environment()
    return environment.program(environment.compile(rule))


def broken_rules(value: Any, found: Json) -> Iterator[str]:
    """The messages of the rules that a value breaks, here and below. Defaults must be applied."""
    for rule in found.get("x-kubernetes-validations", []):
        try:
            holds = bool(program(rule["rule"]).evaluate({"self": json_to_cel(value)}))
        except CELEvalError:
            holds = False  # a server refuses as well
        if not holds:
            yield rule["message"]
    if isinstance(value, dict):
        for name, item in value.items():
            child = found.get("properties", {}).get(name, found.get("additionalProperties", {}))
            yield from broken_rules(item, child)
    if isinstance(value, list):
        for item in value:
            yield from broken_rules(item, found.get("items", {}))
