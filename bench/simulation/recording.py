"""A simulated day as a file that `promtool tsdb create-blocks-from openmetrics` reads."""

from collections.abc import Iterator
from pathlib import Path

from prometheus_client.samples import Sample

from bench.simulation.day import MINUTES, Day
from bench.simulation.instruments import Process


def record(start: float, path: Path) -> None:
    """Write one day's samples, a minute apart."""
    day = Day(start)
    families: dict[str, list[str]] = {}
    for _ in range(MINUTES):
        day.step()
        for process in day.processes:
            _collect(process, day.now, families)
    with path.open("w") as out:
        for lines in families.values():
            out.writelines(lines)
        out.write("# EOF\n")


def _collect(process: Process, now: float, families: dict[str, list[str]]) -> None:
    for family in process.registry.collect():
        lines = families.setdefault(family.name, [f"# TYPE {family.name} {family.type}\n"])
        lines.extend(_lines(process, family.samples, now))


def _lines(process: Process, samples: list[Sample], now: float) -> Iterator[str]:
    for sample in samples:
        if not sample.name.endswith("_created"):
            labels = {"job": process.job, "instance": process.instance, **sample.labels}
            text = ",".join(f'{name}="{value}"' for name, value in labels.items())
            yield f"{sample.name}{{{text}}} {sample.value} {now:.0f}\n"
