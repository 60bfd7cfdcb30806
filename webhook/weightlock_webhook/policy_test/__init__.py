"""`weightlock policy test`: what would the webhook answer, and why; offline, from files.

The CLI finds this module through the entry point `policy test` of the group `weightlock.commands`.
It asks the very function that the webhook asks, so that it cannot drift from it. What files cannot
hold (seals, live storage) is assumed, and every assumption is said.
"""

import argparse
import sys
from datetime import datetime
from pathlib import Path
from typing import Final

from weightlock.errors import Malformed, Unreadable, WeightlockError
from weightlock.formats.strict_yaml import MAX_DOCUMENT_BYTES
from weightlock.policy.documents import DEFAULT_NAMESPACE
from weightlock.policy.scalars import instant
from weightlock.verdict.seal import SealKey
from weightlock_webhook.decision.answers import Outcome
from weightlock_webhook.policy_test.report import write_error, write_report
from weightlock_webhook.policy_test.scenario import Scenario, read_scenario
from weightlock_webhook.policy_test.trial import Seals, Trial, trial_of

ALLOWED: Final = 0
DENIED: Final = 1
USAGE: Final = 2
ERROR: Final = 4

MAX_KEY_BYTES: Final = 4096


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `policy test` to the commands of `weightlock`."""
    policy = commands.add_parser("policy", help="try policies out")
    tests = policy.add_subparsers(metavar="COMMAND", required=True)
    parser = tests.add_parser(
        "test",
        help="what would the webhook answer, and why; offline",
        description=(
            "Judge pods, or workloads with pod templates, as the admission webhook would. FILEs"
            " hold any number of YAML or JSON documents: policies, checkpoints with their status,"
            " pods, workloads, and whatever else is known: claims, persistent volumes, namespaces."
        ),
        epilog="Exit codes: 0 allowed, 1 denied or held, 2 usage, 4 error.",
    )
    parser.add_argument(
        "-f",
        "--filename",
        dest="files",
        metavar="FILE",
        action="append",
        required=True,
        help="a file with documents, - for standard input; may be given several times",
    )
    parser.add_argument(
        "-n",
        "--namespace",
        default=DEFAULT_NAMESPACE,
        help="the namespace of objects that name none (default: %(default)s)",
    )
    parser.add_argument("--at", metavar="INSTANT", help="judge as of 2027-01-01T00:00:00Z, not now")
    parser.add_argument(
        "--assume-sealed",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="take the statuses in the files for the operator's, as files have no seal that could"
        " be checked; only this offline test can do so",
    )
    parser.add_argument(
        "--seal-key",
        metavar="FILE",
        help="check the seals of the statuses under this key instead of assuming them",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Judge, report, and return the exit code. The program has read the clock into `args.now`."""
    try:
        scenario = read_scenario(map(_read, args.files), args.namespace)
        missing = _missing(scenario)
        if missing:
            write_error(Malformed(missing, hint="Give it with -f."), as_json=args.json)
            return USAGE
        trial = trial_of(scenario, _seals(args), _now(args))
    except WeightlockError as error:
        write_error(error, as_json=args.json)
        return ERROR
    write_report(trial, as_json=args.json)
    return _exit_code(trial)


def _read(name: str) -> tuple[str, bytes]:
    try:
        if name == "-":
            return name, sys.stdin.buffer.read(MAX_DOCUMENT_BYTES + 1)
        with Path(name).open("rb") as file:
            return name, file.read(MAX_DOCUMENT_BYTES + 1)
    except OSError as error:
        raise Unreadable(f"{name}: {error.strerror}") from error


def _missing(scenario: Scenario) -> str:
    if not scenario.subjects:
        return "the files hold no pod and no workload with a pod template, expected at least one"
    if not scenario.policies:
        return "the files hold no policy, expected at least one"
    return ""


def _seals(args: argparse.Namespace) -> Seals:
    if args.seal_key is None:
        return Seals(assumed=args.assume_sealed)
    try:
        with Path(args.seal_key).open("rb") as file:
            secret = file.read(MAX_KEY_BYTES)
    except OSError as error:
        raise Unreadable(f"{args.seal_key}: {error.strerror}") from error
    return Seals(assumed=False, keys=(SealKey(secret),))


def _now(args: argparse.Namespace) -> datetime:
    now: datetime = args.now
    return now if args.at is None else instant(args.at)


def _exit_code(trial: Trial) -> int:
    return ALLOWED if trial.outcome is Outcome.ALLOW else DENIED
