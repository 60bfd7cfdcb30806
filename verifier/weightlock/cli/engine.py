"""The engine that the arguments ask for."""

import argparse

from rich.console import Console
from rich.text import Text

from weightlock.cli import arguments
from weightlock.cli.starting import GPUS, Wanted
from weightlock.engines.choice import choose_engine, open_gpu
from weightlock.engines.engine import Engine
from weightlock.errors import EngineUnavailable
from weightlock.policy.scalars import visible


def engine_of(args: argparse.Namespace) -> Engine:
    """The engine.

    Raises:
        EngineUnavailable: if one was named that cannot be used here, or cannot read directly.
    """
    if args.direct and args.engine not in GPUS:
        raise EngineUnavailable(
            f"--direct needs a GPU engine, not --engine {args.engine}:"
            " the CPU engine reads through the page cache",
            hint="add --engine cuda or --engine rocm, or leave --direct out",
        )
    wanted = Wanted(args.engine, direct=args.direct)
    if args.starting is not None and args.starting.wanted == wanted:
        started: Engine = args.starting.engine()
        return started
    if args.direct:
        return open_gpu(args.engine, direct=True)
    return choose_engine(args.engine, threads=arguments.threads(args), notice=_notice)


def _notice(message: str) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(
        Text(visible(message), style="yellow")
    )
