"""Everything the cluster tool raises on purpose.

ClusterError
|-- CannotRun     this machine or this situation does not allow it; nothing was changed
|-- StepFailed    a step was tried and failed; names the log to read
`-- TimedOut      a condition did not come true in time
"""

from __future__ import annotations

from pathlib import Path


class ClusterError(Exception):
    """The root of the tree."""


class CannotRun(ClusterError):
    """The machine lacks something, or running would touch what is not ours."""


class StepFailed(ClusterError):
    """A step failed; `log` is the file that says why."""

    def __init__(self, what: str, log: Path | None = None) -> None:
        self.log = log
        super().__init__(f"{what}; read {log}" if log else what)


class TimedOut(ClusterError):
    """A condition was awaited in vain."""
