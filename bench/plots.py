"""Draws what bench.gpu_engine measured, as SVG files.

    python -m bench.plots H100.json [TWO-GPUS.json] --out docs/plots

Needs matplotlib, which nothing else here does: pip install matplotlib
"""

import argparse
import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

KIBI, GIBI = 1024, 1024**3
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"]

Row = dict[str, Any]


def main() -> int:
    """Read results and draw."""
    options = _arguments()
    results = [json.loads(path.read_text()) for path in options.results]
    options.out.mkdir(parents=True, exist_ok=True)
    one = results[0]
    draw = Drawing(options.out, f"{one['device']}, {one['date']}")
    if one["memory"]:  # a run without it leaves the figures of another as they are
        draw.leaf_sizes([row for row in one["memory"] if row["what"] == "tree"])
        draw.mixes([row for row in one["memory"] if row["what"] == "mix"])
    draw.checkpoints(_trees(one))
    for result in results[1:]:
        Drawing(options.out, f"{result['device']}, {result['date']}").gpus(result["files"])
    return 0


def _trees(result: dict[str, Any]) -> list[Row]:
    return [row for row in result["files"] if row["what"] == "files"]


class Drawing:
    """Figures in one folder, all about one machine."""

    def __init__(self, folder: Path, machine: str) -> None:
        self._folder = folder
        self._machine = machine
        self._plot: Any = importlib.import_module("matplotlib.pyplot")
        # The same results give the same file.
        self._plot.rcParams.update({"svg.hashsalt": "weightlock", "font.size": 9})

    def leaf_sizes(self, rows: Sequence[Row]) -> None:
        """GB/s against the size of leaves, for each hash."""
        figure, axes = self._axes("Trees over data in GPU memory", "leaf size (KiB)")
        for colour, name in zip(COLOURS, dict.fromkeys(row["hash"] for row in rows), strict=False):
            mine = [row for row in rows if row["hash"] == name]
            sizes = [row["leaf"] / KIBI for row in mine]
            axes.plot(sizes, [row["gbps"] for row in mine], "o-", color=colour, label=name)
            axes.axhline(mine[0]["ceiling"], color=colour, linewidth=0.7, linestyle=":")
        axes.set_xscale("log", base=2)
        axes.legend(title="dotted: hash without reading", fontsize=8, loc="lower left")
        self._save(figure, "leaf-sizes")

    def mixes(self, rows: Sequence[Row]) -> None:
        """GB/s for checkpoints with tensors of different sizes."""
        figure, axes = self._axes("Mixes of tensors in GPU memory, sha256", "")
        names = [f"{row['mix']}\n({row['tensors']:,} tensors)" for row in rows]
        bars = axes.barh(names, [row["gbps"] for row in rows], color=COLOURS[0])
        axes.bar_label(bars, fmt="%.0f")
        axes.invert_yaxis()
        axes.set_ylabel("")
        axes.set_xlabel("GB/s")
        self._save(figure, "mixes")

    def checkpoints(self, rows: Sequence[Row]) -> None:
        """GB/s against the size of the checkpoint, from files."""
        figure, axes = self._axes("The engine, from files in the page cache", "checkpoint (GiB)")
        for colour, name in zip(COLOURS, dict.fromkeys(row["hash"] for row in rows), strict=False):
            mine = [row for row in rows if row["hash"] == name and row["gpus"] == 1]
            sizes = [row["bytes"] / GIBI for row in mine]
            axes.plot(sizes, [row["gbps"] for row in mine], "o-", color=colour, label=name)
            axes.axhline(
                mine[0]["cpu"], color=colour, linewidth=0.7, linestyle=":", label=f"{name}, CPU"
            )
        axes.set_xscale("log", base=2)
        axes.legend(fontsize=8)
        self._save(figure, "checkpoint-sizes")

    def gpus(self, rows: Sequence[Row]) -> None:
        """GB/s against the number of GPUs, from files."""
        figure, axes = self._axes("The engine on several GPUs, from files", "GPUs")
        reading = [row for row in rows if row["what"] == "reading alone"]
        rows = [row for row in rows if row["what"] == "files"]
        largest = max(row["bytes"] for row in rows)
        for colour, name in zip(COLOURS, dict.fromkeys(row["hash"] for row in rows), strict=False):
            mine = [row for row in rows if row["hash"] == name and row["bytes"] == largest]
            counts = [row["gpus"] for row in mine]
            axes.plot(counts, [row["gbps"] for row in mine], "o-", color=colour, label=name)
            axes.set_xticks(counts)
        if reading:
            counts, rates = [row["gpus"] for row in reading], [row["gbps"] for row in reading]
            axes.plot(counts, rates, ":", color="grey", label="their processes only reading")
        axes.legend(fontsize=8)
        self._save(figure, "gpus")

    def _axes(self, title: str, label: str) -> tuple[Any, Any]:
        figure, axes = self._plot.subplots(figsize=(6.4, 3.4), layout="constrained")
        axes.set_title(f"{title}\n{self._machine}", fontsize=9)
        axes.set_xlabel(label)
        axes.set_ylabel("GB/s")
        axes.grid(visible=True, linewidth=0.3)
        axes.margins(y=0.1)
        return figure, axes

    def _save(self, figure: Any, name: str) -> None:
        axes = figure.axes[0]
        if axes.get_ylabel() == "GB/s":
            axes.set_ylim(bottom=0)
        figure.savefig(self._folder / f"{name}.svg", metadata={"Date": None})
        self._plot.close(figure)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("results", type=Path, nargs="+", help="what bench.gpu_engine wrote")
    parser.add_argument("--out", type=Path, required=True, help="the folder for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
