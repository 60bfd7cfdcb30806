"""The kernels' sources, and a cache of what they were compiled to.

A cached kernel decides what the device computes, so the cache is used only if nobody else can write
to it; its entries are named by everything that they were made of, and carry their own digest, so
that half a file is never loaded. Without a usable cache the kernels are compiled at each start.
"""

import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

from weightlock.digests import HashAlgorithm

LATTICE: Final = "lthash.cu"
_TREES: Final = {
    HashAlgorithm.SHA256: ("sha256.cu", 32),
    HashAlgorithm.SHA384: ("sha512.cu", 48),
    HashAlgorithm.SHA512: ("sha512.cu", 64),
    HashAlgorithm.SHA3_256: ("sha3.cu", 32),
    HashAlgorithm.SHA3_384: ("sha3.cu", 48),
    HashAlgorithm.SHA3_512: ("sha3.cu", 64),
}
_DIGEST: Final = hashlib.sha256


@dataclass(frozen=True, slots=True)
class KernelSource:
    """One translation unit."""

    file: str
    options: tuple[str, ...]

    @property
    def text(self) -> str:
        """The .cu file."""
        return _texts()[self.file]

    @property
    def headers(self) -> dict[str, str]:
        """Whatever it may include, by name."""
        return {name: text for name, text in _texts().items() if name.endswith(".cuh")}


def tree_source(algorithm: HashAlgorithm, *, bench: bool = False) -> KernelSource:
    """The kernels of a tree over this hash; for the benchmark also those that read nothing."""
    file, digest_bytes = _TREES[algorithm]
    options = (f"-DDIGEST_BYTES={digest_bytes}",)
    return KernelSource(file, options + (("-DWEIGHTLOCK_BENCH",) if bench else ()))


def lattice_source() -> KernelSource:
    """The kernel of lthash-v1."""
    return KernelSource(LATTICE, ())


@cache
def _texts() -> dict[str, str]:
    folder = resources.files("weightlock.engines.gpu") / "kernels"
    return {entry.name: entry.read_text() for entry in folder.iterdir()}


class KernelCache:
    """Compiled kernels on disk; `None` as folder remembers nothing."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder if folder is not None and _is_private(folder) else None

    def holds(self, source: KernelSource, target: Sequence[str]) -> bool:
        """Whether the code for a target need not be built."""
        folder = self._folder
        return folder is not None and _read(_path(folder, source, target)) is not None

    def code(
        self, source: KernelSource, target: Sequence[str], build: Callable[[], bytes]
    ) -> bytes:
        """The code for a target (compiler, its version, the architecture), built if need be."""
        if self._folder is None:
            return build()
        path = _path(self._folder, source, target)
        found = _read(path)
        if found is None:
            found = build()
            with suppress(OSError):
                _write(path, found)
        return found


def _path(folder: Path, source: KernelSource, target: Sequence[str]) -> Path:
    return folder / f"{_key(source, target)}.bin"


def _key(source: KernelSource, target: Sequence[str]) -> str:
    digest = _DIGEST()
    headers = [part for item in sorted(source.headers.items()) for part in item]
    for part in (source.file, source.text, *headers, *source.options, *target):
        data = part.encode()
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def _is_private(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat(follow_symlinks=False)
    except OSError:
        return False
    others = stat.S_IWGRP | stat.S_IWOTH
    return (
        stat.S_ISDIR(status.st_mode)
        and status.st_uid == os.geteuid()
        and not (status.st_mode & others)
    )


def _read(path: Path) -> bytes | None:
    try:
        data = path.read_bytes()
    except OSError:
        return None
    size = _DIGEST().digest_size
    code = data[size:]
    return code if code and _DIGEST(code).digest() == data[:size] else None


def _write(path: Path, code: bytes) -> None:
    # Written aside and renamed: several verifiers may start at once.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(_DIGEST(code).digest() + code)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
