"""`weightlock notarize`: counter-sign a classically signed model post-quantum."""

import argparse
from pathlib import Path

from weightlock.cli import arguments, keyfiles, output, sign, trust
from weightlock.cli.engine import engine_of
from weightlock.cli.progress import ProgressBar
from weightlock.digests import HashAlgorithm
from weightlock.formats.manifest import ModelIdentity
from weightlock.formats.tree import TreeParameters
from weightlock.hashing import HashingOptions
from weightlock.names import ENVELOPE_FILE, OMS_FILE
from weightlock.notarizing import notarize
from weightlock.oms.trust import Trust
from weightlock.signing import SigningOptions


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "notarize",
        description=f"Verify {OMS_FILE} and every file with the publisher's key or authority,"
        f" offline, then write {ENVELOPE_FILE}, which records who had signed the model.",
    )
    arguments.add_folder(parser)
    upstream = parser.add_argument_group("whom to believe about the upstream signature")
    upstream.add_argument(
        "--upstream-key",
        dest="upstream_keys",
        metavar="KEY",
        type=Path,
        action="append",
        default=[],
        help="the publisher's public key in PEM",
    )
    upstream.add_argument(
        "--upstream-ca",
        dest="upstream_authorities",
        metavar="PEM",
        type=Path,
        action="append",
        default=[],
        help="the certificate authority of the publisher's signing certificate",
    )
    keyfiles.add_private_keys(parser)
    sign.add_identity(parser)
    parser.add_argument("--force", action="store_true", help="replace an existing signature")
    arguments.add_tree(parser)
    arguments.add_lattice(parser)
    arguments.add_engine(parser)
    arguments.add_direct(parser)
    arguments.add_limits(parser)
    arguments.add_json(parser)
    parser.set_defaults(run=run, parser=parser)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    if not args.upstream_keys and not args.upstream_authorities:
        args.parser.error("name the publisher with --upstream-key or --upstream-ca")
    believed = Trust(
        [trust.public_key(path) for path in args.upstream_keys],
        trust.certificates(args.upstream_authorities),
    )
    keys = keyfiles.signing_keys(args)
    options = SigningOptions(
        ModelIdentity(sign.model_name(args), args.version), args.now, replace=args.force
    )
    algorithm = HashAlgorithm(args.hash or HashAlgorithm.SHA256)
    hashing = HashingOptions(
        engine_of(args),
        TreeParameters(algorithm, args.leaf_size),
        arguments.limits(args),
        arguments.lattice_threads(args),
    )
    with ProgressBar("notarizing", quiet=args.json) as bar:
        signed = notarize(args.folder, believed, keys, options, hashing, bar)
    sign.report(args, signed)
    return output.EXIT_DONE
