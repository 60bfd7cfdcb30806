"""Reads the libraries that a GPU needs before they are needed, on a machine that has just started.

The driver's library has some hundred megabytes and the run-time compiler's more; mapped, they come
from the disk in small pieces, one after the other. Asking for them early, in big runs, while the
interpreter imports and starts processes, costs nothing where they are in the page cache already.
Nothing depends on it: what cannot be found or asked for is left to whoever loads it.
"""

import importlib.util
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

STEP_BYTES: Final = 128 * 1024
"""Asked for at once: the kernel cuts a longer wish to what its readahead allows, and forgets the
rest."""
DRIVER_FOLDERS: Final = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/local/nvidia/lib64",
    "/usr/lib/wsl/lib",
)
_DRIVER: Final = "libcuda.so.1"
_BINDINGS: Final = ("cupy_backends/cuda/_softlink*.so", "cupy_backends/cuda/api/*.so")
_COMPILER: Final = (
    "nvidia/*/lib/libnvrtc.so.*",
    "nvidia/*/lib/libnvrtc-builtins.so.*",
    "cupy_backends/cuda/libs/nvrtc*.so",
)


def begin(cache: Path | None) -> threading.Thread:
    """Start asking; the thread ends by itself and keeps nobody from ending."""
    thread = threading.Thread(target=_prefetch_all, args=(cache,), daemon=True, name="prefetch")
    thread.start()
    return thread


def libraries(
    search: Iterable[str], drivers: Iterable[str], *, with_compiler: bool
) -> Iterator[Path]:
    """The files, in the order in which they are needed."""
    for folder in drivers:
        yield from Path(folder).glob(_DRIVER)
    patterns = _BINDINGS + (_COMPILER if with_compiler else ())
    homes = [Path(entry) for entry in search]
    yield from (path for pattern in patterns for home in homes for path in home.glob(pattern))


def prefetch(path: Path) -> int:
    """Ask for all of a file; how many bytes that is.

    Raises:
        OSError: if it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        for start in range(0, size, STEP_BYTES):
            os.posix_fadvise(descriptor, start, STEP_BYTES, os.POSIX_FADV_WILLNEED)
    finally:
        os.close(descriptor)
    return size


def _prefetch_all(cache: Path | None) -> None:
    compiled = cache is not None and any(cache.glob("*.bin"))
    with suppress(OSError):
        for path in libraries(_bindings_homes(), DRIVER_FOLDERS, with_compiler=not compiled):
            with suppress(OSError):
                prefetch(path)


def _bindings_homes() -> list[str]:
    """Where CuPy lies, which is where its libraries lie too."""
    found = importlib.util.find_spec("cupy_backends")
    places = found.submodule_search_locations if found else None
    homes = [str(Path(place).parent) for place in places or ()]
    return [home for home in homes if home in sys.path]
