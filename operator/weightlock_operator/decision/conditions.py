"""The conditions of a status: what is true, since when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from weightlock.policy.scalars import printable
from weightlock.verdict.records import instant_text


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition; `status` None is Unknown."""

    type: str
    status: bool | None
    reason: str
    message: str = ""


def conditions_of(
    conditions: Sequence[Condition], previous: object, generation: int, now: datetime
) -> list[dict[str, object]]:
    """The conditions as a status has them.

    Law: a condition whose status is as it was keeps its lastTransitionTime.
    """
    at = instant_text(now.replace(microsecond=0))
    return [
        {
            "type": each.type,
            "status": _word(each.status),
            "observedGeneration": generation,
            "lastTransitionTime": _since(each, previous) or at,
            "reason": each.reason,
            "message": printable(each.message),
        }
        for each in conditions
    ]


def reason_of(type_: str, conditions: object) -> object:
    """The reason that a status gives for a condition now; None if it has no such condition."""
    known = conditions if isinstance(conditions, list) else ()
    found = (each for each in known if isinstance(each, Mapping) and each.get("type") == type_)
    return next(found, {}).get("reason")


def _since(condition: Condition, previous: object) -> str:
    for known in previous if isinstance(previous, list) else ():
        if isinstance(known, Mapping) and known.get("type") == condition.type:
            since = known.get("lastTransitionTime")
            unchanged = known.get("status") == _word(condition.status)
            return since if unchanged and isinstance(since, str) else ""
    return ""


def _word(status: bool | None) -> str:
    return "Unknown" if status is None else str(status)
