"""`weightlock verify`: is this checkpoint what somebody trusted signed?"""

import argparse
from collections.abc import Sequence
from typing import Final

from weightlock.checkpoint.selection import Selection
from weightlock.cli import arguments, output, trust
from weightlock.cli.engine import engine_of
from weightlock.cli.progress import ProgressBar
from weightlock.formats.filenames import printable
from weightlock.formats.shards import Shard
from weightlock.hashing import describe
from weightlock.names import TREE_ID
from weightlock.reasons import Verdict
from weightlock.verdict.evidence import SignatureFact
from weightlock.verification import Verification, VerificationOptions, verify

MAX_FINDINGS_SHOWN: Final = 20


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "verify",
        description="Verify that a checkpoint is complete, unchanged and signed by a trusted key."
        " Exit code 0: Verified; 1: Failed; 3: ClassicalOnly; 4: Error (could not be answered).",
    )
    arguments.add_folder(parser)
    trust.add_trust(parser)
    parser.add_argument(
        "--select",
        dest="patterns",
        metavar="GLOB",
        action="append",
        default=[],
        help="hash only the files, or tensors of safetensors files, whose names match; may be"
        " repeated. The set of files and their sizes are compared all the same.",
    )
    parser.add_argument(
        "--shard",
        metavar="I/N",
        type=str,
        help="hash only share I (from 0) of N; all shares together are the whole",
    )
    arguments.add_engine(parser)
    arguments.add_direct(parser)
    arguments.add_limits(parser)
    arguments.add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    trusted = trust.of_arguments(args)
    selection = Selection(
        tuple(args.patterns), Shard.parse(args.shard) if args.shard is not None else None
    )
    options = VerificationOptions(
        requirements=trusted.requirements,
        classical_trust=trusted.classical,
        certificates_suffice=trusted.certificates_suffice,
        tolerated=frozenset(args.tolerated),
        now=args.now,
        engine=engine_of(args),
        selection=selection,
        limits=arguments.limits(args),
    )
    with ProgressBar("verifying", quiet=args.json) as bar:
        verification = verify(args.folder, options, bar)
    if args.json:
        output.print_json(_document(verification, selection))
    else:
        _print(verification, selection)
    return output.exit_code(verification.judgement.verdict)


def _document(verification: Verification, selection: Selection) -> dict[str, object]:
    judgement, evidence = verification.judgement, verification.evidence
    manifest = verification.manifest
    digest = evidence.digest
    document: dict[str, object] = {
        "verdict": judgement.verdict.value,
        "reason": judgement.reason.value,
        "message": judgement.message,
        "hint": judgement.hint,
        "model": evidence.model
        and {"name": evidence.model.name, "version": evidence.model.version},
        "digest": digest
        and {
            "tree": TREE_ID if manifest else "",
            "hash": digest.algorithm.value,
            "root": digest.hex,
        },
        "signatures": [_signature_document(fact) for fact in evidence.signatures],
        "files": verification.files,
        "bytes": verification.bytes,
        "seconds": round(verification.seconds, 3),
        "gbps": output.rate(verification.bytes, verification.seconds),
        "device": verification.device,
        "findings": [
            {"reason": finding.reason.value, "name": finding.name, "message": finding.message}
            for finding in evidence.findings[:MAX_FINDINGS_SHOWN]
        ],
        "findingsTotal": len(evidence.findings),
        "unsigned": list(verification.unsigned),
    }
    if not selection.is_whole:
        document["partial"] = {
            "select": list(selection.patterns),
            "shard": str(selection.shard) if selection.shard else None,
        }
    return document


def _signature_document(fact: SignatureFact) -> dict[str, object]:
    return {
        "algorithm": fact.algorithm.name if fact.algorithm else None,
        "family": fact.algorithm.family.value if fact.algorithm else None,
        "keyid": fact.keyid,
        "valid": fact.valid,
        "trusted": fact.trusted,
    }


def _print(verification: Verification, selection: Selection) -> None:
    judgement, evidence = verification.judgement, verification.evidence
    verdict = judgement.verdict
    title = verdict.value
    if judgement.reason.value != verdict.value:
        title += f": {judgement.reason}"
    if evidence.model:
        title += f": {evidence.model.name} version {evidence.model.version}"
    rows = {} if verdict is Verdict.VERIFIED else {"why": judgement.message, "do": judgement.hint}
    rows["root"] = str(evidence.digest) if evidence.digest else ""
    rows["signatures"] = _signatures_line(evidence.signatures)
    if evidence.content_compared:
        rows["content"] = (
            f"{verification.files} files, {output.size(verification.bytes)} in"
            f" {verification.seconds:.1f} s"
            f" ({output.rate(verification.bytes, verification.seconds)} GB/s)"
            f" on {verification.device}"
        )
        rows["unsigned"] = ", ".join(printable(name) for name in verification.unsigned)
        rows["only"] = "" if selection.is_whole else f"{selection}; the rest was not hashed"
    output.print_lines(title, verdict, rows)
    others = [describe(finding) for finding in evidence.findings]
    if len(others) > 1:
        shown = others[:MAX_FINDINGS_SHOWN]
        rest = len(others) - len(shown)
        shown += [f"and {rest} more"] if rest else []
        output.print_rows({"found": shown})


def _signatures_line(facts: Sequence[SignatureFact]) -> str:
    return ", ".join(f"{_named(fact)} {_state(fact)}" for fact in facts)


def _named(fact: SignatureFact) -> str:
    algorithm = fact.algorithm.name if fact.algorithm else "unknown algorithm"
    return f"{algorithm} {fact.keyid[:16]}"


def _state(fact: SignatureFact) -> str:
    if not fact.trusted:
        return "(not by a trusted key)"
    return "(valid)" if fact.valid else "(INVALID)"
