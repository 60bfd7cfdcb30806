"""What a panel is, without Grafana's words for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """How a panel shows its numbers; the values are Grafana's names."""

    NUMBER = "stat"
    LINES = "timeseries"
    BARS = "bargauge"


class Colour(StrEnum):
    """What a threshold says."""

    GOOD = "green"
    LOOK = "orange"
    BAD = "red"
    PLAIN = "blue"


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression and how its series are called."""

    expression: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """Colours by value: `first` from minus infinity on, then each (value, colour) upwards."""

    first: Colour
    steps: tuple[tuple[float, Colour], ...] = ()


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture. `width` is in Grafana's columns, of which a row has 24."""

    title: str
    description: str
    kind: Kind
    unit: str
    queries: Sequence[Query]
    width: int = 12
    limits: Limits = Limits(Colour.PLAIN)
    words: Mapping[int, str] = field(default_factory=dict)
    """What to write instead of a value."""
    stacked: bool = False
    least: float | None = 0
    decimals: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """Panels side by side; Grafana wraps none of them, so their widths add up to 24."""

    title: str
    panels: Sequence[Panel]
    height: int = 8


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A page. `uid` is stable: links to it survive upgrades."""

    uid: str
    title: str
    description: str
    rows: Sequence[Row]


NO_LIMITS = Limits(Colour.PLAIN)
NONE_IS_GOOD = Limits(Colour.GOOD, ((1, Colour.LOOK),))
ANY_IS_BAD = Limits(Colour.GOOD, ((1, Colour.BAD),))
YES_IS_GOOD = Limits(Colour.BAD, ((1, Colour.GOOD),))
