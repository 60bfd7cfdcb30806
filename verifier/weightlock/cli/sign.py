"""`weightlock sign`: hash a checkpoint and write its signature beside the files."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from weightlock import algorithms
from weightlock.checkpoint.folder import CheckpointFolder
from weightlock.cli import arguments, keyfiles, output
from weightlock.cli.engine import engine_of
from weightlock.cli.progress import ProgressBar
from weightlock.digests import HashAlgorithm
from weightlock.errors import KeyUnusable, WeightlockError
from weightlock.formats import envelope, statement
from weightlock.formats.manifest import ModelIdentity, UpstreamSigner, check_model_name
from weightlock.formats.tree import TreeParameters
from weightlock.hashing import HashingOptions
from weightlock.names import ENVELOPE_FILE, OMS_FILE
from weightlock.reasons import Verdict
from weightlock.signatures.schemes import SigningKey
from weightlock.signing import SignedCheckpoint, SigningOptions, sign

PROFILES: Final = {"default": HashAlgorithm.SHA256, "cnsa2": HashAlgorithm.SHA512}
_CNSA2_HASHES: Final = {HashAlgorithm.SHA384, HashAlgorithm.SHA512}
_CNSA2_ALGORITHMS: Final = {algorithms.ML_DSA_87}


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "sign",
        description=f"Hash a checkpoint and write {ENVELOPE_FILE} beside its files.",
    )
    arguments.add_folder(parser)
    keyfiles.add_private_keys(parser)
    parser.add_argument(
        "--profile",
        choices=sorted(PROFILES),
        default="default",
        help="default: sha256, any post-quantum key; cnsa2: sha512 and only ML-DSA-87 keys",
    )
    add_identity(parser)
    parser.add_argument(
        "--oms",
        action="store_true",
        help=f"write {OMS_FILE} too, for other tools; needs an ECDSA key among the private keys",
    )
    parser.add_argument("--force", action="store_true", help="replace an existing signature")
    arguments.add_tree(parser)
    arguments.add_lattice(parser)
    arguments.add_engine(parser)
    arguments.add_direct(parser)
    arguments.add_limits(parser)
    arguments.add_json(parser)
    parser.set_defaults(run=run)


def add_identity(parser: argparse.ArgumentParser) -> None:
    """--name, --version."""
    parser.add_argument(
        "--name",
        type=arguments.parsed_by(_checked_name),
        help="the model's name, which policies match (default: the folder's name)",
    )
    parser.add_argument(
        "--version",
        type=arguments.positive,
        default=1,
        metavar="N",
        help="rises with each release; a cluster refuses to go back (default: 1)",
    )


def _checked_name(text: str) -> str:
    check_model_name(text)
    return text


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    keys = keyfiles.signing_keys(args)
    hash_algorithm = HashAlgorithm(args.hash) if args.hash else PROFILES[args.profile]
    if args.profile == "cnsa2":
        _check_cnsa2(hash_algorithm, keys)
    options = SigningOptions(
        ModelIdentity(model_name(args), args.version), args.now, replace=args.force, oms=args.oms
    )
    hashing = HashingOptions(
        engine_of(args),
        TreeParameters(hash_algorithm, args.leaf_size),
        arguments.limits(args),
        arguments.lattice_threads(args),
    )
    before = _version_there(args.folder) if args.force else 0
    with ProgressBar("signing", quiet=args.json) as bar:
        signed = sign(args.folder, keys, options, hashing, bar)
    report(args, signed, before)
    return output.EXIT_DONE


def model_name(args: argparse.Namespace) -> str:
    """--name, or else the folder's own name with the characters that a name may have."""
    if args.name is not None:
        return str(args.name)
    folder: Path = args.folder
    return re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("._-") or "model"


def _version_there(folder: Path) -> int:
    """The version that the signature which is replaced claims; 0 if it claims none."""
    try:
        with CheckpointFolder(folder) as opened:
            data = opened.read(ENVELOPE_FILE, max_bytes=envelope.MAX_ENVELOPE_BYTES)
        return statement.parse(envelope.parse(data).payload).model.version if data else 0
    except WeightlockError:
        return 0


def report(args: argparse.Namespace, signed: SignedCheckpoint, before: int = 0) -> None:
    """Say what was signed; `before` is the version of the signature that it took the place of."""
    manifest, hashed = signed.manifest, signed.hashed
    if args.json:
        output.print_json(_document(signed))
        return
    signers = ", ".join(f"{each.algorithm} {each.keyid[:16]}" for each in manifest.signers)
    seconds, speed = hashed.seconds, output.rate(hashed.total_bytes, hashed.seconds)
    output.print_lines(
        f"Signed {manifest.model.name} version {manifest.model.version}",
        Verdict.VERIFIED,
        {
            "root": str(manifest.digest),
            "signed by": signers,
            "upstream": _upstream(manifest.upstream),
            "content": f"{len(manifest.files)} files, {output.size(hashed.total_bytes)} in"
            f" {seconds:.1f} s ({speed} GB/s) on {hashed.device}",
            "note": f"version {before} was there; a cluster that has seen it takes no older one"
            if before > manifest.model.version
            else "",
            "written": ", ".join(str(args.folder / name) for name in signed.written),
        },
    )


def _upstream(upstream: UpstreamSigner | None) -> str:
    if upstream is None:
        return ""
    return f"{upstream.algorithm} by {upstream.identity} ({upstream.method})"


def _document(signed: SignedCheckpoint) -> dict[str, object]:
    manifest, hashed = signed.manifest, signed.hashed
    return {
        "model": {"name": manifest.model.name, "version": manifest.model.version},
        "digest": output.digest_document(manifest),
        "signers": [
            {
                "algorithm": signer.algorithm.name,
                "family": signer.algorithm.family.value,
                "keyid": signer.keyid,
            }
            for signer in manifest.signers
        ],
        "written": list(signed.written),
        "files": len(manifest.files),
        "bytes": hashed.total_bytes,
        "seconds": round(hashed.seconds, 3),
        "gbps": output.rate(hashed.total_bytes, hashed.seconds),
        "device": hashed.device,
    }


def _check_cnsa2(hash_algorithm: HashAlgorithm, keys: Sequence[SigningKey]) -> None:
    post_quantum = [key for key in keys if key.public_key.algorithm.is_post_quantum]
    if hash_algorithm not in _CNSA2_HASHES:
        raise KeyUnusable(f"the profile cnsa2 has sha384 or sha512, not {hash_algorithm}")
    for key in post_quantum:
        if key.public_key.algorithm not in _CNSA2_ALGORITHMS:
            raise KeyUnusable(
                f"the profile cnsa2 signs with ML-DSA-87, not {key.public_key.algorithm}",
                hint="make a key with: weightlock keygen --algorithm ML-DSA-87",
            )
