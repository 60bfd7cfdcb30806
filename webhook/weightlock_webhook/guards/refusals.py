"""Why a guard refuses."""

from dataclasses import dataclass
from enum import StrEnum


class GuardReason(StrEnum):
    """Words for status, logs and metrics, beside those of `weightlock.reasons`."""

    PROTECTED_OBJECT = "ProtectedObject"
    RESERVED_KEY = "ReservedKey"
    NOT_THE_OPERATOR = "NotTheOperator"
    NOT_A_VERIFICATION = "NotAVerification"
    FOREIGN_OWNER = "ForeignOwner"
    HOLD_BROKEN = "HoldBroken"
    NAMESPACE_NAME = "NamespaceName"
    PROTECTION_REMOVED = "ProtectionRemoved"
    UNSERVED = "Unserved"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal as a value: its word, and the sentence that a person needs."""

    reason: str
    message: str
    code: int = 403
