"""`python -m demo`: bring a cluster up, install, tell the story. `python -m demo down`: tidy up."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from demo.scene import PROGRAMS, ROOT, Scene, kubectl_folder
from demo.stage import NotAsTold, Stage, with_programs
from demo.story import Story
from demo.watching import watched
from e2e.cluster.choice import Kind
from e2e.cluster.commands import Programs
from e2e.cluster.errors import ClusterError
from e2e.cluster.progress import Progress
from e2e.cluster.provider import Provider
from e2e.cluster.settings import Settings

FOLDER = ROOT / "build" / "demo"
KEPT_LOGS = ROOT / "build" / "demo-logs"
INTERRUPTED = 130


class Reader:
    """Somebody at a terminal."""

    def wants_more(self) -> None:
        input("\n  [Enter] ")


class Nobody:
    """Continuous integration."""

    def wants_more(self) -> None:
        """Goes on at once."""


def main(arguments: Sequence[str]) -> int:
    """Run; the exit status."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    progress = Progress(sys.stdout)
    scene = Scene(options.name, Settings.from_environ(), progress, Kind(options.provider))
    try:
        with scene.alone():
            if options.command == "down":
                strike(scene, progress)
            else:
                pauses = sys.stdin.isatty() and not options.no_pauses
                perform(scene, progress, pauses=pauses, watch=options.watch)
    except (ClusterError, NotAsTold) as error:
        sys.stderr.write("\n".join([f"error: {error}", *getattr(error, "__notes__", ())]) + "\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; `make demo-down` cleans up\n")
        return INTERRUPTED
    return 0


def strike(scene: Scene, progress: Progress) -> None:
    """Everything away."""
    scene.strike()
    shutil.rmtree(FOLDER, ignore_errors=True)
    progress.say(f"the cluster {scene.name} and {FOLDER} are gone")


def perform(scene: Scene, progress: Progress, *, pauses: bool, watch: bool) -> None:
    """The whole evening, and the logs of one that went wrong."""
    try:
        tell(scene, progress, pauses=pauses, watch=watch)
    except (ClusterError, NotAsTold) as error:
        scene.keep_logs(KEPT_LOGS)
        error.add_note(f"all is left as it is, see {FOLDER}; make demo-down cleans up")
        raise


def tell(scene: Scene, progress: Progress, *, pauses: bool, watch: bool) -> None:
    """From an empty machine to the last chapter."""
    started = time.monotonic()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    provider = scene.set(FOLDER)
    progress.say(f"\neverything is set up, after {time.monotonic() - started:.0f} s")
    environ = with_programs(os.environ, [kubectl_folder(provider, FOLDER), PROGRAMS])  # noqa: TID251 the edge
    environ |= {"KUBECONFIG": str(_own_kubeconfig(provider)), "COLUMNS": "96"}
    stage = Stage(
        sys.stdout,
        Reader() if pauses else Nobody(),
        FOLDER,
        environ,
        colours=sys.stdout.isatty(),
    )
    story = Story(stage, provider.volumes / "models")
    with watched(provider, FOLDER, progress, Programs(progress)) if watch else nullcontext():
        story.tell()
    progress.say(EPILOGUE.format(folder=FOLDER, name=scene.name, programs=PROGRAMS))
    progress.say(f"the demo took {time.monotonic() - started:.0f} s")


def _own_kubeconfig(provider: Provider) -> Path:
    """A copy, so that the story may choose a namespace in it."""
    copy = FOLDER / "kubeconfig"
    shutil.copy(provider.kubeconfig, copy)
    copy.chmod(0o600)
    return copy


EPILOGUE = """
That is the story. To look around:

  export KUBECONFIG={folder}/kubeconfig PATH={folder}/bin:{programs}:$PATH
  cd {folder}
  kubectl get modelcheckpoints,clustermodelpolicies --all-namespaces
  kubectl -n weightlock-system logs deployment/weightlock-webhook
  weightlock why pod/trainer

To clean up: make demo-down
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("command", nargs="?", choices=["tell", "down"], default="tell")
    parser.add_argument("--name", default="demo", help="the cluster to use")
    parser.add_argument(
        "--provider", choices=[Kind.AUTO, Kind.KIND, Kind.NATIVE], default=Kind.AUTO
    )
    parser.add_argument("--no-pauses", action="store_true", help="do not wait for Enter")
    parser.add_argument(
        "--watch", action="store_true", help="try dashboards and alerts on what happens, too"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
