"""What the checks of a verdict look at: one value, gathered before the first of them runs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from weightlock.digests import Digest
from weightlock.policy.requirements import SignatureRequirements
from weightlock.policy.signatures import SignatureRule
from weightlock.verdict.counting import Signed
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
    signed: Signed

    @property
    def rules(self) -> Iterator[tuple[SignatureRequirements, SignatureRule]]:
        """Every rule of every requirement."""
        return (
            (requirement, rule)
            for requirement in self.requirements
            for rule in requirement.signatures.rules
        )


ANYTHING: Final = Expected()
