"""Measures the GPU engine: leaf sizes, mixes of tensors, checkpoint sizes, numbers of GPUs.

    python -m bench.gpu_engine [--gib 16] [--folder DIR] [--gpus 1] [--readers N] [--out FILE.json]

Everything that is timed is compared with the oracle or, from files, with the CPU engine in the same
run. `python -m bench.plots RESULTS.json ...` draws what it writes.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.reading import reading_rate
from weightlock.digests import HashAlgorithm
from weightlock.engines.cpu import CpuEngine
from weightlock.engines.engine import Span
from weightlock.engines.gpu.cupy_device import CupyDevice
from weightlock.engines.gpu.engine import GpuEngine
from weightlock.engines.gpu.lane import GpuOptions, readers_for
from weightlock.engines.gpu.measuring import DeviceBench
from weightlock.engines.gpu.opening import open_device, open_engine
from weightlock.engines.lattice import NumberedSegment
from weightlock.engines.measuring import PlainFiles, random_block
from weightlock.formats.tree import DEFAULT_LEAF_BYTES, TreeParameters

KIBI, MEBI, GIBI = 1024, 1024**2, 1024**3
LEAF_SIZES = [4 * KIBI, 16 * KIBI, 64 * KIBI, 256 * KIBI, MEBI]
MANY_TENSORS = 90_000
MANY_BYTES = 20 * GIBI
ROUNDS = 5
CORES = len(os.sched_getaffinity(0))

Row = dict[str, Any]


def main() -> int:
    """Measure and write."""
    options = _arguments()
    first = open_device(0)
    result: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "device": first.name,
        "gpus": options.gpus,
        "cores": CORES,
    }
    result["memory"] = in_memory(first, options.memory_gib) if options.memory_gib else []
    with tempfile.TemporaryDirectory(prefix="weightlock-bench-", dir=options.folder) as folder:
        result["files"] = from_files(options, Path(folder))
    text = json.dumps(result, indent=1)
    if options.out:
        options.out.write_text(text)
    sys.stdout.write(text + "\n")
    return 0


def in_memory(device: CupyDevice, gib: int) -> list[Row]:
    """Ceilings, leaf sizes and mixes, over data in the device's memory."""
    rows: list[Row] = []
    bench = DeviceBench(device, random_block(), 2 * gib * GIBI)
    try:
        rows.append({"what": "copy in memory", "gbps": bench.copy_rate()})
        rows.append({"what": "copy from host", "gbps": bench.upload_rate()})
        for algorithm in HashAlgorithm:
            rows += _hash_rows(bench, algorithm, gib)
        for name, lengths in mixes(gib).items():
            rate = bench.tree_rate(TreeParameters(), lengths)
            row = {"what": "mix", "mix": name, "tensors": len(lengths), "bytes": sum(lengths)}
            rows.append({**row, "median": statistics.median(lengths), "gbps": rate})
    finally:
        bench.close()
    return rows


def _hash_rows(bench: DeviceBench, algorithm: HashAlgorithm, gib: int) -> list[Row]:
    ceiling = bench.ceiling_rate(algorithm)
    rows = []
    for leaf_bytes in LEAF_SIZES:
        rate = bench.tree_rate(TreeParameters(algorithm, leaf_bytes), [GIBI] * gib)
        row = {"what": "tree", "hash": algorithm.value, "leaf": leaf_bytes, "gbps": rate}
        rows.append({**row, "ceiling": ceiling, "ratio": rate / ceiling})
    return rows


def mixes(gib: int) -> dict[str, list[int]]:
    """Lengths of tensors as checkpoints have them, in elements of two bytes."""
    layer = [8 * KIBI, 32 * MEBI, 8 * MEBI, 8 * MEBI, 32 * MEBI, 8 * KIBI, *[112 * MEBI] * 3]
    llama = [length for _ in range(32) for length in layer] + [1002 * MEBI] * 2
    norms = [length for length in llama for length in [8 * KIBI] * 16 + [length]]
    return {
        "1 GiB segments": [GIBI] * gib,
        "Llama 3 8B": llama,
        "the same with 16 norms before each tensor": norms,
        "90,000 tensors, median 16 KiB": many_tensors(),
    }


def many_tensors() -> list[int]:
    """90,000 lengths with a median of 16 KiB and 20 GiB in all: a log-normal distribution."""
    sigma = 2.0
    while True:
        generator = random.Random(20)  # noqa: S311 - the same lengths in every run
        lengths = [
            max(64, int(16 * KIBI * generator.lognormvariate(0, sigma)) // 2 * 2)
            for _ in range(MANY_TENSORS)
        ]
        if sum(lengths) >= MANY_BYTES:
            return lengths
        sigma += 0.01


def from_files(options: argparse.Namespace, folder: Path) -> list[Row]:
    """The whole engine, from files in the page cache, for growing checkpoints."""
    gpus, gib = options.gpus, options.gib
    choices = GpuOptions(readers=options.readers)
    paths = random_files(folder, gib)
    rows = _reading_rows(paths, gpus, options.readers)
    for algorithm in (HashAlgorithm.SHA256, HashAlgorithm.SHA512):
        tree = TreeParameters(algorithm)
        spans = [Span(number, 0, GIBI) for number in range(gib)]
        started = time.perf_counter()
        expected = CpuEngine(CORES).segment_roots(PlainFiles(paths), spans, tree, _ignore)
        cpu = time.perf_counter() - started
        for count in range(1, gpus + 1):
            with open_engine("any", choices, count) as engine:
                if engine.devices < count:
                    raise SystemExit(f"there are not {gpus} GPUs that can be used")
                for size in _sizes(gib):
                    row = _file_row(engine, paths[:size], spans[:size], tree, expected[:size])
                    cpu_gbps = gib * GIBI / cpu / 1e9
                    rows.append({**row, "gpus": count, "cpu": cpu_gbps})
    return rows + [_lattice_row(paths, count) for count in range(1, gpus + 1)]


def _reading_rows(paths: Sequence[Path], gpus: int, readers: int | None) -> list[Row]:
    """What the reading processes of so many GPUs reach when they only read."""
    rows = []
    for count in range(1, gpus + 1):
        processes = count * (readers or readers_for(count))
        rates = [reading_rate(paths, processes) for _ in range(ROUNDS + 1)][1:]
        row = {"what": "reading alone", "gpus": count, "processes": processes}
        every = [round(rate, 1) for rate in rates]
        rows.append({**row, "gbps": statistics.median(rates), "all": every})
    return rows


def _lattice_row(paths: Sequence[Path], count: int) -> Row:
    """The lattice hash; compared with the CPU's over the first file."""
    segments = [NumberedSegment(number, 0, 0, GIBI) for number in range(len(paths))]
    files = PlainFiles(paths)
    started = time.perf_counter()
    expected = CpuEngine(CORES).lattice_sum(files, segments[:1], DEFAULT_LEAF_BYTES, _ignore)
    cpu = time.perf_counter() - started
    speeds = []
    with open_engine("any", most=count) as engine:
        if engine.lattice_sum(files, segments[:1], DEFAULT_LEAF_BYTES, _ignore) != expected:
            raise SystemExit("the GPU engine and the CPU engine differ")
        for _ in range(3):
            started = time.perf_counter()
            engine.lattice_sum(files, segments, DEFAULT_LEAF_BYTES, _ignore)
            speeds.append(len(segments) * GIBI / (time.perf_counter() - started) / 1e9)
    return {
        "what": "lattice from files",
        "gpus": count,
        "gbps": statistics.median(speeds),
        "all": [round(speed, 1) for speed in speeds],
        "cpu": GIBI / cpu / 1e9,
    }


def _file_row(
    engine: GpuEngine,
    paths: Sequence[Path],
    spans: Sequence[Span],
    tree: TreeParameters,
    expected: Sequence[bytes],
) -> Row:
    seconds = []
    for _ in range(ROUNDS + 1):
        started = time.perf_counter()
        roots = engine.segment_roots(PlainFiles(paths), spans, tree, _ignore)
        seconds.append(time.perf_counter() - started)
        if roots != list(expected):
            raise SystemExit("the GPU engine and the CPU engine differ")
    size = sum(span.length for span in spans)
    speeds = [size / each / 1e9 for each in seconds[1:]]
    return {
        "what": "files",
        "hash": tree.algorithm.value,
        "leaf": DEFAULT_LEAF_BYTES,
        "bytes": size,
        "gbps": statistics.median(speeds),
        "all": [round(speed, 1) for speed in speeds],
    }


def random_files(folder: Path, gib: int) -> list[Path]:
    """A GiB of random data each."""
    program = "import os,sys\nfor _ in range(64): sys.stdout.buffer.write(os.urandom(1<<24))"
    paths = [folder / f"model-{number:05}.bin" for number in range(gib)]
    writers = []
    for path in paths:
        with path.open("wb") as file:
            writers.append(subprocess.Popen([sys.executable, "-c", program], stdout=file))
    for writer in writers:
        if writer.wait():
            raise SystemExit("the files could not be written")
    return paths


def _sizes(gib: int) -> list[int]:
    return [size for size in (1, 2, 4, 8, 16, 32, 64) if size <= gib]


def _ignore(_: int) -> None:
    """Nobody waits."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--gib", type=int, default=16, help="of files (default: 16)")
    parser.add_argument(
        "--memory-gib", type=int, default=16, help="of the device's memory; 0 measures none"
    )
    parser.add_argument("--gpus", type=int, default=1, help="how many to use at most")
    parser.add_argument("--readers", type=int, help="processes that read for each GPU")
    parser.add_argument("--folder", type=Path, default=None, help="where files are written")
    parser.add_argument("--out", type=Path, default=None, help="where the result is written")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
