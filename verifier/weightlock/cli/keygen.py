"""`weightlock keygen`: a new key pair in two PEM files."""

import argparse
import os
import sys
from pathlib import Path

from weightlock import algorithms
from weightlock.cli import keyfiles, output
from weightlock.keys.files import already_there
from weightlock.keys.private import write_private_key
from weightlock.keys.public import write_public_key
from weightlock.keys.signing import generate


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "keygen",
        description="Make a key pair. The private key's file can be read by you alone; existing"
        " files are never overwritten.",
    )
    parser.add_argument(
        "--algorithm",
        choices=[algorithm.name for algorithm in algorithms.ALL],
        default=algorithms.ML_DSA_65.name,
        metavar="NAME",
        help="ML-DSA-44, -65 (default) or -87; SLH-DSA-{SHA2,SHAKE}-{128,192,256}{s,f}; or, for"
        " the classical half of a hybrid signature, ECDSA-P256-SHA256, ECDSA-P384-SHA384,"
        " ECDSA-P521-SHA512, RSA-PSS-SHA512, Ed25519",
    )
    parser.add_argument("--private-key", metavar="FILE", type=Path, required=True)
    parser.add_argument("--public-key", metavar="FILE", type=Path, required=True)
    keyfiles.add_passphrase(parser, "the passphrase to encrypt the private key with")
    parser.set_defaults(run=run, json=False)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    for path in (args.private_key, args.public_key):
        if os.path.lexists(path):  # before the first is written, so that no half of a pair is left
            raise already_there(path)
    if args.private_key.absolute() == args.public_key.absolute():
        sys.stderr.write("weightlock keygen: the two keys need two files\n")
        return output.EXIT_USAGE
    key = generate(algorithms.signature_algorithm(args.algorithm))
    write_private_key(args.private_key, key, keyfiles.passphrase(args))
    write_public_key(args.public_key, key.public)
    output.print_rows(
        {
            "algorithm": key.algorithm.name,
            "keyid": key.public.keyid,
            "private key": f"{args.private_key} (keep it secret)",
            "public key": f"{args.public_key} (give it to whoever verifies)",
        }
    )
    return output.EXIT_DONE
