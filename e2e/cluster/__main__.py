"""`python -m e2e.cluster COMMAND`: a real Kubernetes in one command."""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from e2e.cluster.choice import Kind, Record, Request, decide, provider_for
from e2e.cluster.commands import Programs
from e2e.cluster.errors import CannotRun, ClusterError
from e2e.cluster.native.kubernetes import kubernetes_servers
from e2e.cluster.native.preflight import Machine, check
from e2e.cluster.progress import Progress
from e2e.cluster.provider import Provider
from e2e.cluster.settings import Settings
from e2e.cluster.supervised import tail

INTERRUPTED = 130
NAMES = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")  # with "-node" still a DNS label


class Tool:
    """The commands, over one provider."""

    def __init__(self, request: Request, settings: Settings, progress: Progress) -> None:
        self._request = request
        self._settings = settings
        self._progress = progress
        self._commands = Programs(progress)
        self._record = Record(settings, request.name)

    def up(self) -> None:
        """Bring the cluster up."""
        started = time.monotonic()
        kind = decide(self._request.kind, self._record.read(), Machine.this())
        provider = self._provider(kind)
        self._record.write(kind)
        try:
            provider.up()
        except (KeyboardInterrupt, CannotRun):
            if not provider.status().up:  # it took its beginnings back, or never began
                self._record.forget()
            raise
        self._progress.say(f"up after {time.monotonic() - started:.1f} s")
        self._progress.say(f"  export KUBECONFIG={provider.kubeconfig}")

    def down(self) -> None:
        """Take it down."""
        kind = self._record.read()
        if kind:
            self._provider(kind).down()
            self._record.forget()
        self._progress.say(f"{self._request.name} is down")

    def status(self) -> None:
        """Say what runs.

        Raises:
            CannotRun: it is not up.
        """
        status = self._recorded().status()
        for line in status.lines:
            self._progress.say(line)
        if not status.up:
            raise CannotRun(f"{self._request.name} is not up")

    def logs(self, component: str | None) -> None:
        """The end of every log, or one log whole."""
        for log in self._recorded().logs():
            if component is None:
                self._progress.say(f"==> {log}\n{tail(log)}\n")
            elif log.stem == component:
                self._progress.say(log.read_text(errors="replace"))

    def kubeconfig(self) -> None:
        """Where the administrator's kubeconfig is."""
        self._progress.say(str(self._recorded().kubeconfig))

    def kubectl(self, words: Sequence[str]) -> int:
        """Run kubectl against this cluster only; its exit status."""
        provider = self._recorded()
        command = [provider.kubectl, "--kubeconfig", str(provider.kubeconfig), *words]
        return subprocess.call(command)

    def load(self, archive: Path) -> None:
        """Load images into the cluster."""
        with self._progress.step(f"Loading {archive.name}"):
            self._recorded().load(archive)

    def assets(self) -> None:
        """Build the servers if need be, and say where they are: good for KUBEBUILDER_ASSETS."""
        check(Machine.this())
        errors = Progress(sys.stderr)  # the answer alone goes to stdout
        folder = kubernetes_servers(self._settings, Programs(errors), errors)
        self._progress.say(str(folder))

    def _recorded(self) -> Provider:
        kind = self._record.read()
        if kind is None:
            raise CannotRun(f"{self._request.name} is not up")
        return self._provider(kind)

    def _provider(self, kind: Kind) -> Provider:
        return provider_for(kind, self._request, self._settings, self._commands, self._progress)


def main(arguments: Sequence[str]) -> int:
    """Run one command; the exit status."""
    options = _parser().parse_args(arguments)
    request = Request(
        options.name,
        Kind(getattr(options, "provider", Kind.AUTO)),
        getattr(options, "kubeconfig", None),
        getattr(options, "context", None),
    )
    tool = Tool(request, Settings.from_environ(), Progress(sys.stdout))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # tidy up on both
    try:
        match options.command:
            case "logs":
                tool.logs(options.component)
            case "kubectl":
                return tool.kubectl(options.words)
            case "load":
                tool.load(options.archive)
            case command:
                getattr(tool, command)()
    except ClusterError as error:
        sys.stderr.write("\n".join([f"error: {error}", *getattr(error, "__notes__", ())]) + "\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m e2e.cluster", description=__doc__)
    parser.add_argument("--name", default="weightlock", type=_name, help="which cluster")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="bring a cluster up, or leave it when it is up")
    up.add_argument("--provider", choices=list(Kind), default=Kind.AUTO)
    up.add_argument("--kubeconfig", type=Path, help="existing: the file to take a context from")
    up.add_argument("--context", help="existing: which context, instead of the file's current one")
    commands.add_parser("down", help="remove the cluster and everything it made")
    commands.add_parser("status", help="what runs; exits 1 when it is not up")
    logs = commands.add_parser("logs", help="the end of every log, or one log whole")
    logs.add_argument("component", nargs="?")
    commands.add_parser("kubeconfig", help="print the path of the administrator's kubeconfig")
    load = commands.add_parser("load", help="make the images of an archive available to pods")
    load.add_argument("archive", type=Path)
    kubectl = commands.add_parser("kubectl", help="kubectl against this cluster only")
    kubectl.add_argument("words", nargs=argparse.REMAINDER)
    commands.add_parser("assets", help="build the servers if need be, print their folder")
    return parser


def _name(word: str) -> str:
    if not NAMES.fullmatch(word):
        raise argparse.ArgumentTypeError(
            f"{word!r} is no lower-case DNS label of 1 to 40 characters"
        )
    return word


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
