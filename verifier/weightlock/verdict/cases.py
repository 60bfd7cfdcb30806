"""What the checks of a verdict look at: one value, gathered before the first of them runs."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from weightlock.digests import Digest
from weightlock.policy.requirements import SignatureRequirements
from weightlock.verdict.counting import Count
from weightlock.verdict.evidence import Evidence


@dataclass(frozen=True, slots=True)
class Expected:
    """What the asker knows of the model: a registered name, the highest version seen, a root."""

    model_name: str | None = None
    version_floor: int = 0
    root: Digest | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """Everything that the checks look at."""

    evidence: Evidence
    requirements: tuple[SignatureRequirements, ...]
    expected: Expected
    counts: tuple[Count, ...]
    """What of the signatures counts, requirement by requirement."""

    now: datetime


ANYTHING: Final = Expected()
