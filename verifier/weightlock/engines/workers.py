"""Runs one loop on several threads over one shared stream of work; the first error stops all."""

import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Work = TypeVar("Work")


def run(work: Iterator[Work], loop: Callable[[Iterator[Work]], None], threads: int) -> None:
    """Call `loop` on that many threads, each with an iterator that takes from the shared work.

    Raises:
        Exception: the first one that any loop raised, after all loops have ended.
    """
    shared = _Shared(work)
    others = [
        threading.Thread(target=shared.guard, args=(loop,), daemon=True, name=f"hash-{number}")
        for number in range(1, threads)
    ]
    for thread in others:
        thread.start()
    try:
        shared.guard(loop)
    finally:
        shared.stop()
        for thread in others:
            thread.join()
    if shared.error is not None:
        raise shared.error


class _Shared(Generic[Work]):
    def __init__(self, work: Iterator[Work]) -> None:
        self.error: BaseException | None = None
        self._work = work
        self._lock = threading.Lock()
        self._stopped = False

    def __iter__(self) -> Iterator[Work]:
        return self

    def __next__(self) -> Work:
        with self._lock:
            if self._stopped:
                raise StopIteration
            return next(self._work)

    def guard(self, loop: Callable[[Iterator[Work]], None]) -> None:
        try:
            loop(iter(self))
        except BaseException as error:
            with self._lock:
                self.error = self.error or error
                self._stopped = True

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
