"""Which segments to hash: all, a shard's share, or those of chosen files and tensors.

The names of tensors stand in a file's header. A header is compared with its signed root before it
is read, so whoever tampers with it cannot choose what is looked at.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from weightlock.checkpoint.layout import read_header
from weightlock.engines.engine import Files, Span
from weightlock.errors import CheckpointRefused
from weightlock.formats.filenames import printable
from weightlock.formats.manifest import FileEntry, Manifest
from weightlock.formats.segments import (
    MAX_HEADER_BYTES,
    PREFIX_BYTES,
    SAFETENSORS_SUFFIX,
    safetensors_segments,
)
from weightlock.formats.shards import Shard
from weightlock.formats.tree import TreeParameters, segment_root
from weightlock.reasons import Reason


@dataclass(frozen=True, slots=True)
class Selection:
    """What is to be hashed. With neither patterns nor shard: everything."""

    patterns: tuple[str, ...] = ()
    shard: Shard | None = None

    @property
    def is_whole(self) -> bool:
        """Whether everything is hashed."""
        return not self.patterns and (self.shard is None or self.shard.count == 1)

    def __str__(self) -> str:
        parts = [f"selected {', '.join(self.patterns)}"] if self.patterns else []
        parts += [f"shard {self.shard}"] if self.shard else []
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class ChosenSegment:
    """One segment: number `segment` of file number `file` of the manifest."""

    file: int
    segment: int
    span: Span


def choose(selection: Selection, manifest: Manifest, files: Files) -> list[ChosenSegment]:
    """The segments to hash, in the order of the files.

    Raises:
        CheckpointRefused: if a header that had to be read is not the signed one.
    """
    chosen = []
    for number, file in enumerate(manifest.files):
        wanted = _wanted(selection.patterns, manifest.parameters, files, number, file)
        chosen += _segments(number, file, wanted)
    if selection.shard is None:
        return chosen
    lengths = [segment.span.length for segment in chosen]
    return [chosen[number] for number in selection.shard.share(lengths)]


def _segments(number: int, file: FileEntry, wanted: Sequence[bool]) -> list[ChosenSegment]:
    segments = []
    offset = 0
    for index, entry in enumerate(file.segments):
        if wanted[index]:
            span = Span(number, offset, entry.length)
            segments.append(ChosenSegment(number, index, span))
        offset += entry.length
    return segments


def _wanted(
    patterns: Sequence[str],
    parameters: TreeParameters,
    files: Files,
    number: int,
    file: FileEntry,
) -> list[bool]:
    everything = [True] * len(file.segments)
    if not patterns or _matches(file.name, patterns):
        return everything
    if not file.name.endswith(SAFETENSORS_SUFFIX) or not file.segments:
        return [False] * len(file.segments)
    header = _signed_header(parameters, files, number, file)
    cut = safetensors_segments(header, file.size) if header is not None else None
    if cut is None or [part.length for part in cut] != [part.length for part in file.segments]:
        return [False] * len(file.segments)
    return [part.tensor is not None and _matches(part.tensor, patterns) for part in cut]


def _signed_header(
    parameters: TreeParameters, files: Files, number: int, file: FileEntry
) -> bytes | None:
    if file.segments[0].length > PREFIX_BYTES + MAX_HEADER_BYTES:
        return None
    with files.open(number) as opened:
        header = read_header(opened)
    if header is None or file.segments[0].length != PREFIX_BYTES + len(header):
        return None
    prefix = len(header).to_bytes(PREFIX_BYTES, "little")
    if not hmac.compare_digest(segment_root(parameters, prefix + header), file.segments[0].root):
        raise CheckpointRefused(
            Reason.CONTENT_MISMATCH,
            f"the header of {printable(file.name)} is not the signed one",
            hint="restore the checkpoint from where it was signed",
        )
    return header


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
