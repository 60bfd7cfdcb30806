"""Starts the GPU that the arguments name while the command itself is still being imported.

Starting a GPU is mostly waiting for its driver, during which the interpreter is free for others.
What went wrong is told by whoever asks for the engine; a command that never asks never hears of it.
"""

import importlib
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from weightlock.errors import EngineFault

if TYPE_CHECKING:
    from weightlock.engines.engine import Engine

COMMANDS: Final = frozenset({"verify", "hash", "sign", "notarize"})
GPUS: Final = frozenset({"cuda", "rocm"})
_OPTION: Final = "--engine"
_DIRECT: Final = "--direct"


class Wanted(NamedTuple):
    """What the arguments say of the engine."""

    name: str
    direct: bool = False


class StartingEngine:
    """An engine on its way."""

    def __init__(self, wanted: Wanted, start: "Callable[[Wanted], Engine]") -> None:
        self.wanted = wanted
        self._engine: Engine | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(start,), name="engine")
        self._thread.start()

    def engine(self) -> "Engine":
        """Wait for it.

        Raises:
            EngineUnavailable: if it cannot be used here.
        """
        self._thread.join()
        if self._error is not None:
            raise self._error
        if self._engine is None:
            raise EngineFault("the engine did not start")
        return self._engine

    def _run(self, start: "Callable[[Wanted], Engine]") -> None:
        try:
            self._engine = start(self.wanted)
        except BaseException as error:  # of a thread: kept for whoever asks
            self._error = error


def begin(arguments: Sequence[str]) -> StartingEngine | None:
    """Start the GPU that a command's arguments name; None if they name none."""
    command = next((word for word in arguments if not word.startswith("-")), "")
    name = engine_named(arguments)
    if command not in COMMANDS or name not in GPUS:
        return None
    return StartingEngine(Wanted(name, _DIRECT in arguments), _open)


def engine_named(arguments: Sequence[str]) -> str:
    """What follows the last --engine; nothing if there is none."""
    named = ""
    for word, following in zip(arguments, [*arguments[1:], ""], strict=False):
        if word == _OPTION:
            named = following
        elif word.startswith(f"{_OPTION}="):
            named = word.removeprefix(f"{_OPTION}=")
    return named


def _open(wanted: Wanted) -> "Engine":
    choice: Any = importlib.import_module("weightlock.engines.choice")
    engine: Engine = choice.open_gpu(wanted.name, direct=wanted.direct)
    return engine
