"""Measures the CPU engine beside hashlib and model-signing on the same files in the same run.

    python -m bench.cpu_engine [--gib 2] [--rounds 5] [--json] [--check]

Files are random, written once and read from the page cache. Each round measures everything once, so
that whatever else the machine does hits all alike; the median of the rounds is reported.
`--check` exits with 1 when a bar is missed.
"""

import argparse
import hashlib
import json
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.commands import run
from weightlock.checkpoint.folder import CheckpointFolder
from weightlock.checkpoint.walker import Limits
from weightlock.digests import HashAlgorithm
from weightlock.engines.cpu import CpuEngine
from weightlock.engines.engine import Span
from weightlock.engines.oracle import OracleEngine
from weightlock.formats.tree import TreeParameters

FILES = 4
ENGINE_BAR = 0.90
READ_BYTES = 256 * 1024
CORES = len(os.sched_getaffinity(0))


def main() -> int:
    """Measure and print."""
    options = _arguments()
    with tempfile.TemporaryDirectory(prefix="weightlock-bench-", dir=options.folder) as folder:
        root = Path(folder)
        size = _write_checkpoint(root / "model", options.gib)
        _sign(root)
        measurements: dict[str, list[float]] = {}
        for _ in range(options.rounds):
            for name, measure in _measurements(root).items():
                measurements.setdefault(name, []).append(size / measure() / 1e9)
        _check_against_oracle(root / "model")
    speeds = {name: round(statistics.median(found), 3) for name, found in measurements.items()}
    result = _result(speeds, size, options.rounds)
    _print(result, as_json=options.json)
    bars: dict[str, bool] = result["bars"]  # type: ignore[assignment]
    return 1 if options.check and not all(bars.values()) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--gib", type=float, default=2.0, help="size of the checkpoint")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=None, help="where to write it")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a bar is missed")
    return parser.parse_args()


def _measurements(root: Path) -> dict[str, Callable[[], float]]:
    model = root / "model"
    files = sorted(path for path in model.iterdir() if path.suffix == ".bin")
    size = sum(path.stat().st_size for path in files)
    return {
        "hashlib, 1 thread, in memory": lambda: _hash_memory(size),
        "hashlib, 1 thread, files": lambda: _hash_files([files]),
        f"hashlib, {CORES} threads, files": lambda: _hash_files(
            [files[number::CORES] for number in range(CORES)]
        ),
        "engine sha256, 1 thread": lambda: _hash_engine(model, 1),
        f"engine sha256, {CORES} threads": lambda: _hash_engine(model, CORES),
        "weightlock verify (whole command)": lambda: _seconds(
            [sys.executable, "-m", "weightlock", "verify", str(model), "--engine", "cpu",
             "--public-key", str(root / "release.pub")]
        ),
        "model_signing verify (whole command)": lambda: _seconds(
            [sys.executable, "-m", "model_signing", "verify", "key", str(model),
             "--signature", str(model / "model.sig"),
             "--public_key", str(root / "classical.pub"),
             "--ignore-paths", str(model / "model.pqc.sig")]
        ),
    }  # fmt: skip


def _write_checkpoint(model: Path, gib: float) -> int:
    model.mkdir()
    each = int(gib * 1024**3 / FILES)
    for number in range(FILES):
        with (model / f"weights-{number}.bin").open("wb") as file:
            for start in range(0, each, 1 << 24):
                file.write(os.urandom(min(1 << 24, each - start)))
    return each * FILES


def _sign(root: Path) -> None:
    weightlock = [sys.executable, "-m", "weightlock"]
    names = (("release", "ML-DSA-65"), ("classical", "ECDSA-P256-SHA256"))
    for name, algorithm in names:
        private, public = f"{root}/{name}.key", f"{root}/{name}.pub"
        keys = ["--private-key", private, "--public-key", public]
        run([*weightlock, "keygen", "--algorithm", algorithm, *keys])
    private_keys = [part for name, _ in names for part in ("--private-key", f"{root}/{name}.key")]
    run([*weightlock, "sign", f"{root}/model", "--oms", *private_keys])


def _seconds(command: Sequence[str]) -> float:
    return run(command).seconds


def _hash_memory(size: int) -> float:
    data = memoryview(bytearray(os.urandom(64 << 20)))
    started = time.perf_counter()
    digest = hashlib.sha256()
    for _ in range(0, size, len(data)):
        digest.update(data)
    digest.digest()
    taken = time.perf_counter() - started
    return taken * size / (-(-size // len(data)) * len(data))


def _hash_files(shares: Sequence[Sequence[Path]]) -> float:
    threads = [threading.Thread(target=_hash_share, args=(share,)) for share in shares]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started


def _hash_share(paths: Sequence[Path]) -> None:
    buffer = memoryview(bytearray(READ_BYTES))
    for path in paths:
        digest = hashlib.sha256()
        with path.open("rb", buffering=0) as file:
            while read := file.readinto(buffer):
                digest.update(buffer[:read])
        digest.digest()


def _hash_engine(model: Path, threads: int) -> float:
    with CheckpointFolder(model) as folder:
        found = folder.walk(Limits()).files
        files = folder.files(found)
        spans = [Span(number, 0, fact.size) for number, fact in enumerate(found)]
        started = time.perf_counter()
        CpuEngine(threads).segment_roots(files, spans, TreeParameters(), lambda _: None)
        return time.perf_counter() - started


def _check_against_oracle(model: Path) -> None:
    """What was measured must be right: compare one stretch with the oracle's answer."""
    with CheckpointFolder(model) as folder:
        found = folder.walk(Limits()).files
        files = folder.files(found)
        spans = [Span(0, 3, min(100 * 1024 * 1024, found[0].size) - 5)]
        parameters = TreeParameters(HashAlgorithm.SHA256)
        engine, oracle = (
            each.segment_roots(files, spans, parameters, lambda _: None)
            for each in (CpuEngine(CORES), OracleEngine())
        )
    if engine != oracle:
        raise SystemExit("the CPU engine's answer is wrong; no measurement counts")


def _result(speeds: dict[str, float], size: int, rounds: int) -> dict[str, object]:
    engine = speeds[f"engine sha256, {CORES} threads"]
    of_files = engine / (CORES * speeds["hashlib, 1 thread, files"])
    of_memory = engine / (CORES * speeds["hashlib, 1 thread, in memory"])
    ours = speeds["weightlock verify (whole command)"]
    theirs = speeds["model_signing verify (whole command)"]
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),  # noqa: TID251 - when it was measured
        "machine": f"{_processor()}, {CORES} cores, Python {platform.python_version()}",
        "bytes": size,
        "rounds": rounds,
        "gbps": speeds,
        "ratios": {
            "engine to cores x hashlib reading the same files": round(of_files, 3),
            "engine to cores x hashlib in memory": round(of_memory, 3),
            "weightlock verify to model_signing verify": round(ours / theirs, 2),
        },
        "bars": {
            f"engine >= {ENGINE_BAR} of cores x hashlib (files)": of_files >= ENGINE_BAR,
            "never slower than model_signing verify": ours >= theirs,
        },
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _print(result: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(result, indent=2) + "\n")
        return
    console = Console()
    table = Table("what", "", title=f"{result['machine']}, {result['date']}")
    for part in ("gbps", "ratios", "bars"):
        values: dict[str, object] = result[part]  # type: ignore[assignment]
        for name, value in values.items():
            table.add_row(name, f"{value} GB/s" if part == "gbps" else str(value))
        table.add_section()
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
