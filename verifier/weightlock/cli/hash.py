"""`weightlock hash`: the root of a folder, without any signature."""

import argparse

from weightlock.cli import arguments, output
from weightlock.cli.engine import engine_of
from weightlock.cli.progress import ProgressBar
from weightlock.digests import HashAlgorithm
from weightlock.formats import strict_base64
from weightlock.formats.lthash import LtHash
from weightlock.formats.tree import TreeParameters
from weightlock.hashing import HashedCheckpoint, HashingOptions, hash_folder
from weightlock.names import LTHASH_ID, TREE_ID


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "hash",
        description="Hash a checkpoint and print the root of its tree. Signs and checks nothing.",
    )
    arguments.add_folder(parser)
    arguments.add_tree(parser)
    arguments.add_lattice(parser)
    arguments.add_engine(parser)
    arguments.add_direct(parser)
    arguments.add_limits(parser)
    arguments.add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    parameters = TreeParameters(HashAlgorithm(args.hash or HashAlgorithm.SHA256), args.leaf_size)
    options = HashingOptions(
        engine_of(args), parameters, arguments.limits(args), arguments.lattice_threads(args)
    )
    with ProgressBar("hashing", quiet=args.json) as bar:
        hashed = hash_folder(args.folder, options, bar)
    if args.json:
        output.print_json(_document(hashed))
    else:
        print(hashed.digest)  # noqa: T201 - the answer, alone on its line for scripts
        if hashed.lthash:
            print(f"{LTHASH_ID}:{_fingerprint(hashed.lthash)}")  # noqa: T201
    return output.EXIT_DONE


def _document(hashed: HashedCheckpoint) -> dict[str, object]:
    return {
        "digest": {
            "tree": TREE_ID,
            "hash": hashed.parameters.algorithm.value,
            "leafSize": hashed.parameters.leaf_bytes,
            "root": hashed.root.hex(),
        },
        "lthash": hashed.lthash
        and {
            "id": LTHASH_ID,
            "sum": strict_base64.encode(hashed.lthash.lanes),
            "sha256": _fingerprint(hashed.lthash),
        },
        "files": len(hashed.files),
        "bytes": hashed.total_bytes,
        "seconds": round(hashed.seconds, 3),
        "gbps": output.rate(hashed.total_bytes, hashed.seconds),
        "device": hashed.device,
    }


def _fingerprint(lthash: LtHash) -> str:
    """A short name for a sum of two kilobytes."""
    return HashAlgorithm.SHA256.digest(lthash.lanes).hex()
