"""The engine that the arguments ask for."""

import argparse

from rich.console import Console
from rich.text import Text

from weightlock.cli import arguments
from weightlock.engines.choice import choose_engine
from weightlock.engines.engine import Engine


def engine_of(args: argparse.Namespace) -> Engine:
    """The engine.

    Raises:
        EngineUnavailable: if one was named that cannot be used here.
    """
    if args.starting is not None and args.starting.name == args.engine:
        started: Engine = args.starting.engine()
        return started
    return choose_engine(args.engine, threads=arguments.threads(args), notice=_notice)


def _notice(message: str) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(Text(message, style="yellow"))
