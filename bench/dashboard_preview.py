"""Draws the dashboards over a simulated day, as SVG files for readers who have no Grafana at hand.

    python -m bench.dashboard_preview --out docs/plots

Every query goes to a real Prometheus, which is loaded with the simulated day. Grafana draws
prettier pictures. Needs matplotlib, which nothing else here does: pip install matplotlib
"""

import argparse
import importlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.simulation.day import DAY_SECONDS
from bench.simulation.recording import record
from e2e.cluster.commands import Programs as Commands
from e2e.cluster.progress import Progress
from e2e.cluster.settings import Settings
from e2e.prometheus.programs import Programs, prometheus_programs
from e2e.prometheus.server import Prometheus, configuration, running_prometheus
from e2e.prometheus.shipped import plain

DASHBOARDS = Path(__file__).resolve().parents[1] / "charts" / "weightlock" / "dashboards"
START = datetime(2026, 11, 20, tzinfo=UTC).timestamp()
NUMBERS_AT = START + 15.5 * 3600  # while two checkpoints are damaged: every panel has something
STEP_SECONDS = 600
WINDOW = "10m"
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999"]
SHADES = {"green": "#2e7d32", "orange": "#e08700", "red": "#c62828", "blue": "#1f4e79"}
COLUMNS = 24
INCHES_A_COLUMN, INCHES_A_LINE = 0.6, 0.3

Json = dict[str, Any]


def main() -> int:
    """Load the day, ask, draw."""
    options = _arguments()
    settings, progress = Settings.from_environ(), Progress(sys.stdout)
    commands = Commands(progress)
    programs = prometheus_programs(settings, commands, progress)
    options.out.mkdir(parents=True, exist_ok=True)

    def load(data: Path) -> None:
        load_day(data, programs, commands)

    config = configuration([], interval="1m")
    with running_prometheus(programs, config, load) as prometheus:
        for path in sorted(DASHBOARDS.glob("*.json")):
            target = options.out / f"dashboard-{path.stem}.svg"
            with progress.step(f"Drawing {target.name}"):
                Preview(prometheus).draw(json.loads(path.read_text()), target)
    return 0


def load_day(data: Path, programs: Programs, commands: Commands) -> None:
    """Fill Prometheus's folder with the simulated day."""
    day = data.parent / "day.openmetrics"
    record(START, day)
    words = ["tsdb", "create-blocks-from", "openmetrics", str(day), str(data)]
    commands.run([str(programs.promtool), *words], data.parent / "blocks.log")
    day.unlink()


class Preview:
    """Draws dashboards with the answers of one Prometheus."""

    def __init__(self, prometheus: Prometheus) -> None:
        self._prometheus = prometheus
        self._plot: Any = importlib.import_module("matplotlib.pyplot")
        # The same answers give the same file.
        self._plot.rcParams.update({"svg.hashsalt": "weightlock", "font.size": 8})

    def draw(self, dashboard: Json, target: Path) -> None:
        """One figure, with the panels where Grafana puts them."""
        panels = dashboard["panels"]
        lines = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
        size = (COLUMNS * INCHES_A_COLUMN, (lines + 1) * INCHES_A_LINE)
        figure = self._plot.figure(figsize=size)
        title = f"{dashboard['title']}: a simulated day"
        figure.text(0.01, 1 - 0.7 / (lines + 1), title, fontsize=12)
        for panel in panels:
            axes = figure.add_axes(_box(panel, lines + 1))
            _PANELS[panel["type"]](self, axes, panel)
        figure.savefig(target, metadata={"Date": None})
        self._plot.close(figure)

    def row(self, axes: Any, panel: Json) -> None:
        """A heading over the panels that follow."""
        axes.axis("off")
        axes.text(0.01, 0.2, panel["title"], fontsize=10, fontweight="bold")

    def number(self, axes: Any, panel: Json) -> None:
        """One big number in the colour of its threshold."""
        ((_, value),) = self._now(panel)
        defaults = panel["fieldConfig"]["defaults"]
        words = {k: v for each in defaults["mappings"] for k, v in each["options"].items()}
        text = words.get(f"{value:.0f}", {}).get("text") or shown(value, defaults["unit"])
        axes.axis("off")
        axes.set_title(panel["title"], fontsize=8, loc="left")
        axes.text(
            0.5, 0.45, text, fontsize=18, ha="center", va="center", color=_shade(panel, value)
        )

    def bars(self, axes: Any, panel: Json) -> None:
        """The newest value of every series."""
        found = sorted(self._now(panel))
        values = [value for _, value in found]
        colours = [_shade(panel, value) for value in values]
        drawn = axes.barh([name for name, _ in found], values, color=colours)
        unit = panel["fieldConfig"]["defaults"]["unit"]
        axes.bar_label(drawn, [shown(value, unit) for value in values], padding=3)
        axes.invert_yaxis()
        axes.margins(x=0.2)
        axes.set_xticks([])
        axes.set_title(panel["title"], fontsize=8, loc="left")

    def lines(self, axes: Any, panel: Json) -> None:
        """All series over the day."""
        defaults = panel["fieldConfig"]["defaults"]
        series = self._over_the_day(panel)
        names = sorted(series)
        hours = [STEP_SECONDS * at / 3600 for at in range(DAY_SECONDS // STEP_SECONDS + 1)]
        values = [
            [series[name].get(at, float("nan")) for at in range(len(hours))] for name in names
        ]
        if defaults["custom"]["stacking"]["mode"] == "normal":
            nothing = [[0 if y != y else y for y in each] for each in values]  # noqa: PLR0124 NaN
            axes.stackplot(hours, nothing, labels=names, colors=_colours(panel, names), alpha=0.75)
        else:
            for name, each, colour in zip(names, values, COLOURS, strict=False):
                axes.plot(hours, each, color=colour, linewidth=1, label=name)
        _finish(axes, panel)

    def _now(self, panel: Json) -> list[tuple[str, float]]:
        return [
            (_named(query, each["metric"]), float(each["value"][1]))
            for query in panel["targets"]
            for each in self._prometheus.query(plain(query["expr"], WINDOW), NUMBERS_AT)
        ]

    def _over_the_day(self, panel: Json) -> dict[str, dict[int, float]]:
        return {
            _named(query, each["metric"]): {
                round((at - START) / STEP_SECONDS): float(value) for at, value in each["values"]
            }
            for query in panel["targets"]
            for each in self._series(plain(query["expr"], WINDOW))
        }

    def _series(self, expression: str) -> list[Json]:
        return self._prometheus.range(expression, START, START + DAY_SECONDS, STEP_SECONDS)


_PANELS = {
    "row": Preview.row,
    "stat": Preview.number,
    "bargauge": Preview.bars,
    "timeseries": Preview.lines,
}
_SCALES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1, ""))
_SUFFIXES = {"Bps": "B/s", "decbytes": "B", "reqps": " req/s", "d": " d", "short": ""}


def shown(value: float, unit: str) -> str:
    """A value with its unit, as a person reads it."""
    if unit == "percentunit":
        return f"{value:.1%}"
    if unit == "s":
        return f"{value:.3g} s" if value >= 1 else f"{value * 1000:.3g} ms"
    least, letter = next((s for s in _SCALES if abs(value) >= s[0]), (1, ""))
    return f"{value / least:.3g} {letter}".rstrip() + _SUFFIXES[unit]


def _box(panel: Json, lines: int) -> tuple[float, float, float, float]:
    """Where a panel's axes lie in the figure, with room for its words around them."""
    margins = {"row": (0, 0, 0, 0), "stat": (0.2, 0.2, 0.2, 1), "bargauge": (2.6, 0.3, 0.5, 1.2)}
    left, right, below, above = margins.get(panel["type"], (1.3, 0.3, 2.4, 1))
    place = panel["gridPos"]
    bottom = lines - 1 - place["y"] - place["h"]
    return (
        (place["x"] + left) / COLUMNS,
        (bottom + below) / lines,
        (place["w"] - left - right) / COLUMNS,
        (place["h"] - below - above) / lines,
    )


def _named(query: Json, labels: dict[str, str]) -> str:
    name: str = query["legendFormat"]
    for label, value in labels.items():
        name = name.replace("{{" + label + "}}", value)
    return name


def _shade(panel: Json, value: float) -> str:
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    reached = [s for s in steps if s["value"] is None or value >= s["value"]]
    return SHADES[reached[-1]["color"]]


def _colours(panel: Json, names: list[str]) -> list[str]:
    """The colours that the dashboard fixes for some words, others for the rest."""
    fixed = {
        each["matcher"]["options"]: each["properties"][0]["value"]["fixedColor"]
        for each in panel["fieldConfig"]["overrides"]
    }
    others = iter(COLOURS * len(names))
    return [fixed.get(name) or next(others) for name in names]


def _finish(axes: Any, panel: Json) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    unit = defaults["unit"]
    axes.set_title(panel["title"], fontsize=8, loc="left")
    axes.set_xlim(0, 24)
    axes.set_xticks(range(0, 25, 6), [f"{hour:02}:00" for hour in range(0, 25, 6)])
    axes.grid(visible=True, linewidth=0.3)
    if "min" in defaults:
        axes.set_ylim(bottom=defaults["min"])
    axes.yaxis.set_major_formatter(lambda value, _: shown(value, unit))
    top = axes.get_ylim()[1]
    for step in defaults["thresholds"]["steps"][1:]:
        if step["value"] < top:
            axes.axhline(step["value"], color=SHADES[step["color"]], linewidth=0.7, linestyle="--")
    axes.legend(fontsize=6, ncols=3, loc="upper left", bbox_to_anchor=(-0.05, -0.12), frameon=False)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--out", type=Path, required=True, help="the folder for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
