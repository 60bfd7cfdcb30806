"""`weightlock bench`: how fast is each engine on this machine, and what bounds it?"""

import argparse
import importlib
import platform
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from weightlock.cli import arguments, output
from weightlock.digests import HashAlgorithm
from weightlock.engines.choice import open_gpu
from weightlock.engines.cpu import CpuEngine
from weightlock.engines.engine import Engine
from weightlock.engines.measuring import (
    BLOCK_BYTES,
    Measurement,
    all_cores_rate,
    files_rate,
    one_core_rate,
    random_block,
    repeated_root,
    write_files,
)
from weightlock.errors import EngineFault, EngineUnavailable
from weightlock.formats.tree import DEFAULT_LEAF_BYTES, TreeParameters

MEBI: Final = 1024 * 1024
GIBI: Final = 1024 * MEBI
FILES: Final = 4


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "bench",
        description="Measure each engine and hash, in memory and from files in the page cache,"
        " beside what bounds them: hashlib on one and all cores, copies, and the hash without"
        " reading. Everything that is timed is compared with the CPU's answer.",
    )
    parser.add_argument(
        "--hash",
        action="append",
        choices=[algorithm.value for algorithm in HashAlgorithm],
        default=[],
        help="only this hash; may be repeated (default: all)",
    )
    parser.add_argument(
        "--size",
        type=arguments.positive,
        default=2048,
        metavar="MiB",
        help="how much to hash, in files and in a GPU's memory; rounded up to a power of two from"
        " 256 (default: 2048)",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=None,
        metavar="DIR",
        help="where the files are written, and removed again (default: the temporary folder)",
    )
    parser.add_argument(
        "--leaf-size",
        type=arguments.positive,
        default=DEFAULT_LEAF_BYTES,
        metavar="BYTES",
        help=f"bytes of a leaf (default: {DEFAULT_LEAF_BYTES})",
    )
    parser.add_argument(
        "--gpus",
        type=arguments.positive,
        default=None,
        metavar="N",
        help="how many GPUs hash the files, at most (default: as many as the cores can feed)",
    )
    arguments.add_engine(parser)
    arguments.add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    size = 256 * MEBI
    while size < args.size * MEBI:
        size *= 2
    algorithms = [HashAlgorithm(name) for name in args.hash] or list(HashAlgorithm)
    bench = Bench(
        [TreeParameters(algorithm, args.leaf_size) for algorithm in algorithms],
        size,
        arguments.threads(args),
        args.gpus,
    )
    found = bench.cpu() if args.engine in {"auto", "cpu"} else []
    note = ""
    if args.engine != "cpu":
        try:
            found += bench.gpu("any" if args.engine == "auto" else args.engine)
        except EngineUnavailable as error:
            if args.engine != "auto":
                raise
            note = error.message
    with tempfile.TemporaryDirectory(prefix="weightlock-bench-", dir=args.folder) as folder:
        found += bench.files(Path(folder), args.engine)
    if args.json:
        output.print_json(_document(found, bench, note))
    else:
        _print(found, note)
    return output.EXIT_DONE


class Bench:
    """What is measured, and on how much."""

    def __init__(
        self, trees: Sequence[TreeParameters], size: int, cores: int, most_gpus: int | None = None
    ) -> None:
        self.trees = trees
        self.size = size
        self.cores = cores
        self.gpus = 0
        """How many have hashed the files."""
        self._most_gpus = most_gpus
        self._block = random_block()
        self._one_core: dict[HashAlgorithm, float] = {}
        self._upload_gbps: float | None = None

    def cpu(self) -> list[Measurement]:
        """Hashlib, in memory."""
        found = []
        for algorithm in (tree.algorithm for tree in self.trees):
            one = one_core_rate(algorithm, self._block)
            every = all_cores_rate(algorithm, self._block, self.cores)
            self._one_core[algorithm] = one
            found.append(Measurement("hashlib, one core", "cpu", algorithm, one))
            bound = f"{self.cores} x one core"
            found.append(
                Measurement("hashlib, all cores", "cpu", algorithm, every, bound, self.cores * one)
            )
        return found

    def gpu(self, platform_name: str) -> list[Measurement]:
        """Copies, the hashes alone, and trees over data in the memory of the first GPU."""
        opening: Any = importlib.import_module("weightlock.engines.gpu.opening")
        measuring: Any = importlib.import_module("weightlock.engines.gpu.measuring")
        device = opening.open_devices(platform_name, opening.default_cache(), most=1)[0]
        with (
            device.translated(),
            closing(measuring.DeviceBench(device, self._block, self.size)) as bench,
        ):
            name = device.name
            copy, upload = bench.copy_rate(), bench.upload_rate()
            self._upload_gbps = upload
            found = [
                Measurement("copy within its memory", name, "", copy),
                Measurement("copy from pinned host memory", name, "", upload),
            ]
            for tree in self.trees:
                ceiling = bench.ceiling_rate(tree.algorithm)
                rate = bench.tree_rate(tree, [min(self.size, GIBI)] * max(1, self.size // GIBI))
                alone = "hash without reading"
                found.append(Measurement(alone, name, tree.algorithm, ceiling))
                found.append(
                    Measurement("tree, in its memory", name, tree.algorithm, rate, alone, ceiling)
                )
        return found

    def files(self, folder: Path, engine: str) -> Iterator[Measurement]:
        """Engines, from files in the page cache."""
        paths = write_files(folder, self._block, self.size // FILES, FILES)
        if engine in {"auto", "cpu"}:
            for tree in self.trees:
                one = self._one_core.get(tree.algorithm)
                bound = f"{self.cores} x one core"
                rate = self._files_rate(CpuEngine(self.cores), paths, tree)
                yield Measurement(
                    "tree, from files", "cpu", tree.algorithm, rate, bound, one and one * self.cores
                )
        if self._upload_gbps is not None:
            gpu: Any = open_gpu("any", most=self._most_gpus)
            with closing(gpu):
                self.gpus = gpu.devices
                bound, bound_gbps = upload_bound(gpu.devices, self._upload_gbps)
                for tree in self.trees:
                    rate = self._files_rate(gpu, paths, tree)
                    yield Measurement(
                        "tree, from files", gpu.device, tree.algorithm, rate, bound, bound_gbps
                    )

    def _files_rate(self, engine: Engine, paths: Sequence[Path], tree: TreeParameters) -> float:
        rate, roots = files_rate(engine, paths, tree)
        segment = min(self.size // FILES, GIBI)
        expected = repeated_root(tree, self._block, segment // BLOCK_BYTES)
        if any(root != expected for root in roots):
            raise EngineFault(f"{engine.device} computed another root than the oracle")
        return rate


def upload_bound(gpus: int, upload_gbps: float) -> tuple[str, float]:
    """What bounds so many GPUs: each has a bus of its own, and one was measured."""
    copy = "copy from pinned host memory"
    return (copy if gpus == 1 else f"{gpus} x {copy}"), gpus * upload_gbps


def _document(found: Sequence[Measurement], bench: Bench, note: str) -> dict[str, object]:
    return {
        "machine": {
            "cpu": platform.processor() or platform.machine(),
            "cores": bench.cores,
            "system": platform.platform(),
            "python": platform.python_version(),
        },
        "gpus": bench.gpus,
        "bytes": bench.size,
        "leafSize": bench.trees[0].leaf_bytes if bench.trees else DEFAULT_LEAF_BYTES,
        "note": note,
        "measurements": [
            {
                "what": measured.what,
                "engine": measured.engine,
                "hash": measured.hash,
                "gbps": round(measured.gbps, 3),
                "bound": measured.bound,
                "boundGbps": measured.bound_gbps and round(measured.bound_gbps, 3),
                "ratio": measured.ratio and round(measured.ratio, 3),
            }
            for measured in found
        ],
    }


def _print(found: Sequence[Measurement], note: str) -> None:
    table = Table("what", "on", "hash", box=None)
    table.add_column("GB/s", justify="right")
    table.add_column("of", justify="right")
    table.add_column("bound")
    for measured in found:
        ratio = f"{measured.ratio:.0%}" if measured.ratio is not None else ""
        rate = f"{measured.gbps:,.2f}"
        table.add_row(measured.what, measured.engine, measured.hash, rate, ratio, measured.bound)
    console = Console(highlight=False)
    console.print(table)
    if note:
        console.print(f"no GPU: {note}", style="dim", markup=False)
