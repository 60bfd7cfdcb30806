"""`weightlock report`: the program inside verification Jobs, and in front of gated pods.

It verifies as `weightlock verify` does, by a request instead of files, and leaves one report where
the kubelet collects it. All that it is told comes as arguments (A07). It says what is so; who reads
the report judges it. Only with --gate, where nobody reads before the pod's containers start, it
judges itself, and its exit code is the judgement.
"""

import argparse
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NoReturn

import weightlock
from weightlock.checkpoint.selection import Selection
from weightlock.checkpoint.walker import Limits
from weightlock.cli import arguments, output
from weightlock.cli.streams import say
from weightlock.engines.choice import choose_engine
from weightlock.engines.engine import Engine
from weightlock.errors import Malformed, Unreadable, WeightlockError
from weightlock.formats.shards import Shard
from weightlock.names import TREE_ID
from weightlock.oms.trust import Trust
from weightlock.policy.paths import VolumePath
from weightlock.policy.requirements import SignatureRequirements
from weightlock.reporting import (
    Report,
    ReportedSignature,
    Request,
    keyid_or_none,
    parse_request,
    report_json,
)
from weightlock.signatures.verifying import verifying_key
from weightlock.verdict.evidence import Evidence
from weightlock.verdict.judge import judge
from weightlock.verdict.judgement import Judgement
from weightlock.verification import Verification, VerificationOptions, verify

TERMINATION_LOG: Final = Path("/dev/termination-log")
EXIT_TERMINATED: Final = 128 + signal.SIGTERM
PROGRESS_SECONDS: Final = 10.0
_DEVICE_CHARACTERS: Final = 100


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "report",
        description="Verify a checkpoint as the operator's request says, and write a report of at"
        " most 4096 bytes. This is what verification Jobs run; people want `weightlock verify`."
        " Exit code 0: a report was written, whatever it says; 2: the request cannot be read;"
        " 4: nothing could be written; 143: terminated, no report. With --gate: 0 only if the"
        " pod may start, else 1 Failed, 3 ClassicalOnly, 4 Error.",
    )
    arguments.add_folder(parser)
    parser.add_argument(
        "--below",
        metavar="PATH",
        type=_below,
        default="",
        help="where the checkpoint's folder lies below DIR; no link on the way is followed",
    )
    parser.add_argument(
        "--request",
        dest="pieces",
        metavar="JSON",
        action="append",
        required=True,
        help="the request; a long one comes in pieces, which are joined in their order",
    )
    parser.add_argument(
        "--to",
        metavar="FILE",
        type=Path,
        default=TERMINATION_LOG,
        help=f"where the report goes (default: {TERMINATION_LOG})",
    )
    parser.add_argument(
        "--shard-index",
        metavar="I",
        type=str,
        help="this share, from 0, of those that the request counts; for Indexed Jobs, whose pods"
        " differ only in $(JOB_COMPLETION_INDEX)",
    )
    parser.add_argument(
        "--gate",
        action="store_true",
        help="judge under the request's requirements, and exit 0 only if the pod may start",
    )
    parser.add_argument(
        "--threads", type=arguments.positive, default=None, metavar="N", help=argparse.SUPPRESS
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    # The first process of a container ignores SIGTERM unless it asks for it (E12).
    signal.signal(signal.SIGTERM, _terminated)
    try:
        request = _request(args)
    except WeightlockError as error:
        output.report_error(error, as_json=False)
        return output.EXIT_USAGE
    verification = _verified(args, request)
    judgement = verification.judgement
    if args.gate and judgement.admits:
        # The content is as its signers say; now, whether it is the model that was asked for, and
        # whether their keys count still: the pod starts now, perhaps hours after we did.
        done = args.now + timedelta(seconds=verification.seconds)
        judgement = judge(verification.evidence, _requirements(request), done, request.expected)
    report = report_of(verification, judgement, request, args.now)
    write(args.to, report_json(report))
    say(f"{report.verdict} ({report.reason}): {judgement.message}")
    if not args.gate:
        return output.EXIT_DONE
    return output.EXIT_DONE if judgement.admits else _refusal(judgement)


def report_of(
    verification: Verification, judgement: Judgement, request: Request, started_at: datetime
) -> Report:
    """The report on a verification."""
    evidence = verification.evidence
    listed = {signer.keyid for signer in evidence.signers}
    return Report(
        nonce=request.nonce,
        reason=judgement.reason,
        message=judgement.message,
        hint=judgement.hint,
        model=evidence.model,
        digest=evidence.digest,
        signatures=tuple(
            ReportedSignature(
                fact.algorithm,
                keyid_or_none(fact.keyid),
                fact.valid,
                fact.trusted,
                fact.keyid in listed,
            )
            for fact in evidence.signatures
        ),
        payload=verification.payload.hex if verification.payload else None,
        shard=request.shard,
        files=verification.files,
        bytes=verification.bytes,
        milliseconds=round(verification.seconds * 1000),
        device=_plain(verification.device),
        started_at=started_at,
        version=weightlock.__version__,
        tree=TREE_ID if verification.manifest or not evidence.digest else "",
    )


def write(path: Path, data: bytes) -> None:
    """Write over a file that must stay the same file: the kubelet mounted it.

    Who reads half of a report finds no report: it is one JSON document.

    Raises:
        Unreadable: if it cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            while data:
                data = data[os.write(descriptor, data) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise Unreadable(f"{path} cannot be written: {error.strerror}") from error


class Lines:
    """Implements Watcher: a line now and then, for who reads a container's log."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._began = self._said = seconds()
        self._total = 0
        self._done = 0

    def begin(self, files: int, size: int) -> None:
        """So many files and bytes are going to be hashed."""
        self._total = size
        say(f"hashing {files} files, {output.size(size)}")

    def advance(self, size: int) -> None:
        """So many bytes more were hashed."""
        self._done += size
        now = self._seconds()
        if now - self._said >= PROGRESS_SECONDS:
            self._said = now
            share = 100 * self._done // max(self._total, 1)
            speed = output.rate(self._done, now - self._began)
            say(
                f"{output.size(self._done)} of {output.size(self._total)} ({share} %), {speed} GB/s"
            )


def _below(text: str) -> str:
    try:
        return "/".join(VolumePath.parse(f"/{text}").components)
    except Malformed as error:
        raise argparse.ArgumentTypeError(error.message) from error


def _request(args: argparse.Namespace) -> Request:
    request = parse_request("".join(args.pieces))
    if args.gate != (request.gate is not None):
        raise Malformed(
            "--gate and the request's gate belong together",
            hint="Use operator, webhook and verifier images of one release.",
        )
    if args.shard_index is None:
        return request
    if request.shard is None:
        raise Malformed("--shard-index is given, and the request has no shards")
    return replace(request, shard=Shard.parse(f"{args.shard_index}/{request.shard.count}"))


def _verified(args: argparse.Namespace, request: Request) -> Verification:
    try:
        engine = choose_engine(request.engine.value, threads=arguments.threads(args), notice=say)
        options = replace(_options(request, args.now, engine), below=args.below)
    except WeightlockError as error:
        # No device, or a key that no library here takes: that too is an answer.
        trouble = Judgement(error.reason, error.message, error.hint)
        return Verification(trouble, Evidence(), files=0, bytes=0, seconds=0, device="none")
    return verify(args.folder, options, Lines(time.monotonic))


def _options(request: Request, now: datetime, engine: Engine) -> VerificationOptions:
    return VerificationOptions(
        requirements=_requirements(request),
        classical_trust=Trust([verifying_key(info) for info in request.keys]),
        recognise_classical=request.recognise_classical,
        now=now,
        engine=engine,
        selection=Selection(shard=request.shard),
        limits=Limits(entries=request.limits.max_files, bytes=request.limits.max_bytes),
    )


def _requirements(request: Request) -> tuple[SignatureRequirements, ...]:
    """What must hold for the content to be worth hashing: one trusted key, or a gate's policies."""
    if request.gate is not None:
        return request.gate.requirements
    anybody = SignatureRequirements.of_keys(request.trust)
    return (replace(anybody, allowed_digests=request.allowed_hashes),)


def _refusal(judgement: Judgement) -> int:
    # Belt and braces: whatever does not admit never exits 0.
    return output.exit_code(judgement.verdict) or output.EXIT_ERROR


def _plain(device: str) -> str:
    letters = (each if " " <= each <= "~" and each not in '"\\' else "?" for each in device)
    return "".join(letters)[:_DEVICE_CHARACTERS] or "unknown"


def _terminated(_number: int, _frame: object) -> NoReturn:
    # At once: half of a checkpoint that was hashed is nothing to report, and helpers end with us.
    os._exit(EXIT_TERMINATED)
