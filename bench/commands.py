"""Whole commands under a stopwatch, as the benchmarks of the command line run them."""

import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

from weightlock.engines.gpu.opening import default_cache


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that succeeded."""

    seconds: float
    output: str
    errors: str


def run(command: Sequence[str]) -> Ran:
    """Run a command; one that fails ends the benchmark with what it said."""
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:4])}\n{done.stdout}{done.stderr}")
    return Ran(seconds, done.stdout, done.stderr)


def without_kernels(command: Sequence[str]) -> Ran:
    """Run a command as on a machine that has compiled no kernels yet."""
    forget_kernels()
    return run(command)


def forget_kernels() -> None:
    """Remove the cache of compiled kernels."""
    cache = default_cache()
    if cache is not None:
        shutil.rmtree(cache, ignore_errors=True)
