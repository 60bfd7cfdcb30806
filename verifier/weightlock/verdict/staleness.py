"""When a verdict that was reached counts no more, whatever it said.

A changed policy is not among the reasons: the recorded signatures are judged again under the new
one (weightlock.verdict.judge), which takes no reading of content. The checks run in the order of
CHECKS; the first answer is the reason that is shown, and all of them are returned.

1. the seal is intact: nothing else in the record can be believed before (A10)
2. the record is about this object and this spec (A10c)
3. the storage is the one that was verified (A28)
4. nobody may have written since (A02)
5. it is no older than the cluster's last restore from a backup (A39)
6. no clock has gone backwards (A23)
7. it is no older than the policies allow
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from weightlock.policy.checkpoints import VolumeStatus
from weightlock.reasons import Reason
from weightlock.verdict.judgement import Violation
from weightlock.verdict.records import VerdictRecord, instant_text
from weightlock.verdict.seal import SealKey, seal_intact

CLOCK_SKEW: Final = timedelta(minutes=5)
"""How far two clocks of one cluster may be apart."""


@dataclass(frozen=True, slots=True)
class Current:
    """What is true of the checkpoint now, read live by the caller.

    `volume` is None if the storage could not be found, which never equals what was verified.
    `restored_at` is when the cluster's state was last known to have come from a backup.
    """

    checkpoint_uid: str
    generation: int
    volume: VolumeStatus | None
    writer_seen_at: datetime | None = None
    restored_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Sealed:
    """A record with its seal, the state that it is held against, and the time."""

    record: VerdictRecord
    intact: bool
    current: Current
    max_age: timedelta
    now: datetime


Check = Callable[[Sealed], Violation | None]


def stale(
    record: VerdictRecord,
    sealed: str,
    keys: Iterable[SealKey],
    current: Current,
    *,
    max_age: timedelta,
    now: datetime,
) -> tuple[Violation, ...]:
    """Every reason why a recorded verdict counts no more; none if it still does."""
    intact = seal_intact(record, sealed, keys)
    return stale_of(Sealed(record, intact, current, max_age, now))


def stale_of(case: Sealed) -> tuple[Violation, ...]:
    """The same where the seal has been looked at already."""
    return tuple(violation for check in CHECKS if (violation := check(case)) is not None)


def seal_broken(case: Sealed) -> Violation | None:
    """(1) Somebody without the key wrote the status, or the key was replaced."""
    if case.intact:
        return None
    return Violation(
        Reason.SEAL_BROKEN,
        "the seal of the status is not ours",
        "The operator verifies the checkpoint again; see who wrote its status if this repeats.",
    )


def spec_changed(case: Sealed) -> Violation | None:
    """(2) Another object of the same name, or an edited one."""
    found = (case.record.checkpoint_uid, case.record.generation)
    if found == (case.current.checkpoint_uid, case.current.generation):
        return None
    return Violation(
        Reason.SPEC_CHANGED,
        f"verified was generation {case.record.generation} of the checkpoint,"
        f" it now is generation {case.current.generation}",
        "Wait until the operator has verified what the spec says now.",
    )


def identity_changed(case: Sealed) -> Violation | None:
    """(3) Another claim, volume, backing storage or path behind the same names."""
    if case.current.volume == case.record.volume:
        return None
    return Violation(
        Reason.IDENTITY_CHANGED,
        "the storage is not the one that was verified",
        "Wait until the operator has verified what the claim is bound to now.",
    )


def writer_seen(case: Sealed) -> Violation | None:
    """(4) Somebody could write to the storage since the verification began to count."""
    seen = case.current.writer_seen_at
    if seen is None or seen + CLOCK_SKEW < case.record.verified_at:
        return None
    return Violation(
        Reason.WRITER_SEEN,
        f"a writer was seen at {instant_text(seen)}, verified was at"
        f" {instant_text(case.record.verified_at)}",
        "Mount checkpoints read-only; the operator verifies this one again.",
    )


def restored_from_backup(case: Sealed) -> Violation | None:
    """(5) The status came back from a backup, the content did not."""
    restored = case.current.restored_at
    if restored is None or restored < case.record.verified_at:
        return None
    return Violation(
        Reason.RESTORED_FROM_BACKUP,
        f"the cluster's state was restored at {instant_text(restored)}",
        "The operator verifies every checkpoint again after a restore.",
    )


def clock_behind(case: Sealed) -> Violation | None:
    """(6) Verified in the future: one of two clocks is wrong, and age means nothing."""
    if case.record.verified_at <= case.now + CLOCK_SKEW:
        return None
    return Violation(
        Reason.CLOCK_BEHIND,
        f"verified at {instant_text(case.record.verified_at)},"
        f" which is after now, {instant_text(case.now)}",
        "Set the clocks of the nodes that run operator and webhook.",
    )


def verdict_expired(case: Sealed) -> Violation | None:
    """(7) Older than the shortest maxAge of the policies that govern it."""
    expires = case.record.verified_at + case.max_age
    if case.now < expires:
        return None
    return Violation(
        Reason.VERDICT_EXPIRED,
        f"the verdict expired at {instant_text(expires)}",
        "Wait until the operator has verified the checkpoint again.",
    )


CHECKS: Final[tuple[Check, ...]] = (
    seal_broken,
    spec_changed,
    identity_changed,
    writer_seen,
    restored_from_backup,
    clock_behind,
    verdict_expired,
)
