"""`weightlock keygen`: a new key pair in two PEM files."""

import argparse
from pathlib import Path

from weightlock import algorithms
from weightlock.cli import keyfiles, output
from weightlock.errors import KeyUnusable
from weightlock.keys import files
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
    # Both names first: a private key without its public half is of no use, and lies about.
    if args.private_key == args.public_key:
        raise KeyUnusable(
            "both halves of the key pair would have one name", hint="give each its own"
        )
    for path in (args.private_key, args.public_key):
        files.refuse_taken(path)
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
