"""Images of single static programs: the pause container and the test pods' busybox."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

PAUSE_IMAGE = "weightlock.test/pause:1"
BUSYBOX_IMAGE = "weightlock.test/busybox:1"

APPLETS = (
    "sh",
    "cat",
    "echo",
    "httpd",
    "ls",
    "mkdir",
    "nc",
    "printf",
    "sleep",
    "touch",
    "true",
    "false",
)


def program_layer(path: Path, program: Path, *, links: tuple[str, ...] = ()) -> Path:
    """A layer with one program in `/bin`, links to it, and the folders that pods expect."""
    with tarfile.open(path, "w") as layer:
        for folder, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777)):
            entry = tarfile.TarInfo(folder)
            entry.type = tarfile.DIRTYPE
            entry.mode = mode
            layer.addfile(entry)
        content = program.read_bytes()
        entry = tarfile.TarInfo(f"bin/{program.name}")
        entry.mode = 0o755
        entry.size = len(content)
        layer.addfile(entry, io.BytesIO(content))
        for name in links:
            entry = tarfile.TarInfo(f"bin/{name}")
            entry.type = tarfile.SYMTYPE
            entry.linkname = program.name
            layer.addfile(entry)
    return path
