"""Measures where the time goes before a GPU hashes: step by step, and whole commands.

    python -m bench.startup [--rounds 5] [--folder DIR] [--out RESULTS.json]

Cold means: the page cache is asked to forget the interpreter's library, all installed packages and
every library that the steps were seen to map (posix_fadvise, which needs no privilege; what another
process maps stays), and the cache of compiled kernels is empty. Warm is everything after that.
"""

import argparse
import json
import os
import re
import statistics
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from bench.commands import forget_kernels, run, without_kernels

MEBI: Final = 1024 * 1024
WEIGHTLOCK: Final = [sys.executable, "-m", "weightlock"]
STEPS: Final = r"""
import json, sys, time
begun = time.perf_counter()
steps = {}
def done(name):
    global begun
    now = time.perf_counter()
    steps[name] = round(now - begun, 4)
    begun = time.perf_counter()
import weightlock.cli.verify
done("import the command")
from weightlock.engines.gpu import opening, cupy_device, lane, compiling, device_process, engine
from weightlock.engines.engine import Span
from weightlock.engines.measuring import PlainFiles
from weightlock.formats.tree import TreeParameters
from pathlib import Path
done("import the engine")
bindings = cupy_device.Bindings()
done("import the bindings")
count = bindings.runtime.getDeviceCount()
done("driver")
bindings.runtime.setDevice(0)
bindings.runtime.free(0)
done("context")
device = cupy_device.CupyDevice(bindings, 0, opening.default_cache())
done("device")
source, target = compiling.tree_source(TreeParameters().algorithm), device._target()
cached = device._cache.holds(source, target)
if not cached:
    import cupy_backends.cuda.libs.nvrtc as nvrtc
    nvrtc.getVersion()
    done("load the compiler")
    device._cache.code(source, target, lambda: cupy_device._compiled(source, target[1:], bindings))
    done("compile")
device.module(source)
done("load the module")
options = lane.GpuOptions()
started = [lane.start_reader(options.geometry) for _ in range(lane.readers_for(1))]
done("start reading processes")
one = lane.LocalLane(device, options, started)
done("take memory")
gpu = engine.GpuEngine([one], options.geometry)
files, spans = PlainFiles([Path(sys.argv[1])]), [Span(0, 0, 1 << 20)]
gpu.segment_roots(files, spans, TreeParameters(), lambda _: None)
done("first MiB")
gpu.segment_roots(files, spans, TreeParameters(), lambda _: None)
done("second MiB")
gpu.close()
done("give memory back")
if count > 1:
    other = device_process.DeviceProcess(opening.DEVICE_FACTORY, 1, options)
    other.wait_until_ready()
    done("process of a second GPU")
    other.close()
    done("end that process")
maps = sorted({line.split()[-1] for line in open("/proc/self/maps") if ".so" in line})
print(json.dumps({"cached": cached, "gpus": count, "steps": steps, "maps": maps}))
"""

Row = dict[str, Any]


def main() -> int:
    """Measure and write."""
    options = _arguments()
    with tempfile.TemporaryDirectory(prefix="weightlock-startup-", dir=options.folder) as name:
        result = measured(Path(name), options.rounds)
    text = json.dumps(result, indent=1)
    if options.out:
        options.out.write_text(text)
    sys.stdout.write(text + "\n")
    return 0


def measured(root: Path, rounds: int) -> Row:
    """All of it, the very first command of this machine included."""
    model = root / "model"
    model.mkdir()
    (model / "weights.bin").write_bytes(os.urandom(MEBI))
    key, public = str(root / "key"), str(root / "pub")
    keys = ["--private-key", key, "--public-key", public]
    _timed([*WEIGHTLOCK, "keygen", "--algorithm", "ML-DSA-65", *keys])
    _timed([*WEIGHTLOCK, "sign", str(model), "--private-key", key, "--engine", "cpu"])
    verify = [*WEIGHTLOCK, "verify", str(model), "--public-key", public, "--json", "--engine"]
    first = _timed([*verify, "cuda"])
    warm_steps = [_steps(model) for _ in range(rounds)]
    mapped = [Path(path) for path in warm_steps[0]["maps"]]
    cold_steps = []
    for _ in range(rounds):
        forgotten = forget(mapped)
        cold_steps.append(_steps(model))
    commands = {
        engine: {
            "cold": [_cold([*verify, engine], mapped) for _ in range(rounds)],
            "no kernels": [_fresh([*verify, engine]) for _ in range(rounds)],
            "warm": [_timed([*verify, engine]) for _ in range(rounds)],
        }
        for engine in ("cuda", "cpu")
    }
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "cores": len(os.sched_getaffinity(0)),
        "python": sys.version.split()[0],
        "first command of all": first,
        "interpreter alone": _median([_timed([sys.executable, "-c", "pass"]) for _ in range(9)]),
        "forgotten": forgotten,
        "largest libraries": largest(mapped),
        "steps, warm": _median_steps(warm_steps),
        "steps, cold": _median_steps(cold_steps),
        "steps, first cold": cold_steps[0]["steps"],
        "commands": commands,
        "medians": {
            engine: {name: _median(times) for name, times in kinds.items()}
            for engine, kinds in commands.items()
        },
        "imports": slowest_imports(),
    }


def forget(mapped: Sequence[Path]) -> Row:
    """Drop from the page cache what a first start reads, and the compiled kernels."""
    forget_kernels()
    files = size = 0
    for path in {*_installed(), *mapped}:
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError:
            continue
        try:
            size += os.fstat(descriptor).st_size
            files += 1
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
    return {"files": files, "bytes": size}


def _installed() -> Iterator[Path]:
    for scheme in ("stdlib", "platstdlib", "purelib", "platlib"):
        for folder, _, names in os.walk(sysconfig.get_path(scheme)):
            yield from (Path(folder) / name for name in names)


def _cold(command: Sequence[str], mapped: Sequence[Path]) -> float:
    forget(mapped)
    return _timed(command)


def _fresh(command: Sequence[str]) -> float:
    return round(without_kernels(command).seconds, 3)


def _steps(model: Path) -> Row:
    done = run([sys.executable, "-c", STEPS, str(model / "weights.bin")])
    found: Row = json.loads(done.output.splitlines()[-1])
    return found


def _median_steps(rounds: Sequence[Row]) -> Row:
    names = rounds[0]["steps"]
    return {
        name: _median([each["steps"][name] for each in rounds if name in each["steps"]])
        for name in names
    }


def largest(paths: Sequence[Path], count: int = 12) -> Row:
    """The libraries that were mapped, in megabytes."""
    sizes = {str(path): path.stat().st_size / 1e6 for path in paths if path.exists()}
    ranked = sorted(sizes, key=lambda path: -sizes[path])[:count]
    return {path: round(sizes[path], 1) for path in ranked}


def slowest_imports(count: int = 12) -> Row:
    """Milliseconds of the command's imports, with what they import, warm."""
    program = "import weightlock.cli.verify"
    done = run([sys.executable, "-X", "importtime", "-c", program])
    times = {}
    for line in done.errors.splitlines():
        found = re.fullmatch(r"import time:\s*\d+ \|\s*(\d+) \|(\s*)(\S+)", line)
        if found:
            times[found[3]] = int(found[1]) / 1000
    return {name: times[name] for name in sorted(times, key=lambda name: -times[name])[:count]}


def _median(times: Sequence[float]) -> float:
    return round(statistics.median(times), 3)


def _timed(command: Sequence[str]) -> float:
    return round(run(command).seconds, 3)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5, help="of everything (default: 5)")
    parser.add_argument("--folder", type=Path, default=None, help="where files are written")
    parser.add_argument("--out", type=Path, default=None, help="where the result is written")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
