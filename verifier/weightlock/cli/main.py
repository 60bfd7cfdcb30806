"""The entry of `weightlock` (and `kubectl weightlock`): arguments in, exit code out.

The edge: the clock is read here, and whatever went wrong becomes one line and an exit code.
"""

import argparse
import os
import resource
import sys
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import entry_points
from typing import Any, Final

import weightlock
from weightlock.cli import hash, inspect, keygen, notarize, output, sign, verify  # noqa: A004
from weightlock.errors import WeightlockError

COMMAND_GROUP: Final = "weightlock.commands"
"""Entry points of this group are modules of other packages that add commands to this program."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    _forbid_core_dumps()
    args = parser().parse_args(argv)
    args.now = datetime.now(UTC)
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except WeightlockError as error:
        return output.report_error(error, as_json=args.json)
    except KeyboardInterrupt:
        return output.EXIT_INTERRUPTED
    except BrokenPipeError:
        # Who read our output has gone; keep the interpreter from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return output.EXIT_ERROR
    except Exception as error:  # a bug: still no traceback for users, and never exit code 0
        if args.traceback:
            traceback.print_exc()
        return output.report_error(output.internal_error(error), as_json=args.json)
    return code


def parser() -> argparse.ArgumentParser:
    """The description of all commands."""
    program = _Parser(
        prog="weightlock",
        description="Integrity for AI checkpoints: hash, sign post-quantum, verify.",
        epilog="Exit codes: 0 verified, done or allowed; 1 Failed or denied; 2 usage;"
        " 3 ClassicalOnly; 4 Error, the question could not be answered.",
    )
    program.add_argument("--version", action="version", version=weightlock.__version__)
    program.add_argument("--traceback", action="store_true", help=argparse.SUPPRESS)
    program.set_defaults(json=False)
    commands = program.add_subparsers(metavar="COMMAND", required=True)
    for module in (keygen, sign, verify, notarize, inspect, hash):
        module.add_parser(commands)
    for extension in sorted(entry_points(group=COMMAND_GROUP), key=lambda point: point.name):
        extension.load().add_parser(commands)
    return program


class _Parser(argparse.ArgumentParser):
    """A parser, for the program and each command, that takes options by their whole names only."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)


def _forbid_core_dumps() -> None:
    # A core dump would hold private keys and pieces of models (F13).
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    sys.exit(main())
