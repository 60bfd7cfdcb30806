"""Kubernetes label selectors, as frozen values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from weightlock.errors import Malformed
from weightlock.policy.fields import Fields
from weightlock.policy.scalars import shown
from weightlock.policy.sizes import MOST_EXPRESSIONS, MOST_LABELS, MOST_VALUES

_LABEL_VALUE: Final = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_LABEL_KEY: Final = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
)


class Operator(StrEnum):
    """How an expression compares a label with its values."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


@dataclass(frozen=True, slots=True)
class Expression:
    """One condition on one label."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """As the API server decides it: NotIn also matches where the label is missing."""
        match self.operator:
            case Operator.IN:
                return labels.get(self.key) in self.values
            case Operator.NOT_IN:
                return labels.get(self.key) not in self.values
            case Operator.EXISTS:
                return self.key in labels
            case _:  # DoesNotExist
                return self.key not in labels


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """All of the expressions; with none it matches everything."""

    expressions: tuple[Expression, ...] = ()

    @classmethod
    def from_fields(cls, fields: Fields) -> "LabelSelector":
        """Read `matchLabels` and `matchExpressions`."""
        pairs = tuple(
            Expression(key, Operator.IN, (value,))
            for key, value in labels(fields, "matchLabels").items()
        )
        sections = fields.sections("matchExpressions", EXPRESSION_FIELDS, MOST_EXPRESSIONS)
        return cls(pairs + tuple(_expression(section) for section in sections))

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether every expression holds."""
        return all(expression.matches(labels) for expression in self.expressions)


SELECTOR_FIELDS: Final = ("matchLabels", "matchExpressions")
EXPRESSION_FIELDS: Final = ("key", "operator", "values")


def label_key(text: str) -> str:
    """A label's key, with or without a prefix."""
    if not _LABEL_KEY.fullmatch(text):
        raise Malformed(f"found {shown(text)}, expected a label key")
    return text


def label_value(text: str) -> str:
    """A label's value; it may be empty."""
    if not _LABEL_VALUE.fullmatch(text):
        raise Malformed(f"found {shown(text)}, expected a label value")
    return text


def labels(fields: Fields, field: str) -> dict[str, str]:
    """The labels that a field holds."""
    found = fields.mapping_of_texts(field, label_value, MOST_LABELS)
    for key in found:
        if not _LABEL_KEY.fullmatch(key):
            raise fields.wrong(field, f"found the key {shown(key)}, expected a label key")
    return found


def _expression(fields: Fields) -> Expression:
    operator = fields.choice("operator", Operator)
    values = fields.texts("values", label_value, MOST_VALUES)
    if (operator in (Operator.IN, Operator.NOT_IN)) != bool(values):
        expected = "none" if values else "at least one"
        raise fields.wrong("values", f"found {len(values)}, expected {expected} with {operator}")
    return Expression(fields.text("key", label_key), operator, values)
