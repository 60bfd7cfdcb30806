"""What the operator does about a checkpoint: plain values, carried out in order by whoever runs it.

The order is the safety: what must be true before the status says so comes before it (the rollback
floor), and what only follows from the status comes after it (events, evictions, and the end of a
Job that the status rests on: what is not written yet must still be there to be seen again).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from weightlock.reasons import Reason, Verdict
from weightlock.verdict.floors import VouchedModel
from weightlock_operator.decision.flights import DeviceKind
from weightlock_operator.decision.spent import Spent

if TYPE_CHECKING:
    from weightlock_operator.decision.memory import Memory
    from weightlock_operator.decision.queue import Ticket


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """Delete a Job with its pods (background propagation), if it still has this uid.

    Not found, or another uid, is success.
    """

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class RaiseFloor:
    """Remember that a policy vouched for this version, unless a higher one is remembered."""

    vouched: VouchedModel
    version: int


@dataclass(frozen=True, slots=True)
class ReleasePod:
    """Remove our scheduling gate and label, and nothing else, with uid and resource version."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class NudgePod:
    """Touch a held pod, so that a scheduler without gates looks at it again."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class EvictPod:
    """Evict a running pod, through the eviction subresource, so that budgets are respected."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class RegisterCheckpoint:
    """Create a ModelCheckpoint; that it exists already is success."""

    manifest: Mapping[str, object]


class EventType(StrEnum):
    """The two types of events."""

    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True)
class Event:
    """An event on the checkpoint, and with `pods` on these as well."""

    type: EventType
    reason: str
    message: str
    pods: tuple[tuple[str, str], ...] = ()
    """Names and uids of pods of the checkpoint's namespace."""


Action: TypeAlias = (
    DeleteJob | RaiseFloor | ReleasePod | NudgePod | EvictPod | RegisterCheckpoint | Event
)


@dataclass(frozen=True, slots=True)
class CreateJob:
    """Create a Job, then call `reconcile.job_started` or `reconcile.job_refused` with the answer.

    A Job of that name that exists already is somebody else's, whatever it looks like (A08).
    `memory` is what the status will say once the Job exists.
    """

    manifest: Mapping[str, object]
    memory: "Memory"
    device: DeviceKind


@dataclass(frozen=True, slots=True)
class Finished:
    """A verification that ended, for metrics."""

    verdict: Verdict
    reason: Reason
    device: str
    seconds: float = 0.0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, in this order: `before`, then `create`, then the status, then `after`.

    `status` is the whole new status, or None if it would say what it says already; with `create` it
    comes from the function that CreateJob names. `requeue_after` is when to look again even if
    nothing happens. `ticket` is set while the checkpoint waits for its turn.
    """

    before: tuple[Action, ...] = ()
    create: CreateJob | None = None
    status: Mapping[str, object] | None = None
    after: tuple[Action, ...] = ()
    requeue_after: timedelta | None = None
    ticket: "Ticket | None" = None
    is_flying: bool = False
    verdict: Verdict = Verdict.PENDING
    reason: Reason = Reason.QUEUED
    admits: bool = False
    """Whether pods may load the checkpoint, under the policies that bind."""

    finished: Finished | None = field(default=None)
    spent: Spent | None = None
    """What counts no more once the status is written, for the facts of later looks."""


def earliest(*instants: datetime | None) -> datetime | None:
    """The first of the instants that there are."""
    return min((each for each in instants if each is not None), default=None)
