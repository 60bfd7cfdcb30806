"""Whom the arguments of `verify` trust: public keys, certificate authorities, or policies."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509

from weightlock.cli import arguments
from weightlock.errors import KeyUnusable, PolicyInvalid, Unreadable, WeightlockError
from weightlock.formats.filenames import printable
from weightlock.formats.spki import PublicKeyInfo
from weightlock.keys.public import read_public_key
from weightlock.oms.trust import Trust
from weightlock.policy.objects import Policy
from weightlock.policy.requirements import SignatureRequirements, trusted_keys
from weightlock.signatures.schemes import VerifyingKey
from weightlock.signatures.verifying import verifying_key

_MAX_POLICY_BYTES: Final = 4 * 1024 * 1024
_MAX_CERTIFICATE_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class CommandTrust:
    """What to judge by, and whom to believe about OMS bundles."""

    requirements: Sequence[SignatureRequirements]
    classical: Trust
    certificates_suffice: bool


def add_trust(parser: argparse.ArgumentParser) -> None:
    """--public-key, --at-least, --ca, --policy."""
    parser.add_argument(
        "--public-key",
        dest="public_keys",
        metavar="KEY",
        type=Path,
        action="append",
        default=[],
        help="a trusted public key in PEM; repeat it to trust several",
    )
    parser.add_argument(
        "--at-least",
        metavar="N",
        type=arguments.positive,
        default=1,
        help="how many of the trusted keys must have signed (default: 1)",
    )
    parser.add_argument(
        "--ca",
        dest="authorities",
        metavar="PEM",
        type=Path,
        action="append",
        default=[],
        help="a certificate authority to believe about a classical OMS bundle (ClassicalOnly)",
    )
    parser.add_argument(
        "--tolerate",
        dest="tolerated",
        metavar="PATH",
        action="append",
        default=[],
        help="a file or folder that an OMS bundle may leave unsigned, such as .gitattributes; it"
        " is reported, and the verdict is ClassicalOnly at best; envelopes sign all files",
    )
    parser.add_argument(
        "--policy",
        dest="policies",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="a file of ModelPolicy or ClusterModelPolicy documents; all of them must hold",
    )


def misuse(args: argparse.Namespace) -> str:
    """What is wrong with how trust was stated, before any file is opened; nothing if all is well.

    Trusting nobody is a slip of whoever typed the command, and no verdict on the checkpoint.
    """
    if not (args.public_keys or args.policies or args.authorities):
        return (
            "nobody is trusted, so nothing can be verified; name whom to trust:"
            " --public-key KEY, --policy FILE, or --ca PEM for classical certificates"
        )
    if args.at_least > max(1, len(args.public_keys)):
        return (
            f"--at-least {args.at_least} demands more signatures than there are --public-key:"
            f" {len(args.public_keys)}"
        )
    return ""


def of_arguments(args: argparse.Namespace) -> CommandTrust:
    """The trust that the arguments state.

    Raises:
        KeyUnusable, Malformed, PolicyInvalid, Unreadable: naming the file that cannot be used.
    """
    keys = [public_key(path) for path in args.public_keys]
    requirements = [
        SignatureRequirements.of_policy(policy)
        for path in args.policies
        for policy in _policies(path)
    ]
    if keys:
        infos = [PublicKeyInfo(key.algorithm, key.spki) for key in keys]
        names = [printable(str(path)) for path in args.public_keys]
        requirements.append(SignatureRequirements.of_keys(infos, args.at_least, names))
    believed = [verifying_key(info) for info in trusted_keys(requirements)]
    return CommandTrust(
        requirements,
        Trust(believed, certificates(args.authorities)),
        certificates_suffice=bool(args.authorities) and not args.policies,
    )


def certificates(paths: Sequence[Path]) -> tuple[x509.Certificate, ...]:
    """The certificates in PEM files.

    Raises:
        KeyUnusable: naming the file that holds none.
    """
    found: list[x509.Certificate] = []
    for path in paths:
        try:
            found += x509.load_pem_x509_certificates(_read(path, _MAX_CERTIFICATE_BYTES))
        except ValueError as error:
            raise KeyUnusable(
                f"{path} holds no certificate in PEM",
                hint="it begins with -----BEGIN CERTIFICATE-----",
            ) from error
    return tuple(found)


def _policies(path: Path) -> Sequence[Policy]:
    from weightlock.policy.documents import read_policies  # noqa: PLC0415 - slow (YAML)

    try:
        return read_policies(_read(path, _MAX_POLICY_BYTES))
    except WeightlockError as error:
        # Whatever is wrong with a policy is no verdict on the checkpoint.
        where = "" if str(path) in error.message else f"{path}: "
        raise PolicyInvalid(where + error.message, hint=error.hint) from error


def public_key(path: Path) -> VerifyingKey:
    """The public key in a PEM file.

    Raises:
        KeyUnusable: naming the file.
    """
    try:
        return read_public_key(path)
    except WeightlockError as error:
        where = "" if str(path) in error.message else f"{path}: "
        raise KeyUnusable(where + error.message, hint=error.hint) from error


def _read(path: Path, max_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > max_bytes:
        raise Unreadable(f"{path} is larger than {max_bytes} bytes")
    return data
