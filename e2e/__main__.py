"""`python -m e2e`: cluster up, install, tests, cluster down, whatever happens in between.

The cluster has a name of its own, so that a developer's cluster is left alone. What a run that was
killed has left behind is taken down first; two runs at once need two names.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from e2e.cluster.choice import Kind, Record, Request, decide, provider_for
from e2e.cluster.commands import Programs
from e2e.cluster.errors import ClusterError
from e2e.cluster.exclusive import exclusive
from e2e.cluster.native.preflight import Machine
from e2e.cluster.progress import Progress
from e2e.cluster.provider import Provider
from e2e.cluster.running import RunningCluster
from e2e.cluster.settings import Settings
from e2e.images.__main__ import build
from e2e.install import TEST_VALUES, Installation, folder_for
from e2e.kept_logs import keep_logs

ROOT = Path(__file__).resolve().parents[1]
KEPT_LOGS = ROOT / "build" / "e2e-logs"
INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    """Run; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m e2e", description=__doc__)
    parser.add_argument("--name", default="e2e", help="the cluster to bring up")
    parser.add_argument(
        "--provider", choices=[Kind.AUTO, Kind.KIND, Kind.NATIVE], default=Kind.AUTO
    )
    parser.add_argument("pytest", nargs="*", help="more words for pytest")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    progress = Progress(sys.stdout)
    started = time.monotonic()
    try:
        status = run(options.name, Kind(options.provider), options.pytest, progress)
    except ClusterError as error:
        sys.stderr.write("\n".join([f"error: {error}", *getattr(error, "__notes__", ())]) + "\n")
        status = 1
    except KeyboardInterrupt:
        status = INTERRUPTED
    progress.say(f"e2e took {time.monotonic() - started:.0f} s and exits {status}")
    return status


def run(name: str, asked: Kind, words: Sequence[str], progress: Progress) -> int:
    """Bring up, install, test, take down."""
    settings = Settings.from_environ()
    record = Record(settings, name)
    kind = decide(asked, record.read(), Machine.this())
    provider = provider_for(kind, Request(name), settings, Programs(progress), progress)
    with exclusive(settings.state / f"{name}.run", f"another run uses {name}: choose a --name"):
        provider.down()
        record.write(kind)
        try:
            return up_test_down(provider, progress, words, kind)
        finally:
            record.forget()


def up_test_down(provider: Provider, progress: Progress, words: Sequence[str], kind: Kind) -> int:
    """The run itself; pytest's exit status."""
    status = 1
    try:
        with progress.step(f"== Cluster up ({kind})"):
            provider.up()
        with progress.step("== Install"):
            install(provider, progress, with_docker=kind is Kind.KIND)
        with progress.step("== Tests"):
            status = test(provider.name, words)
    finally:
        if status:
            keep_logs(provider, progress, KEPT_LOGS)
        with progress.step("== Cluster down"):
            provider.down()
    return status


def install(provider: Provider, progress: Progress, *, with_docker: bool) -> None:
    """Build the images and install the chart with them."""
    archive = ROOT / "build" / "images.tar"
    build(archive, progress, with_docker=with_docker)
    cluster = RunningCluster(provider, Programs(progress))
    with progress.step("Loading the images, helm upgrade --install"):
        Installation(cluster, folder_for(provider.name)).install(archive, TEST_VALUES)


def test(name: str, words: Sequence[str]) -> int:
    """The tests that are marked e2e, in a process of their own; pytest's exit status."""
    argv = [sys.executable, "-m", "pytest", "-m", "e2e", "--cluster", name, "e2e", *words]
    return subprocess.call(argv, cwd=ROOT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
