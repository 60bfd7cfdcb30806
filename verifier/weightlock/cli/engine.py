"""The engine that the arguments ask for."""

import argparse

from weightlock.cli import arguments
from weightlock.engines.cpu import CpuEngine
from weightlock.engines.engine import Engine


def engine_of(args: argparse.Namespace) -> Engine:
    """The engine."""
    return CpuEngine(arguments.threads(args))
