"""A progress bar on a terminal, nothing in a pipe."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


class ProgressBar:
    """Implements Watcher: files, bytes, speed and the time left."""

    def __init__(self, label: str, *, quiet: bool) -> None:
        console = Console(stderr=True)
        self._label = label
        self._task: TaskID | None = None
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=quiet or not console.is_terminal,
            transient=True,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def begin(self, files: int, size: int) -> None:
        """So many files and bytes are going to be hashed."""
        plural = "" if files == 1 else "s"
        label = f"{self._label} {files:,} file{plural}"
        self._task = self._progress.add_task(label, total=size)

    def advance(self, size: int) -> None:
        """So many bytes more were hashed."""
        if self._task is not None:
            self._progress.advance(self._task, size)
