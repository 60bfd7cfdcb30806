"""The signed files against those that are there: a closed world.

Every signed file must be there as signed, and nothing else: what the signer ignored, what lies in
`.git`, and empty files that the `shards` form leaves out are unsigned, so they are extra files
(A03, A21). A caller may tolerate paths by name; tolerated files that exist are always reported.
Symbolic links never get this far, whatever `allow_symlinks` says (A20).
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from weightlock.digests import Digest
from weightlock.engines.engine import Files
from weightlock.names import UNSIGNED_FILES
from weightlock.oms.hashing import Stretch
from weightlock.oms.manifest import OmsManifest, SignedFile
from weightlock.oms.vocabulary import Serialization
from weightlock.reasons import Reason
from weightlock.verdict.evidence import Finding

MAX_FINDINGS: Final = 20
"""Per reason; the rest is counted (D04)."""


class PresentFile(Protocol):
    """A regular file that the walker found."""

    @property
    def name(self) -> str:
        """Relative to the checkpoint's root."""
        ...

    @property
    def size(self) -> int:
        """In bytes, when it was found."""
        ...


@dataclass(frozen=True, slots=True)
class Contents:
    """What is on disk: number i of `files` is `present[i]`."""

    present: Sequence[PresentFile]
    files: Files


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is wrong already, and what has to be hashed to know the rest.

    `expected[i]` is the signed digest of `stretches[i]`, a part of the file `names[i]`. `tolerated`
    are files that nobody signed and the caller puts up with.
    """

    findings: tuple[Finding, ...]
    tolerated: tuple[str, ...]
    stretches: tuple[Stretch, ...]
    expected: tuple[Digest, ...]
    names: tuple[str, ...]


def compared(
    manifest: OmsManifest, present: Sequence[PresentFile], tolerated: Collection[str]
) -> Comparison:
    """Compare names and sizes."""
    numbers = {file.name: number for number, file in enumerate(present)}
    signed = {file.name for file in manifest.files}
    unsigned = [
        file for file in present if file.name not in signed and file.name not in UNSIGNED_FILES
    ]
    extra = [file for file in unsigned if not _is_below(file.name, tolerated)]
    missing = [file.name for file in manifest.files if file.name not in numbers]
    there = [(file, numbers[file.name]) for file in manifest.files if file.name in numbers]
    resized = [file.name for file, number in there if file.size not in (None, present[number].size)]
    ignored = frozenset(manifest.ignored_paths)
    findings = (
        *_capped(_missing(name) for name in missing),
        *_capped(_extra(file, manifest, ignored) for file in extra),
        *_capped(_mismatch(name) for name in resized),
    )
    parts = [part for file, number in there for part in _parts(file, number, present[number].size)]
    return Comparison(
        findings,
        tolerated=tuple(file.name for file in unsigned if _is_below(file.name, tolerated)),
        stretches=tuple(part for part, _, _ in parts),
        expected=tuple(digest for _, digest, _ in parts),
        names=tuple(name for _, _, name in parts),
    )


def mismatches(comparison: Comparison, digests: Sequence[Digest]) -> tuple[Finding, ...]:
    """The files whose content is not as signed."""
    wrong = {
        name: None
        for name, expected, found in zip(
            comparison.names, comparison.expected, digests, strict=True
        )
        if not expected.matches(found)
    }
    return _capped(_mismatch(name) for name in wrong)


def _parts(file: SignedFile, number: int, size: int) -> list[tuple[Stretch, Digest, str]]:
    ends = [size if piece.end is None else piece.end for piece in file.pieces]
    return [
        (Stretch(number, piece.start, end - piece.start, size), piece.digest, file.name)
        for piece, end in zip(file.pieces, ends, strict=True)
    ]


def _is_below(name: str, paths: Collection[str]) -> bool:
    # Component by component, never by prefix: `.git` is not `.github`.
    components = name.split("/")
    return any("/".join(components[:depth]) in paths for depth in range(1, len(components) + 1))


def _missing(name: str) -> Finding:
    return Finding(
        Reason.MISSING_FILE, name, "is signed and not there", "copy it again from its source"
    )


def _extra(file: PresentFile, manifest: OmsManifest, ignored: Collection[str]) -> Finding:
    return Finding(
        Reason.EXTRA_FILE,
        file.name,
        "is there and nobody signed it",
        _extra_hint(file, manifest, ignored),
    )


def _extra_hint(file: PresentFile, manifest: OmsManifest, ignored: Collection[str]) -> str:
    if _is_below(file.name, ignored):
        return "the signer left this path out on purpose; remove it from the checkpoint"
    if manifest.serialization is Serialization.SHARDS and file.size == 0:
        return "signatures by shards leave empty files out; ask for one by files"
    return "remove it from the checkpoint"


def _mismatch(name: str) -> Finding:
    return Finding(
        Reason.CONTENT_MISMATCH,
        name,
        "its content is not what was signed",
        "copy it again from its source",
    )


def _capped(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    every = tuple(findings)
    if len(every) <= MAX_FINDINGS:
        return every
    rest = len(every) - MAX_FINDINGS
    return (*every[:MAX_FINDINGS], Finding(every[0].reason, "", f"and {rest} more files"))
