"""The pods' control groups: the one thing that does not end with a node's processes."""

from __future__ import annotations

import contextlib
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")


def create(cgroup: str, mount: Path = MOUNT) -> None:
    """Make the parent group in every hierarchy."""
    for hierarchy in _hierarchies(mount):
        (hierarchy / cgroup.lstrip("/")).mkdir(exist_ok=True)


def remove(cgroup: str, mount: Path = MOUNT) -> None:
    """Remove the group and all below it; empty ones only, so the processes must be gone."""
    for hierarchy in _hierarchies(mount):
        parent = hierarchy / cgroup.lstrip("/")
        if not parent.is_dir():
            continue
        folders = sorted((path for path in parent.rglob("*") if path.is_dir()), reverse=True)
        for folder in (*folders, parent):
            with contextlib.suppress(FileNotFoundError):
                folder.rmdir()


def _hierarchies(mount: Path) -> list[Path]:
    if (mount / "cgroup.controllers").exists():  # version 2 only: one tree
        return [mount]
    return [path for path in mount.iterdir() if path.is_dir() and not path.is_symlink()]
