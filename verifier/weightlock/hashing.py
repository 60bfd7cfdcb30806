"""Hashes a folder into the entries of a manifest: the common half of `hash` and `sign`."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from weightlock.checkpoint.folder import CheckpointFolder
from weightlock.checkpoint.layout import segments_of, spans_of
from weightlock.checkpoint.walker import FileFact, Limits, Walk
from weightlock.digests import Digest
from weightlock.engines.engine import Engine, Files, Span
from weightlock.engines.lattice import LatticeEngine, NumberedSegment, lattice_sum
from weightlock.errors import ChangedWhileReading, CheckpointRefused
from weightlock.formats.filenames import printable
from weightlock.formats.lthash import LtHash
from weightlock.formats.manifest import FileEntry, SegmentEntry, file_entry, in_order, model_root
from weightlock.formats.tree import TreeParameters
from weightlock.reasons import Reason
from weightlock.verdict.evidence import Finding


class Watcher(Protocol):
    """Somebody who waits for a long computation. Called from any thread."""

    def begin(self, files: int, size: int) -> None:
        """So many files and bytes are going to be hashed."""
        ...

    def advance(self, size: int) -> None:
        """So many bytes more were hashed."""
        ...


class Nobody:
    """Implements Watcher for those who do not wait."""

    def begin(self, files: int, size: int) -> None:
        """Ignored."""

    def advance(self, size: int) -> None:
        """Ignored."""


@dataclass(frozen=True, slots=True)
class HashedCheckpoint:
    """A folder's content as a manifest has it."""

    parameters: TreeParameters
    files: tuple[FileEntry, ...]
    root: bytes
    total_bytes: int
    seconds: float
    device: str
    lthash: LtHash | None = None

    @property
    def digest(self) -> Digest:
        """The root with its algorithm."""
        return Digest(self.parameters.algorithm, self.root)


@dataclass(frozen=True, slots=True)
class HashingOptions:
    """With what, and how much, to hash."""

    engine: Engine
    parameters: TreeParameters = field(default_factory=TreeParameters)
    limits: Limits = field(default_factory=Limits)
    lattice_threads: int = 0
    """With how many threads to compute the lattice hash as well; with none it is left out. Engines
    that compute it themselves use what they have."""


def hash_folder(path: Path, options: HashingOptions, watcher: Watcher) -> HashedCheckpoint:
    """Hash all files of a checkpoint's folder.

    Raises:
        CheckpointRefused: if it holds what cannot be in a checkpoint, or nothing.
        Unreadable, ChangedWhileReading: if it cannot be read in peace.
    """
    with CheckpointFolder(path) as folder:
        return hash_open_folder(folder, options, watcher)


def hash_open_folder(
    folder: CheckpointFolder,
    options: HashingOptions,
    watcher: Watcher,
    found: Walk | None = None,
) -> HashedCheckpoint:
    """Hash a folder that is already open; raises as hash_folder does.

    `found` is a listing that somebody rests on already: exactly these files are hashed, or none.
    """
    started = time.perf_counter()
    found = found or folder.walk(options.limits)
    _refuse_unless_sound(found)
    files = folder.files(found.files)
    lengths = [
        [segment.length for segment in segments_of(files, number, fact.name, fact.size)]
        for number, fact in enumerate(found.files)
    ]
    spans = [span for number, cut in enumerate(lengths) for span in spans_of(number, cut)]
    watcher.begin(len(found.files), sum(fact.size for fact in found.files))
    roots = options.engine.segment_roots(files, spans, options.parameters, watcher.advance)
    lthash = _lattice(files, lengths, options) if options.lattice_threads else None
    refuse_if_changed(found, folder.walk(options.limits))
    entries = _entries(options.parameters, found.files, spans, roots)
    return HashedCheckpoint(
        parameters=options.parameters,
        files=entries,
        root=model_root(options.parameters.algorithm, entries),
        total_bytes=sum(entry.size for entry in entries),
        seconds=time.perf_counter() - started,
        device=options.engine.device,
        lthash=lthash,
    )


def refuse_if_changed(before: Walk, after: Walk) -> None:
    """Refuse a folder that somebody wrote to meanwhile.

    Raises:
        ChangedWhileReading: naming a file that came, went or changed.
    """
    if before == after:
        return
    changed = {fact.name for fact in set(before.files) ^ set(after.files)}
    names = ", ".join(printable(name) for name in sorted(changed)[:3]) or "the folder"
    raise ChangedWhileReading(
        f"the checkpoint changed while it was hashed: {names}",
        hint="stop whatever writes to the checkpoint, then try again",
    )


def _refuse_unless_sound(found: Walk) -> None:
    if found.findings:
        first = found.findings[0]
        more = len(found.findings) - 1
        others = f" (and {more} more)" if more else ""
        raise CheckpointRefused(first.reason, describe(first) + others, hint=first.hint)
    if not found.files:
        raise CheckpointRefused(
            Reason.EMPTY_MODEL,
            "the folder has no files; a checkpoint has at least one",
            hint="name the folder that holds the checkpoint's files",
        )


def describe(finding: Finding) -> str:
    """A finding as one sentence."""
    if finding.name and printable(finding.name) not in finding.message:
        return f"{printable(finding.name)} {finding.message}"
    return finding.message


def _lattice(files: Files, lengths: Sequence[Sequence[int]], options: HashingOptions) -> LtHash:
    segments = [
        NumberedSegment(span.file, number, span.offset, span.length)
        for file, cut in enumerate(lengths)
        for number, span in enumerate(spans_of(file, cut))
    ]
    leaf_bytes = options.parameters.leaf_bytes
    if isinstance(options.engine, LatticeEngine):
        return options.engine.lattice_sum(files, segments, leaf_bytes, _ignore)
    return lattice_sum(files, segments, leaf_bytes, options.lattice_threads, _ignore)


def _ignore(_: int) -> None:
    """Of the lattice hash nobody is told how far it is."""


def _entries(
    parameters: TreeParameters,
    facts: Sequence[FileFact],
    spans: Sequence[Span],
    roots: Sequence[bytes],
) -> tuple[FileEntry, ...]:
    segments: list[list[SegmentEntry]] = [[] for _ in facts]
    for span, root in zip(spans, roots, strict=True):
        segments[span.file].append(SegmentEntry(span.length, root))
    return in_order(
        [
            file_entry(parameters.algorithm, fact.name, cut)
            for fact, cut in zip(facts, segments, strict=True)
        ]
    )
