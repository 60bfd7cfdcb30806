"""The status of policy objects: whether they can be used, and what they govern.

An unusable policy harms nobody but whoever relies on it: the others go on working, and its status
says which field is wrong and what to write instead.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from weightlock.errors import WeightlockError
from weightlock.policy.objects import Policy
from weightlock.policy.scalars import shown
from weightlock.reasons import Reason, Verdict
from weightlock_operator.decision.conditions import Condition, conditions_of

READY: Final = "Ready"
_COUNTED: Final = {
    Verdict.VERIFIED: "verified",
    Verdict.CLASSICAL_ONLY: "classicalOnly",
    Verdict.FAILED: "failed",
    Verdict.ERROR: "error",
    Verdict.PENDING: "pending",
    Verdict.VERIFYING: "pending",
    Verdict.STALE: "pending",
}


@dataclass(frozen=True, slots=True)
class Invalid:
    """A policy object that cannot be used."""

    name: str
    message: str


def read_policy(value: object) -> Policy | Invalid:
    """A policy, or what is wrong with it and what to write instead; never raises."""
    try:
        return Policy.from_object(value)
    except WeightlockError as error:
        hint = f" {error.hint}" if error.hint else ""
        return Invalid(_name(value), error.message + hint)


def policy_status(
    value: Mapping[str, object],
    found: Policy | Invalid,
    verdicts: Iterable[Verdict],
    now: datetime,
) -> dict[str, object] | None:
    """The status of a policy object; None if it says the same already.

    `verdicts` are those of the checkpoints in the namespaces that it governs.
    """
    metadata, before = value.get("metadata"), value.get("status")
    generation = metadata.get("generation") if isinstance(metadata, Mapping) else None
    generation = generation if isinstance(generation, int) else 0
    known = before if isinstance(before, Mapping) else {}
    status: dict[str, object] = {
        "observedGeneration": generation,
        "conditions": conditions_of([_ready(found)], known.get("conditions"), generation, now),
        "checkpoints": _counts(verdicts),
    }
    return None if status == dict(known) else status


def _ready(found: Policy | Invalid) -> Condition:
    if isinstance(found, Invalid):
        return Condition(READY, False, Reason.POLICY_INVALID.value, found.message)
    return Condition(READY, True, "Usable", "")


def _counts(verdicts: Iterable[Verdict]) -> dict[str, int]:
    counts = Counter(_COUNTED[verdict] for verdict in verdicts)
    return {name: counts[name] for name in dict.fromkeys(_COUNTED.values())}


def _name(value: object) -> str:
    """How messages name an object of which nothing may be sound."""
    if not isinstance(value, Mapping) or not isinstance(value.get("metadata"), Mapping):
        return "a policy without a name"
    metadata = value["metadata"]
    parts = [metadata.get("namespace"), metadata.get("name")]
    name = "/".join(part for part in parts if isinstance(part, str) and part)
    return f"{_plain(value.get('kind'))} {_plain(name)}"


def _plain(text: object) -> str:
    return shown(text).strip("'")
