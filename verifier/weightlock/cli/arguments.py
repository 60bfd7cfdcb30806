"""Arguments that several commands share, and how they become values."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from weightlock.checkpoint.walker import Limits
from weightlock.digests import HashAlgorithm
from weightlock.errors import Malformed
from weightlock.formats.tree import DEFAULT_LEAF_BYTES

Value = TypeVar("Value")

ENGINES = ("auto", "cuda", "rocm", "cpu")


def add_folder(parser: argparse.ArgumentParser) -> None:
    """DIR."""
    parser.add_argument(
        "folder", metavar="DIR", type=Path, help="the folder that holds the checkpoint's files"
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """--json."""
    parser.add_argument(
        "--json", action="store_true", help="write one JSON document to standard output"
    )


def add_engine(parser: argparse.ArgumentParser) -> None:
    """--engine, --threads."""
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default="auto",
        help="what hashes: the fastest there is (auto, the default), or exactly this or an error",
    )
    parser.add_argument(
        "--threads",
        type=positive,
        default=None,
        metavar="N",
        help="how many cores the CPU engine uses (default: all that this process may use)",
    )


def add_direct(parser: argparse.ArgumentParser) -> None:
    """--direct."""
    parser.add_argument(
        "--direct",
        action="store_true",
        help="read past the page cache (O_DIRECT), where the file system can: for files that are"
        " not in it, on fast disks; needs --engine cuda or rocm. Programs read through the cache,"
        " and could be shown other bytes there than the storage holds",
    )


def add_limits(parser: argparse.ArgumentParser) -> None:
    """--max-files, --max-bytes."""
    defaults = Limits()
    parser.add_argument(
        "--max-files",
        type=positive,
        default=defaults.entries,
        metavar="N",
        help=f"refuse a folder with more entries (default: {defaults.entries:,})",
    )
    parser.add_argument(
        "--max-bytes",
        type=positive,
        default=defaults.bytes,
        metavar="N",
        help="refuse a folder with more bytes (default: 1 PiB)",
    )


def add_tree(parser: argparse.ArgumentParser) -> None:
    """--hash, --leaf-size."""
    parser.add_argument(
        "--hash",
        choices=[algorithm.value for algorithm in HashAlgorithm],
        default=None,
        help="the hash of the tree (default: sha256)",
    )
    parser.add_argument(
        "--leaf-size",
        type=positive,
        default=DEFAULT_LEAF_BYTES,
        metavar="BYTES",
        help="bytes of a leaf, a power of two from 4096 to 1048576 (default: 16384)",
    )


def add_lattice(parser: argparse.ArgumentParser) -> None:
    """--lthash."""
    parser.add_argument(
        "--lthash",
        action="store_true",
        help="compute the lattice hash lthash-v1 too, which can be updated when a tensor changes",
    )


def lattice_threads(args: argparse.Namespace) -> int:
    """How many threads compute the lattice hash."""
    return threads(args) if args.lthash else 0


def limits(args: argparse.Namespace) -> Limits:
    """The limits that the arguments set."""
    return Limits(entries=args.max_files, bytes=args.max_bytes)


def threads(args: argparse.Namespace) -> int:
    """How many threads the CPU engine gets."""
    chosen: int | None = args.threads
    return chosen if chosen is not None else len(os.sched_getaffinity(0))


def parsed_by(parse: Callable[[str], Value]) -> Callable[[str], Value]:
    """The same, for an argument: what is malformed is wrong usage and no verdict."""

    def parsed(text: str) -> Value:
        try:
            return parse(text)
        except Malformed as error:
            raise argparse.ArgumentTypeError(error.message) from error

    return parsed


def positive(text: str) -> int:
    """A whole number above zero, in plain digits."""
    if not text.isascii() or not text.isdigit() or int(text[:20]) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above zero")
    return int(text[:20])
