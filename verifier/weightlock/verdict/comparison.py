"""Compares what was signed with what lies there: a closed world (A03).

The set of regular files must be the set of signed names, with the signed sizes, and each segment's
root the signed one. Nothing is skipped because something else already failed.
"""

import hmac
from collections.abc import Mapping, Sequence

from weightlock.formats.manifest import FileEntry
from weightlock.reasons import Reason
from weightlock.verdict.evidence import Finding

_RESTORE = (
    "restore the checkpoint from where it was signed, or sign it again if the change is meant"
)


def structure_findings(signed: Sequence[FileEntry], sizes: Mapping[str, int]) -> list[Finding]:
    """What is wrong with the set of files: names that are extra or missing, and sizes."""
    expected = {file.name: file.size for file in signed}
    findings = [
        Finding(Reason.EXTRA_FILE, name, "is not among the signed files", _REMOVE)
        for name in sizes
        if name not in expected
    ]
    for name, size in expected.items():
        if name not in sizes:
            findings.append(
                Finding(Reason.MISSING_FILE, name, "was signed and is missing", _RESTORE)
            )
        elif sizes[name] != size:
            message = f"has {sizes[name]} bytes; {size} were signed"
            findings.append(Finding(Reason.CONTENT_MISMATCH, name, message, _RESTORE))
    return findings


_REMOVE = "remove the file, or sign the checkpoint again if it belongs to it"


def content_finding(
    file: FileEntry, segments: Sequence[int], roots: Sequence[bytes]
) -> Finding | None:
    """What is wrong with the content of one file, from the roots of some of its segments."""
    wrong = [
        number
        for number, root in zip(segments, roots, strict=True)
        if not hmac.compare_digest(file.segments[number].root, root)
    ]
    if not wrong:
        return None
    start = sum(segment.length for segment in file.segments[: wrong[0]])
    end = start + file.segments[wrong[0]].length
    more = f" and {len(wrong) - 1} more segments" if len(wrong) > 1 else ""
    message = f"differs from what was signed in bytes {start} to {end}{more}"
    return Finding(Reason.CONTENT_MISMATCH, file.name, message, _RESTORE)
