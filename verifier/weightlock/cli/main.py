"""The entry of `weightlock` (and `kubectl weightlock`): arguments in, exit code out.

The edge: the clock is read here, and whatever went wrong becomes one line and an exit code.
"""

import argparse
import importlib
import resource
import sys
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import weightlock
from weightlock.cli import output, streams
from weightlock.cli.starting import begin
from weightlock.errors import WeightlockError

COMMANDS: Final = {
    "keygen": "make a key pair",
    "sign": "sign a checkpoint",
    "verify": "verify a checkpoint",
    "notarize": "verify an upstream classical signature once and counter-sign post-quantum",
    "inspect": "show what a signature says, without verifying it",
    "hash": "print the root of a checkpoint's hash tree",
    "report": "verify as a request says and write a report; what verification Jobs run",
    "bench": "measure the engines on this machine",
}
"""The commands of this package: each is the module of weightlock.cli with its name."""

Commands: TypeAlias = "argparse._SubParsersAction[Any]"

MOST_OPEN_FILES: Final = 65536

COMMAND_GROUP: Final = "weightlock.commands"
"""Entry points of this group are modules of other packages that add commands to this program."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    streams.hold()
    _forbid_core_dumps()
    _allow_open_files()
    arguments = sys.argv[1:] if argv is None else argv
    starting = begin(arguments)
    args = parser(arguments).parse_args(arguments)
    args.starting = starting
    args.now = datetime.now(UTC)
    try:
        code = _code(args)
        sys.stdout.flush()
    except OSError as error:
        streams.lose_output(error)
        return output.EXIT_ERROR
    return code


def _code(args: argparse.Namespace) -> int:
    try:
        code: int = args.run(args)
    except WeightlockError as error:
        return output.report_error(error, as_json=args.json)
    except KeyboardInterrupt:
        return output.EXIT_INTERRUPTED
    except OSError:  # reading is translated where it is done: what is left is our own output
        if args.traceback:
            traceback.print_exc()
        raise
    except Exception as error:  # a bug: still no traceback for users, and never exit code 0
        if args.traceback:
            traceback.print_exc()
        return output.report_error(output.internal_error(error), as_json=args.json)
    return code


def parser(arguments: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The description of all commands, in full for the one that the arguments name.

    A command's module is imported only if it is going to run: with all of them, starting would take
    as long as hashing half a gigabyte.
    """
    program = _Parser(
        prog="weightlock",
        description="Integrity for AI checkpoints: hash, sign post-quantum, verify.",
        epilog="Exit codes: 0 verified, done or allowed; 1 Failed or denied; 2 usage;"
        " 3 ClassicalOnly; 4 Error, the question could not be answered.",
    )
    program.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    program.add_argument("--traceback", action="store_true", help=argparse.SUPPRESS)
    program.set_defaults(json=False)
    commands: Commands = program.add_subparsers(metavar="COMMAND", required=True)
    named = next((word for word in arguments if not word.startswith("-")), "")
    for name, summary in COMMANDS.items():
        if name == named:
            importlib.import_module(f"weightlock.cli.{name}").add_parser(commands)
        else:
            commands.add_parser(name, help=summary)
    if named not in COMMANDS:
        _add_extensions(commands)
    return program


class _Version(argparse.Action):
    """Reads the version only for those who ask: looking it up takes a while."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        sys.stdout.write(f"{weightlock.__version__}\n")
        parser.exit()


def _add_extensions(commands: Commands) -> None:
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow, and seldom needed

    for extension in sorted(entry_points(group=COMMAND_GROUP), key=lambda point: point.name):
        extension.load().add_parser(commands)


class _Parser(argparse.ArgumentParser):
    """A parser, for the program and each command, that takes options by their whole names only."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)


def _forbid_core_dumps() -> None:
    # A core dump would hold private keys and pieces of models (F13).
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _allow_open_files() -> None:
    # Every core holds many small files open; what shells allow by default would slow them down.
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_OPEN_FILES if most == resource.RLIM_INFINITY else min(most, MOST_OPEN_FILES)
    if allowed != resource.RLIM_INFINITY and allowed < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


if __name__ == "__main__":
    sys.exit(main())
