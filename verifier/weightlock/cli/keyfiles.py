"""Keys from the files that arguments name."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from weightlock.errors import KeyUnusable
from weightlock.keys.passphrases import read_passphrase
from weightlock.keys.private import read_private_key
from weightlock.keys.signing import signing_key
from weightlock.signatures.schemes import SigningKey


def add_private_keys(parser: argparse.ArgumentParser) -> None:
    """--private-key, --passphrase-file."""
    parser.add_argument(
        "--private-key",
        dest="private_keys",
        metavar="KEY",
        type=Path,
        action="append",
        required=True,
        help="a private key in PEM; repeat it to sign with several (one may be classical)",
    )
    add_passphrase(parser, "the passphrase of encrypted private keys")


def add_passphrase(parser: argparse.ArgumentParser, what: str) -> None:
    """--passphrase-file."""
    parser.add_argument(
        "--passphrase-file",
        metavar="FILE",
        type=Path,
        help=f"a file, readable by you alone, whose first line is {what}",
    )


def passphrase(args: argparse.Namespace) -> bytes | None:
    """The passphrase, if a file with it was named. It never stands in an argument itself (F05)."""
    return read_passphrase(args.passphrase_file) if args.passphrase_file else None


def signing_keys(args: argparse.Namespace) -> Sequence[SigningKey]:
    """The signing keys of --private-key, in their order.

    Raises:
        KeyUnusable: naming the file, if one cannot be used.
    """
    secret = passphrase(args)
    return [_signing_key(path, secret) for path in args.private_keys]


def _signing_key(path: Path, secret: bytes | None) -> SigningKey:
    try:
        return signing_key(read_private_key(path, secret))
    except KeyUnusable as error:
        if str(path) in error.message:
            raise
        raise KeyUnusable(f"{path}: {error.message}", hint=error.hint) from error
