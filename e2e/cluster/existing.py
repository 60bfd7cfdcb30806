"""A cluster that somebody else runs, named on purpose."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from e2e.cluster.api import Api
from e2e.cluster.commands import Commands
from e2e.cluster.errors import CannotRun
from e2e.cluster.provider import Status
from e2e.cluster.settings import Settings


class ExistingProvider:
    """Copies one context and otherwise leaves the cluster alone: `down` forgets the copy."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        commands: Commands,
        source: Path | None,
        context: str | None,
    ) -> None:
        self.name = name
        self._state = settings.state / name
        self._settings = settings
        self._commands = commands
        self._source = source
        self._context = context

    @property
    def kubeconfig(self) -> Path:
        return self._state / "kubeconfig"

    @property
    def kubectl(self) -> str:
        return "kubectl"

    @property
    def volumes(self) -> Path:
        raise CannotRun("an existing cluster shares no folder with this machine")

    def up(self) -> None:
        source = self._chosen()
        view = ["kubectl", "--kubeconfig", str(source), "config", "view", "--raw", "--flatten"]
        view += ["--minify", "--output", "json"]
        if self._context:
            view += ["--context", self._context]
        document = renamed(json.loads(self._commands.read(view)), f"weightlock-{self.name}")
        self._state.mkdir(parents=True, exist_ok=True)
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(json.dumps(document, indent=2))

    def down(self) -> None:
        if self._state.exists():
            shutil.rmtree(self._state)

    def status(self) -> Status:
        if not self.kubeconfig.exists():
            return Status(up=False, lines=("not set up",))
        api = Api.from_kubeconfig(self.kubeconfig)
        return Status(up=api.answers(), lines=(api.url,))

    def logs(self) -> Sequence[Path]:
        return ()

    def load(self, archive: Path) -> None:
        raise CannotRun(f"push the images of {archive} to where the existing cluster pulls from")

    def _chosen(self) -> Path:
        """Never the user's current context by accident: it must be named."""
        if self._source is None:
            raise CannotRun("an existing cluster needs --kubeconfig FILE")
        if not self._source.is_file():
            raise CannotRun(f"{self._source} is no file")
        mine = {path.resolve() for path in self._settings.user_kubeconfigs}
        if self._source.resolve() in mine and not self._context:
            raise CannotRun(
                f"{self._source} holds your own contexts: say which with --context NAME"
            )
        return self._source


def renamed(kubeconfig: dict[str, object], context: str) -> dict[str, object]:
    """The same, with a context name of our own."""
    contexts = kubeconfig["contexts"]
    if not isinstance(contexts, list) or len(contexts) != 1:
        raise CannotRun("the kubeconfig has no such context")
    only = {**contexts[0], "name": context}
    return {**kubeconfig, "contexts": [only], "current-context": context}
