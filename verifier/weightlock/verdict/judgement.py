"""What a judge answers: a verdict with its reason, for people and for programs."""

from dataclasses import dataclass

from weightlock.reasons import Reason, Verdict, verdict_of


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is wrong. `origin` is the policy that it violates, or empty."""

    reason: Reason
    message: str
    hint: str = ""
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The answer. `message` says what was found and what was expected, `hint` what to do.

    `authorities` are the names of those whose signatures counted; they are empty unless every rule
    holds. `classical_tolerated` is true for ClassicalOnly where every policy concerned still admits
    that with a warning.
    """

    reason: Reason
    message: str
    hint: str = ""
    origin: str = ""
    authorities: tuple[str, ...] = ()
    classical_tolerated: bool = False

    @property
    def verdict(self) -> Verdict:
        """The verdict that the reason stands for."""
        return verdict_of(self.reason)

    @property
    def admits(self) -> bool:
        """Whether pods may load the checkpoint. The one way in."""
        if self.reason is Reason.VERIFIED:
            return True
        return self.reason is Reason.CLASSICAL_ONLY and self.classical_tolerated

    @classmethod
    def of_violation(cls, violation: Violation) -> "Judgement":
        """The answer to something that is wrong."""
        return cls(violation.reason, violation.message, violation.hint, violation.origin)
