"""`weightlock inspect`: what a signature file says, readably and without believing it."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from weightlock.checkpoint.folder import CheckpointFolder
from weightlock.cli import arguments, output
from weightlock.errors import Malformed, Unreadable, WeightlockError
from weightlock.formats import envelope, statement
from weightlock.formats.filenames import printable
from weightlock.formats.manifest import Manifest
from weightlock.names import ENVELOPE_FILE, OMS_FILE
from weightlock.oms import bundle as oms_bundle
from weightlock.oms.description import Description, described
from weightlock.reasons import Verdict

_MAX_FILES_SHOWN: Final = 50


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "inspect",
        description=f"Show {ENVELOPE_FILE} or an OMS bundle ({OMS_FILE}): signers, algorithm"
        " families, files. Nothing is verified: what is shown is what the file claims.",
    )
    parser.add_argument(
        "path", metavar="FILE|DIR", type=Path, help="a signature file or a checkpoint's folder"
    )
    arguments.add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    documents = [_describe(data) for data in _documents(args.path)]
    if args.json:
        output.print_json({"verified": False, "documents": documents})
        return output.EXIT_DONE
    for document in documents:
        rows = {label: _shown(value) for label, value in document.items() if label != "kind"}
        output.print_lines(f"{document['kind']} (not verified)", Verdict.PENDING, rows)
    return output.EXIT_DONE


def _documents(path: Path) -> list[bytes]:
    if not path.is_dir():
        with CheckpointFolder(path.absolute().parent) as folder:
            data = folder.read(path.name, max_bytes=envelope.MAX_ENVELOPE_BYTES)
        if data is None:
            raise Unreadable(f"{printable(str(path))} does not exist")
        return [data]
    with CheckpointFolder(path) as folder:
        read = (
            folder.read(name, max_bytes=envelope.MAX_ENVELOPE_BYTES)
            for name in (ENVELOPE_FILE, OMS_FILE)
        )
        found = [data for data in read if data is not None]
    if not found:
        raise Unreadable(
            f"{printable(str(path))} holds neither {ENVELOPE_FILE} nor {OMS_FILE}",
            hint="sign the checkpoint: weightlock sign DIR --private-key KEY",
        )
    return found


def _describe(data: bytes) -> dict[str, object]:
    try:
        parsed = envelope.parse(data)
    except WeightlockError as not_ours:
        try:
            return _bundle_document(described(oms_bundle.parse(data)))
        except Malformed as not_oms:
            raise Malformed(
                f"neither an envelope ({not_ours.message}) nor an OMS bundle ({not_oms.message})"
            ) from not_oms
    return _envelope_document(parsed, statement.parse(parsed.payload))


def _envelope_document(parsed: envelope.Envelope, manifest: Manifest) -> dict[str, object]:
    present = {entry.keyid for entry in parsed.signatures}
    return {
        "kind": "Weightlock envelope",
        "model": {"name": manifest.model.name, "version": manifest.model.version},
        "createdAt": manifest.created_at,
        "digest": output.digest_document(manifest),
        "signers": [
            {
                "algorithm": signer.algorithm.name,
                "family": signer.algorithm.family.value,
                "keyid": signer.keyid,
                "signature": "present" if signer.keyid in present else "MISSING",
            }
            for signer in manifest.signers
        ],
        "upstream": manifest.upstream
        and {
            "method": manifest.upstream.method,
            "algorithm": manifest.upstream.algorithm,
            "identity": manifest.upstream.identity,
            "issuer": manifest.upstream.issuer,
            "payloadSha256": manifest.upstream.payload_sha256,
        },
        "bytes": manifest.total_bytes,
        "files": [
            {"name": file.name, "bytes": file.size, "segments": len(file.segments)}
            for file in manifest.files
        ],
    }


def _bundle_document(described: Description) -> dict[str, object]:
    signer = described.signer
    return {
        "kind": described.kind,
        "version": described.version,
        "model": {"name": described.model},
        "payloadSha256": described.payload_sha256,
        "serialization": f"{described.serialization} ({described.hash})",
        "signers": [
            {
                "algorithm": signer.algorithm or "not said",
                "family": described.family,
                "method": signer.method,
                "keyid": signer.keyid or signer.hint,
                "subject": signer.subject,
                "issuer": signer.issuer,
                "names": list(signer.alternative_names),
                "valid": f"{signer.not_before} to {signer.not_after}" if signer.not_before else "",
            }
        ],
        "needs": "network: keyless signatures cannot be verified offline"
        if signer.method == "keyless"
        else "",
        "ignored": list(described.ignored_paths),
        "files": [{"name": name} for name in described.files],
    }


def _shown(value: object) -> str | list[str]:
    if not isinstance(value, list):
        return _text(value)
    lines = [_line(item) for item in value[:_MAX_FILES_SHOWN]]
    rest = len(value) - len(lines)
    return [*lines, f"and {rest} more"] if rest else lines


def _text(value: object) -> str:
    match value:
        case None | "":
            return ""
        case int():
            return output.size(value)
        case Mapping():
            return "  ".join(f"{key}={item}" for key, item in value.items() if item not in ("", []))
    return str(value)


def _line(item: object) -> str:
    if isinstance(item, Mapping) and "name" in item:
        size = f"  {output.size(item['bytes'])}" if "bytes" in item else ""
        return printable(str(item["name"])) + size
    return _text(item)
